"""Keys that say all, values that prove themselves and hold no text that is known."""

import dataclasses
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elision.compressors.base import Identity, Job, Method, Outcome, Span, Target
from elision.proxy import values
from elision.proxy.cache import keys_of, pack, unpack
from elision.proxy.store import scope_of

TEAM = scope_of("t")
TEXT = "The quick brown fox jumps over the lazy dog; nobody saw it happen there. 你好 🦊"
JOB = Job(TEXT, Method("m", (("level", "phrase"),)), Target(rate=0.5, model="gpt-4o", question="why?"))
IDENTITY = Identity("m:1 forced", "m:1", reads_question=False)
KEPT = (Span(4, 9), Span(16, 20), Span(72, 78))
OUTCOME = Outcome("".join(TEXT[s.start : s.end] for s in KEPT), 20, 5, KEPT, "m", "m:1 forced")
LOSSLESS = Outcome("a text of its own", 20, 5, (), "m", "m:1 forced")
LEFT = Outcome(TEXT, 20, 20, (), "m", "m:1 forced", "not_shorter")


@pytest.mark.parametrize(
    "target",
    [
        dataclasses.replace(JOB.target, rate=0.4),
        dataclasses.replace(JOB.target, rate=None, tokens=9),
        dataclasses.replace(JOB.target, model="gpt-4"),
        dataclasses.replace(JOB.target, protect=("urls",)),
    ],
)
def test_another_target_is_another_outcome_of_the_same_scores(target: Target) -> None:
    """So that a changed rate finds what was found of the text."""
    other = dataclasses.replace(JOB, target=target)
    mine, others = keys_of(JOB, IDENTITY, TEAM), keys_of(other, IDENTITY, TEAM)
    assert mine.outcome != others.outcome
    assert mine.scores == others.scores


def test_another_text_shares_nothing() -> None:
    """Not even where it differs in a space."""
    mine = keys_of(JOB, IDENTITY, TEAM)
    others = keys_of(dataclasses.replace(JOB, text=TEXT + " "), IDENTITY, TEAM)
    assert not set(mine) & set(others)


@pytest.mark.parametrize(("reads", "shared"), [(True, False), (False, True)])
def test_the_question_counts_where_the_method_reads_it(reads: bool, shared: bool) -> None:
    """A document that many ask about is read once by a method that does not look at what they ask."""
    identity = dataclasses.replace(IDENTITY, reads_question=reads)
    other = dataclasses.replace(JOB, target=dataclasses.replace(JOB.target, question="when?"))
    mine, others = (keys_of(job, identity, TEAM) for job in (JOB, other))
    assert [a == b for a, b in zip(mine, others, strict=True)] == [shared, shared]


def test_teams_and_fingerprints_do_not_share_keys() -> None:
    """No team can learn by timing what another sent; new weights make new outcomes and scores."""
    others = [("f", "s", "t"), ("g", "s", "t"), ("f", "s", "u"), ("fs", "", "t"), ("f", "r", "t")]
    keys = [keys_of(JOB, Identity(whole, scorer), scope_of(team)) for whole, scorer, team in others]
    assert len({one.outcome for one in keys}) == 4, "the scorer is part of the whole"
    assert len({one.scores for one in keys}) == 4, "the selector is no part of the scores"
    assert keys[3].scores == b""
    assert keys[0] == keys_of(JOB, Identity("f", "s"), TEAM)


def test_outcomes_scores_and_leases_of_a_team_lie_together_and_never_meet() -> None:
    """One scope, three kinds."""
    keys = keys_of(JOB, IDENTITY, TEAM)
    assert len({keys.outcome, keys.scores, keys.lease}) == 3
    assert len({keys.outcome[:8], keys.scores[:8], keys.lease[:8]}) == 1


@pytest.mark.parametrize("outcome", [OUTCOME, LOSSLESS, LEFT], ids=["ranges", "text", "unchanged"])
def test_an_outcome_comes_back_equal(outcome: Outcome) -> None:
    """Packed and unpacked, of ranges or not."""
    assert unpack(pack(outcome, TEXT), JOB, IDENTITY) == outcome


@given(st.text(min_size=1), st.data())
def test_any_slices_of_any_text_come_back_equal(text: str, data: st.DataObject) -> None:
    """In every script, lone surrogates left out, as bodies with them are not looked into."""
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=8)))
    kept = tuple(Span(a, b) for a, b in list(pairwise(cuts))[::2])
    chosen = "".join(text[span.start : span.end] for span in kept) if kept else text
    outcome = dataclasses.replace(OUTCOME, text=chosen, kept=kept)
    job = dataclasses.replace(JOB, text=text)
    assert unpack(pack(outcome, text), job, IDENTITY) == outcome


def test_slices_that_changed_places_come_back_in_their_order() -> None:
    """As of documents that were put in another order; numbers then go back, and no text is kept."""
    kept = (Span(8, 12), Span(0, 4), Span(5, 7))
    text = "".join(TEXT[span.start : span.end] for span in kept)
    outcome = dataclasses.replace(OUTCOME, text=text, kept=kept)
    packed = pack(outcome, TEXT)
    assert unpack(packed, JOB, IDENTITY) == outcome
    assert text.encode() not in (values.unpack(packed) or text.encode())


def test_what_is_made_of_slices_is_kept_without_text() -> None:
    """The text is known to whoever asks; a store that is read by others shows none of it."""
    for outcome in (OUTCOME, LEFT):
        content = values.unpack(pack(outcome, TEXT))
        assert content is not None
        assert not any(word.encode() in content for word in TEXT.split())


@pytest.mark.parametrize("outcome", [OUTCOME, LEFT])
def test_a_value_of_another_text_does_not_apply(outcome: Outcome) -> None:
    """Ranges give some text of any original, but not the one that was made."""
    other = dataclasses.replace(JOB, text=TEXT.swapcase())
    assert unpack(pack(outcome, TEXT), other, IDENTITY) is None
    shorter = dataclasses.replace(JOB, text=TEXT[:10])
    assert unpack(pack(outcome, TEXT), shorter, IDENTITY) is None


@given(st.integers(0, 10_000), st.integers(1, 255), st.sampled_from([OUTCOME, LOSSLESS, LEFT]))
def test_a_damaged_value_is_a_miss(place: int, flip: int, outcome: Outcome) -> None:
    """Whichever byte changed."""
    value = bytearray(pack(outcome, TEXT))
    value[place % len(value)] ^= flip
    assert unpack(bytes(value), JOB, IDENTITY) is None


@given(st.binary(), st.booleans())
def test_a_foreign_value_is_a_miss(value: bytes, framed: bool) -> None:
    """Whatever the bytes, in a sound frame or not."""
    assert unpack(values.pack(value) if framed else value, JOB, IDENTITY) is None
