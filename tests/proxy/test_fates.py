"""Segments of a text joined as they were decided, and figures for each message."""

from dataclasses import replace

from elision.compressors.base import Outcome, Span
from elision.policies.model import Mode, Plan, Use
from elision.proxy.edit_script import apply_script, script_of
from elision.proxy.fates import left_alone, made_of
from elision.proxy.ledger_entries import Figures
from elision.proxy.pipeline import Fate
from fakes.plans import KEEP, LEFT_OUT, decision, plan


def texts(whole: Plan, fates: list[Fate]) -> dict[int, str]:
    made = made_of(whole, whole.decisions, fates)
    return {source: sent.text for told in made.values() for source, sent in told.sent.items()}


def test_segments_of_one_text_are_joined_in_their_order() -> None:
    """Kept ones as they were."""
    first, kept, last = decision("a b "), decision("c d ", KEEP, start=4), decision("e f", start=8)
    other = decision("untouched", KEEP, source=1)
    fates = [Fate(first, Outcome("a", 2, 1, (), "m", "f")), Fate(last, None, "deadline")]
    assert texts(plan(first, kept, last, other), fates) == {0: "ac d e f"}


def test_what_a_budget_leaves_out_goes_and_inline_tags_go_always() -> None:
    """In audit, and in messages that are left alone, the tags alone."""
    tag = decision("<elision off>", LEFT_OUT, tag=True)
    parts = (tag, decision("a b ", LEFT_OUT, start=13), decision("c d", KEEP, start=17))
    assert texts(plan(*parts), []) == {0: "c d"}
    assert texts(plan(*parts, mode=Mode.AUDIT), []) == {0: "a b c d"}
    assert texts(plan(*left_alone(parts)), []) == {0: "a b c d"}


def test_a_text_is_never_left_empty() -> None:
    """An empty message may be refused by the upstream."""
    assert texts(plan(decision("a b ", LEFT_OUT)), []) == {}


def test_a_rule_in_audit_changes_nothing_and_is_told_apart() -> None:
    """Beside one that enforces."""
    parts = (decision("a b ", mode=Mode.AUDIT), decision("c d", start=4), decision(" e f", LEFT_OUT, start=7))
    fates = [Fate(part, Outcome("x", 2, 1, (), "m", "f")) for part in parts[:2]]
    whole = plan(*parts)
    assert texts(whole, fates) == {0: "a b x"}
    figures = made_of(whole, parts, fates)[0].figures
    before = sum(part.segment.tokens for part in parts)
    assert figures == Figures((("context", before, before - 1 - 3),), ("halve",), (), 1)


def test_pieces_make_what_is_sent_of_the_whole_text() -> None:
    """Slices that the method names, slices that are found, and words of its own."""
    original = "one two three four five six"
    named, found, own = decision("one two "), decision("three four ", start=8), decision("five six", start=19)
    fates = [
        Fate(named, Outcome("two ", 2, 1, (Span(4, 8),), "m", "f")),
        Fate(found, Outcome("thrfour ", 2, 1, (), "m", "f")),
        Fate(own, Outcome("5 six", 2, 1, (Span(0, 1),), "m", "f")),
    ]
    [made] = made_of(plan(named, found, own), (named, found, own), fates).values()
    sent = made.sent[0]
    script = script_of(sent.pieces)
    assert sent.text == apply_script(original, script) == "two thrfour 5 six"
    assert [word for word in script if isinstance(word, str)] == ["5"]


def test_each_message_has_its_own_figures() -> None:
    """Reasons and methods too; a message that nothing was decided about has none."""
    first, second = decision("a b "), decision("c d", source=1)
    second = replace(second, segment=replace(second.segment, message=4))
    made = made_of(
        plan(first, second),
        (first, second),
        [Fate(first, Outcome("a", 3, 1, (), "m", "f")), Fate(second, None, "queue_full")],
    )
    assert {message: told.figures for message, told in made.items()} == {
        0: Figures((("context", 3, 1),), ("halve",)),
        4: Figures((("context", 2, 2),), (), ("queue_full",)),
    }


def test_a_text_that_could_not_be_shortened_as_far_as_asked_goes_out_and_says_so() -> None:
    """What must stay has more than the target; at the target, or without one, nothing is said."""
    by_rate, by_tokens = decision("a b c d "), decision("e f g h ", Use("halve", tokens=2), start=8)
    without = decision("i j k l", Use("lossless"), start=16)
    parts = (by_rate, by_tokens, without)

    def reasons(*after: int) -> tuple[str, ...]:
        fates = [
            Fate(part, Outcome("x ", 8, tokens, (), "m", "f"))
            for part, tokens in zip(parts, after, strict=True)
        ]
        assert texts(plan(*parts), fates) == {0: "x x x "}
        return made_of(plan(*parts), parts, fates)[0].figures.reasons

    assert reasons(4, 2, 7) == ()
    assert reasons(5, 2, 7) == ("above_target",)
    assert reasons(4, 3, 7) == ("above_target",)
