"""Tests of elision.policies.segments."""

from collections.abc import Callable, Hashable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elision.policies.marks import Marked, read_marks
from elision.policies.model import FewShot, Kind, Mark, PromptText, Segment
from elision.policies.segments import LONGEST_TEXT, MOST_LINES, Layout, cut

PARAGRAPH = "The mill stood by the river and its wheel turned day and night for the miller. " * 12
DOCUMENT = "\n\n".join([PARAGRAPH] * 4)
Q, C = Kind.QUESTION, Kind.CONTEXT


def words(text: str) -> int:
    """Count words, as a tokenizer that needs no download."""
    return len(text.split())


def user(*parts: str) -> tuple[Segment, ...]:
    """Return the segments of one user message made of `parts`."""
    texts = [PromptText(f"/messages/0/content/{n}/text", 0, "user", part) for n, part in enumerate(parts)]
    return cut(texts, words)


def shape(segments: tuple[Segment, ...]) -> list[tuple[Kind, str]]:
    """Return each segment's kind and the beginning of its text."""
    return [(segment.kind, " ".join(segment.text.split())[:24]) for segment in segments]


@pytest.mark.parametrize(
    ("role", "kind"),
    [
        ("system", Kind.INSTRUCTION),
        ("developer", Kind.INSTRUCTION),
        ("tool", Kind.TOOL_RESULT),
        ("function", Kind.TOOL_RESULT),
        ("assistant", Kind.HISTORY),
        ("", Kind.INSTRUCTION),
        ("narrator", Kind.INSTRUCTION),
    ],
)
def test_other_roles_texts_are_one_segment_each(role: str, kind: Kind) -> None:
    """A role that is not known may instruct, and instructions are kept."""
    text = f"{DOCUMENT}\n\nWhat now?"
    assert cut([PromptText("/p", 3, role, text)], words) == (
        Segment(0, 0, len(text), kind, role, text, words(text), 3, 0, words(text)),
    )


def test_the_last_paragraph_is_the_question() -> None:
    """The plainest of all prompts: a document, then what is asked."""
    segments = user(f"{DOCUMENT}\n\nWho owned the mill?")
    assert shape(segments) == [(C, "The mill stood by the ri"), (Q, "Who owned the mill?")]
    assert segments[1].text == "Who owned the mill?"


def test_the_question_may_stand_first() -> None:
    """Then what follows is material to its end."""
    assert shape(user(f"Who owned the mill?\n\n{DOCUMENT}")) == [
        (Q, "Who owned the mill?"),
        (C, "The mill stood by the ri"),
    ]
    marked = user(f"Question: name the owner of the mill.\n\n{DOCUMENT}")
    assert shape(marked)[0] == (Q, "Question: name the owner")
    assert shape(marked)[-1][0] is C


def test_an_opening_instruction_is_kept_beside_the_question() -> None:
    """How to answer may stand before the material."""
    segments = user(f"Answer in French only.\n\n{DOCUMENT}\n\nWho owned the mill?")
    assert [segment.kind for segment in segments] == [Q, C, Q]


@pytest.mark.parametrize("closing", ["Answer:", "Thanks!", "Answer briefly."])
def test_a_closing_that_asks_nothing_takes_the_paragraph_before_it_along(closing: str) -> None:
    """The question before the courtesy is still the question."""
    segments = user(f"{DOCUMENT}\n\nWho owned the mill?\n\n{closing}")
    assert shape(segments)[-1] == (Q, f"Who owned the mill? {closing}"[:24])


def test_a_marked_question_needs_no_empty_line() -> None:
    """`Context: ... Question: ... Answer:` on lines of their own is how templates are written."""
    segments = user(f"Context:\n{DOCUMENT}\nQuestion: Who owned the mill?\nAnswer:")
    assert shape(segments)[-1] == (Q, "Question: Who owned the ")


RULES = "You answer from the text alone.\n\nRules:\n- be brief\n- answer in French\n"


@pytest.mark.parametrize(
    ("opening", "mark", "end", "closing"),
    [
        (f"{RULES}Question: Who owned it?\n", "Context: ", "\n", "Answer:"),
        (f"{RULES}\n", "Context:\n", "\n\n", "Question: Who owned it?\nAnswer:"),
        (f"{RULES}\n", "<documents>\n", "\n</documents>\n", "Answer in one line.\n\nWho owned it?"),
        (f"{RULES}---------\n", "", "\n---------\n", "Use the above only.\nQuery: Who owned it?\nAnswer: "),
        (f"{RULES}\n", "Search results:\n", "\n===\n", "Use these.\n\nCite them.\n\nList the mill's owners."),
    ],
)
def test_common_templates_lose_neither_rules_nor_question(
    opening: str, mark: str, end: str, closing: str
) -> None:
    """What is said before the mark of the material, and after its end, is kept word for word."""
    document = "\n\n".join([PARAGRAPH * 2] * 2)
    segments = user(opening + mark + document + end + closing)
    assert [segment.kind for segment in segments] == [Q, C, Q]
    assert [segment.text for segment in segments] == [opening, mark + document + end, closing]


@pytest.mark.parametrize("line", ["Who owned the mill?", "Summarise the text above."])
def test_a_last_line_under_a_long_paragraph_is_the_question(line: str) -> None:
    """A single line end parts them too, where the paragraph is too long to be asked."""
    assert shape(user(f"{PARAGRAPH * 2}\n{line}")) == [
        (C, "The mill stood by the ri"),
        (Q, line[:24]),
    ]


def test_a_document_is_not_robbed_of_its_last_bracket() -> None:
    """JSON and markup that end a message stay whole; what stands before them is asked."""
    for document in ("{\n" + '"a": 1,\n' * 400 + '"b": 2\n}\n', "<d>\n" + "x y\n" * 400 + "</d>"):
        segments = user(f"List the keys.\n\n{document}")
        assert [segment.kind for segment in segments] == [Q, C]
        assert segments[1].text == document


def test_parts_of_one_message_are_read_together() -> None:
    """A document part and a question part are the document and its question."""
    segments = user(DOCUMENT, "Who owned the mill?")
    assert [(segment.source, segment.kind) for segment in segments] == [(0, C), (1, Q)]
    assert {segment.message for segment in segments} == {0}


@pytest.mark.parametrize("text", ["Who owned the mill?", "A.\n\nB.\n\nC.", PARAGRAPH * 9, " \n\n ", "?"])
def test_a_message_of_one_paragraph_or_a_short_one_is_all_question(text: str) -> None:
    """Where nothing is plainly material, nothing is touched."""
    assert shape(user(text)) == [(Q, " ".join(text.split())[:24])]


def test_long_paragraphs_only_are_all_question() -> None:
    """Without anything short enough to be asked, the user's words are kept."""
    assert {kind for kind, _ in shape(user("\n\n".join([PARAGRAPH * 2] * 3)))} == {Q}


def test_fenced_code_is_not_cut() -> None:
    """An empty line in code ends no paragraph, and the question may follow the fence at once."""
    code = "```python\n" + "x = 1\n\n" * 200 + "```\n"
    segments = user(f"Look at this.\n\n{code}What does it do?")
    assert shape(segments) == [
        (Q, "Look at this."),
        (C, "```python x = 1 x = 1 x "),
        (Q, "What does it do?"),
    ]
    assert segments[1].text == code


def test_a_fence_that_is_never_closed_hides_no_question() -> None:
    """Three stray backticks must not turn what is asked into material."""
    segments = user(f"{DOCUMENT}\n```\n{DOCUMENT}\n\nWho owned the mill?")
    assert shape(segments)[-1] == (Q, "Who owned the mill?")


def test_windows_line_ends_part_paragraphs_alike() -> None:
    """One CRLF is a line end, two are an empty line."""
    segments = user(f"{DOCUMENT}\n\nLine one\nWho owned the mill?".replace("\n", "\r\n"))
    assert segments[-1].text == "Line one\r\nWho owned the mill?"


def test_questions_are_known_in_other_scripts() -> None:
    """Full-width and Arabic question marks ask too."""
    for question in ("磨坊是谁的\uff1f", "لمن كانت الطاحونة؟"):
        segments = user(f"{question}\n\n{DOCUMENT}")
        assert [segment.kind for segment in segments] == [Q, C]


def test_an_empty_text_has_no_segment() -> None:
    """Nothing is neither kept nor cut."""
    assert user("") == ()
    assert cut([PromptText("/p", 0, "system", "")], words) == ()


def said(*messages: tuple[str, str], few_shot: FewShot | None = None) -> list[tuple[Kind, int]]:
    """Return kind and turn of each message of one text; a name follows its role after a slash."""
    texts = []
    for number, (role, text) in enumerate(messages):
        plain, _, name = role.partition("/")
        texts.append(PromptText(f"/messages/{number}/content", number, plain, text, name))
    return [(segment.kind, segment.turn) for segment in cut(texts, words, few_shot=few_shot or FewShot())]


S, D, H, T = Kind.INSTRUCTION, Kind.DEMONSTRATIONS, Kind.HISTORY, Kind.TOOL_RESULT


def test_an_answer_begins_a_turn() -> None:
    """What a later request repeats of a turn is the same."""
    talk = [
        ("system", "s"),
        ("user", "u"),
        ("assistant", "a"),
        ("tool", "t"),
        ("assistant", "b"),
        ("user", "v"),
    ]
    assert said(*talk) == [(S, 0), (Q, 0), (H, 1), (T, 1), (H, 2), (Q, 2)]
    assert said(("assistant", "hello"), ("user", "u")) == [(H, 0), (Q, 0)]


def test_a_message_without_texts_begins_a_turn() -> None:
    """It is an assistant's that only calls tools, whose results come in a later request or in this one."""
    texts = [PromptText("/p", number, "tool", "r") for number in (2, 3, 5)]
    assert [segment.turn for segment in cut(texts, words)] == [0, 0, 1]


def test_messages_that_are_named_examples_are_demonstrations() -> None:
    """Whatever their role; they begin no turn."""
    talk = [
        ("system/example_user", "u"),
        ("system/example_assistant", "a"),
        ("assistant/example_assistant", "b"),
    ]
    assert said(*talk, ("user/bob", "v")) == [(D, 0), (D, 0), (D, 0), (Q, 0)]
    assert said(*talk, few_shot=FewShot(named=False)) == [(S, 0), (S, 0), (H, 1)]


def test_leading_pairs_are_demonstrations_if_all_are_there() -> None:
    """A conversation's own first question is none."""
    head, pair = [("system", "s"), ("developer", "d")], [("user", "u"), ("assistant", "a")]
    two = FewShot(leading_pairs=2)
    assert said(*head, *pair, *pair, ("user", "v"), few_shot=two) == [(S, 0), (S, 0), *[(D, 0)] * 4, (Q, 0)]
    assert said(*head, *pair, ("user", "v"), few_shot=two) == [(S, 0), (S, 0), (Q, 0), (H, 1), (Q, 1)]


def test_exemplars_inside_a_message_may_be_left_to_the_text() -> None:
    """A policy may say that there are none."""
    text = "Q: one and one\nA: two\n\n" * 20 + "Q: two and two\nA:"
    assert said(("user", text)) == [(D, 0), (Q, 0)]
    assert said(("user", text), few_shot=FewShot(inside=False)) == [(Q, 0)]


def test_a_block_is_all_of_a_kind_in_a_message() -> None:
    """Tags are not counted: they are taken out."""
    texts = [
        PromptText("/a", 0, "user", "<elision off>one two</elision> three"),
        PromptText("/b", 0, "user", "four"),
    ]
    found = cut(texts, words, read=lambda text: read_marks(text, (), 0.1))
    assert {segment.block_tokens for segment in found} == {4}
    assert [s.tag for s in found] == [True, False, True, False, False]


def test_each_segment_is_counted_once() -> None:
    """Counting is what costs most; where to cut is decided by lengths."""
    counted: list[str] = []

    def count(text: str) -> int:
        counted.append(text)
        return len(text)

    texts = [PromptText("/p", 0, "user", f"Answer in French.\n\n{DOCUMENT}\n\nWho owned the mill?")]
    assert counted == [segment.text for segment in cut(texts, count)]
    assert len(counted) == 3


def test_marks_part_segments_and_say_what_holds_between_them() -> None:
    """The cut is that of the text without tags; pieces move along, and what a tag parts is none."""
    parts = [f"Document {n}: {PARAGRAPH}\n\n" for n in (1, 2, 3, 4)]
    inner = f"<elision rate='0.4'>{parts[1]}{parts[2]}</elision>"
    text = f"{parts[0]}{inner}{parts[3]}Who owned the mill?"
    found = cut([PromptText("/p", 0, "user", text)], words, read=lambda text: read_marks(text, (), 0.1))
    assert [(s.kind, s.tag, s.mark, len(s.pieces)) for s in found] == [
        (C, False, None, 0),
        (C, True, None, 0),
        (C, False, Mark(rate=0.4), 2),
        (C, True, None, 0),
        (C, False, None, 0),
        (Q, False, None, 0),
    ]
    assert [found[2].text[a:b] for a, b in found[2].pieces] == parts[1:3]


HOSTILE = (
    *(
        "Q: ",
        "Q: a\nA: b\n\n",
        "<document>\n",
        "<document>a</document>\n",
        "\n",
        "\r\n",
        "-",
        "---\n",
        "```\n",
    ),
    *(
        "<example>a</example>\nx\n",
        "Example 1: a\n",
        "abc: d\n",
        "Context:\nRules:\n",
        "# Context\n# b\n",
        "[",
        "#",
    ),
)


@pytest.mark.parametrize("role", ["user", "system", "tool"])
@pytest.mark.parametrize("unit", HOSTILE)
def test_what_is_repeated_without_end_is_cut_as_well(unit: str, role: str) -> None:
    """In time that grows with the length alone; what grows with its square would not end here."""
    text = unit * min(300_000 // len(unit), MOST_LINES // max(1, unit.count("\n")))
    found = cut([PromptText("/p", 0, role, text)], len)
    assert "".join(segment.text for segment in found) == text


@pytest.mark.parametrize("text", ["a\n" * (MOST_LINES + 1), "word " * (LONGEST_TEXT // 5 + 1)])
def test_what_is_too_much_to_be_cut_is_one_segment(text: str) -> None:
    """A user's is kept; planning it would hold up everybody else's requests."""
    roles = {"user": Q, "system": Kind.INSTRUCTION, "tool": Kind.TOOL_RESULT}
    for role, kind in roles.items():
        [segment] = cut([PromptText("/p", 0, role, f"{text}\n\nWhat is it?")], len)
        assert (segment.kind, segment.pieces) == (kind, ())


LINES = st.sampled_from(
    [
        "a b c",
        "Q: why?",
        "Question: x",
        "```",
        "~~~",
        "",
        " \t",
        "?",
        "x " * 70,
        "x " * 350,
        "\u2028",
        "é 中文\uff1f",
    ]
)
ENDS = st.sampled_from(["\n", "\r\n", "\r", "\n\n", "\r\n\r\n", "\n \n"])
PROSE = st.lists(st.tuples(LINES, ENDS), max_size=12).map(lambda pairs: "".join(a + b for a, b in pairs))
ROLES = st.sampled_from(["user", "user", "system", "assistant", "tool", "?"])
MESSAGES = st.lists(st.tuples(ROLES, st.lists(PROSE | st.text(), max_size=3)), max_size=5)


def prompt(messages: list[tuple[str, list[str]]], first: int = 0) -> list[PromptText]:
    """Return the texts of messages, as the proxy finds them in a body."""
    return [
        PromptText(f"/messages/{number}/content/{part}/text", number, role, text)
        for number, (role, parts) in enumerate(messages, first)
        for part, text in enumerate(parts)
    ]


@given(MESSAGES)
def test_the_segments_of_a_text_concatenate_to_it(messages: list[tuple[str, list[str]]]) -> None:
    """Whatever the script, the line ends or the emptiness, no character is lost or doubled."""
    texts = prompt(messages)
    segments = cut(texts, words)
    for source, text in enumerate(texts):
        own = [segment for segment in segments if segment.source == source]
        assert "".join(segment.text for segment in own) == text.text
        assert all(text.text[s.start : s.end] == s.text != "" for s in own)
        assert all((s.role, s.message, s.tokens) == (text.role, text.message, words(s.text)) for s in own)
        for segment in own:
            ends = [at for piece in segment.pieces for at in piece]
            assert ends == sorted(ends)
            assert not ends or (len(ends) > 2 and ends[0] >= 0 and ends[-1] <= len(segment.text))
    assert [s.source for s in segments] == sorted(s.source for s in segments)


@given(MESSAGES, MESSAGES)
def test_later_messages_change_nothing_before_them(
    earlier: list[tuple[str, list[str]]], later: list[tuple[str, list[str]]]
) -> None:
    """Promise 4: a message is cut alike in every turn that repeats it."""
    alone = cut(prompt(earlier), words)
    together = cut(prompt([*earlier, *later]), words)
    assert together[: len(alone)] == alone


@given(st.lists(PROSE | st.text(), min_size=1, max_size=3))
def test_a_message_with_anything_to_say_keeps_something(parts: list[str]) -> None:
    """Never is all of a user's message material: somewhere it must ask."""
    segments = user(*parts)
    assert not segments or any(segment.kind is Q for segment in segments)


@given(MESSAGES)
def test_a_remembered_cut_is_the_same(messages: list[tuple[str, list[str]]]) -> None:
    """Who is asked for each message's layout may answer with what an earlier request found."""
    known: dict[object, Layout] = {}
    asked: list[object] = []

    def recall(about: tuple[Hashable, ...], texts: Sequence[str], find: Callable[[], Layout]) -> Layout:
        key = (about, *texts)
        asked.append(key)
        if key not in known:
            known[key] = find()
        return known[key]

    texts = prompt(messages)
    first, second = cut(texts, words, recall=recall), cut(texts, words, recall=recall)
    assert first == second == cut(texts, words)
    assert len(known) <= len(asked) // 2


@given(MESSAGES)
def test_messages_are_cut_apart_from_one_another(messages: list[tuple[str, list[str]]]) -> None:
    """In another order each is cut as it was; only places and turns follow the order."""
    there = cut(prompt(messages), words)
    back = cut(prompt(messages[::-1]), words)
    last = len(messages) - 1

    def shape(segment: Segment, message: int) -> tuple[object, ...]:
        return message, segment.kind, segment.start, segment.end, segment.pieces, segment.block_tokens

    assert sorted(map(str, (shape(s, s.message) for s in there))) == sorted(
        map(str, (shape(s, last - s.message) for s in back))
    )


TAGS = st.sampled_from(
    [
        "<elision off>",
        "</elision>",
        "<llmlingua, rate=0.5>",
        "</llmlingua>",
        "a b ",
        "\n\n",
        "Q: c?\n",
        PARAGRAPH,
    ]
)


@given(st.lists(TAGS, max_size=14).map("".join), st.sampled_from(["user", "system", "tool"]))
def test_marked_texts_are_whole_as_well(text: str, role: str) -> None:
    """No character is lost or doubled; tags are apart, and without them the cut is what it would be."""
    seen: list[Marked] = []

    def read(text: str) -> Marked:
        seen.append(read_marks(text, (), 0.1))
        return seen[-1]

    found = cut([PromptText("/p", 0, role, text)], words, read=read)
    assert "".join(segment.text for segment in found) == text
    assert tuple((s.start, s.end) for s in found if s.tag) == seen[0].tags
    for segment in found:
        held = [mark for start, end, mark in seen[0].regions if start <= segment.start < end]
        assert segment.mark == (held[0] if held and not segment.tag else None)
    clean = "".join(segment.text for segment in found if not segment.tag)
    plain = cut([PromptText("/p", 0, role, clean)], words)
    kinds = [segment.kind for segment in found if not segment.tag for _ in segment.text]
    assert kinds == [segment.kind for segment in plain for _ in segment.text]
