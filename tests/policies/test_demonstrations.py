"""Tests of elision.policies.demonstrations."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elision.policies.demonstrations import exemplars
from elision.policies.outline import outline

LONG = "How many wheels had the mill after it was rebuilt in brick"


def found(text: str, *, instructs: bool = False) -> list[list[str]]:
    """Return the texts of the exemplars, run by run."""
    runs = exemplars(outline(text), instructs)
    return [[text[start:end] for start, end in run.spans] for run in runs]


def pairs(first: str, second: str, count: int, between: str = "\n\n") -> list[str]:
    return [f"{first} {LONG} in year {n}?\n{second} about {n} in all{between}" for n in range(count)]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Q:", "A:"),
        ("Question:", "Answer:"),
        ("Input:", "Output:"),
        ("Text:", "Label:"),
        ("Sentence:", "Sentiment:"),
        ("**Input:**", "**Output:**"),
        ("输入：", "输出："),
        ("質問：", "回答："),
        ("Frage:", "Antwort:"),
        ("Вопрос:", "Ответ:"),
        ("Pregunta:", "Respuesta:"),
        ("السؤال:", "الجواب:"),
        ("English:", "French:"),
        ("Company:", "Ticker:"),
    ],
)
def test_pairs_before_an_unanswered_one_are_exemplars(first: str, second: str) -> None:
    """What is asked has the same shape and no answer yet; the labels need not be known."""
    shown = pairs(first, second, 3)
    assert found("Head.\n\n" + "".join(shown) + f"{first} and {LONG}?\n{second}") == [shown]


def test_the_answer_of_the_last_may_be_begun() -> None:
    """ "Let's think step by step" is the beginning of every answer, and no answer."""
    shown = [f"Q: {LONG}?\nA: Let's think step by step.\nFirst {n}. So it is {n}.\n\n" for n in (1, 2)]
    assert found("".join(shown) + f"Q: {LONG}?\nA: Let's think step by step.") == [shown]


def test_answers_need_no_label_where_all_but_the_last_are_longer() -> None:
    """GSM8K's shape: "Question:" alone, and lines of reasoning below."""
    shown = [f"Question: {LONG}?\nThere were {n}.\nThe answer is {n}\n\n" for n in (1, 2, 3)]
    assert found("".join(shown) + f"Question: {LONG}?\n") == [shown]
    assert found("".join(shown), instructs=True) == [shown]


def test_an_exemplar_begins_with_its_context() -> None:
    """Context, question and answer belong together."""
    shown = [f"Context: {LONG}.\nQuestion: {n}?\nAnswer: {n}\n\n" for n in (1, 2)]
    assert found("".join(shown) + f"Context: {LONG}.\nQuestion: 3?\nAnswer:") == [shown]


@pytest.mark.parametrize(
    "head",
    ["Example {}:", "### Example {}", "**Example {}**", "Beispiel {}:", "示例{}：", "### Example {}: dates"],
)
def test_headed_examples_end_as_their_like_do(head: str) -> None:
    """What follows the last is not taken along."""
    shown = [f"{head.format(n)}\n{LONG} is said of {n}.\nYes.\n\n" for n in (1, 2, 3)]
    assert found("Do it.\n\n" + "".join(shown) + "Now answer the user.", instructs=True) == [shown]


def test_tagged_examples_are_runs() -> None:
    """Text between two runs is in neither."""
    shown = [f"<example>\n{LONG} {n}\n</example>\n" for n in range(4)]
    text = "<examples>\n" + shown[0] + shown[1] + "</examples>\nMore:\n" + shown[2] + shown[3]
    assert found(text) == [shown[:2], shown[2:]]


def test_a_system_messages_pairs_are_exemplars_to_the_last() -> None:
    """The question comes in another message; instructions below stay apart."""
    shown = pairs("Q:", "A:", 3)
    assert found("".join(shown) + "Be brief.", instructs=True) == [shown]
    assert found("Be brief.\n\n" + "".join(shown), instructs=True) == [shown]
    assert found("<examples>\n" + "".join(shown) + "</examples>\n", instructs=True) == [shown]


def test_a_dialogue_is_an_example_where_it_is_called_one() -> None:
    """A user's transcript is what happened; a system's shows how to speak."""
    talk = pairs("User:", "Assistant:", 3)
    assert found("".join(talk) + "User: hello?\nAssistant:") == []
    assert found("Examples of talks:\n\n" + "".join(talk) + "User: hello?\nAssistant:") == [talk]
    assert found("".join(talk), instructs=True) == [talk]
    call = "".join(f"Anna: {LONG} {n}?\nBen: in {n}.\n" for n in range(4))
    assert found(f"{call}Anna: thanks!\nBen:") == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Q: a\nA: b",
        f"Q: {LONG}?\nA: b\n\nQ: {LONG}?\nA:",
        "".join(pairs("Q:", "A:", 4)) + "Which of these mention the year 2?",
        "FAQ:\n" + "".join(pairs("Q:", "A:", 3)) + f"Q: {LONG}?\nA:",
        "".join(f"Title: {LONG} {n}\nSummary: text {n}\n\n" for n in range(4)) + "Question: x\nAnswer:",
        "".join(f"Name: {LONG} {n}\nDescription: text {n}\n\n" for n in range(4)),
        "".join(f"Agent: {LONG} {n}\nCaller: text {n}\n" for n in range(4)),
        f"```\n{''.join(pairs('Q:', 'A:', 3))}Q: x\nA:\n```",
        f"Question: {LONG}?\nContext: {LONG}.\nQuestion: {LONG}?\nAnswer:",
        f"Example: {LONG}.\n\nText.\n\nExample: {LONG}.\n\nText that is not the same.",
    ],
)
def test_what_is_not_plainly_a_set_of_examples_is_none(text: str) -> None:
    """One complete pair, an FAQ that is asked about, results, lists, calls, code, a repeated question."""
    assert found(text) == []


@pytest.mark.parametrize("heading", ["## FAQ", "Knowledge base:", "<faq>"])
def test_a_system_messages_faq_is_knowledge(heading: str) -> None:
    """Pairs right below such a heading say how things are, not how to answer."""
    assert found(f"{heading}\n" + "".join(pairs("Q:", "A:", 3)), instructs=True) == []


def test_a_last_exemplar_of_doubtful_length_is_left_out() -> None:
    """Where the others have different numbers of paragraphs, nobody knows where the last one ends."""
    first, second = (f"Q: {LONG}?\nA: one\n\n", f"Q: {LONG}?\nA: one\n\ntwo\n\n")
    assert found(first + second + first + "two\n\nBe brief.", instructs=True) == [[first, second]]


LINES = st.sampled_from(
    [
        "Q: a b c",
        "A: d",
        "A:",
        "Question: e",
        "Example 1:",
        "Example 2:",
        "<example>",
        "</example>",
        "---",
        "## Rules",
        "Input: f",
        "Output: g",
        "X: 1",
        "Y: 2",
        "",
        LONG,
    ]
)


@given(st.lists(LINES, max_size=16).map("\n".join), st.booleans())
def test_exemplars_are_disjoint_and_inside(text: str, instructs: bool) -> None:
    """Whatever stands where, ranges ascend, touch within a run, and none is empty."""
    runs = exemplars(outline(text), instructs)
    spans = [span for run in runs for span in run.spans]
    assert all(0 <= start < end <= len(text) for start, end in spans)
    assert all(a[1] <= b[0] for a, b in pairwise(spans))
    assert all(a[1] == b[0] for run in runs for a, b in pairwise(run.spans))
    assert len(spans) != 1
    assert all((run.start, run.end) == (run.spans[0][0], run.spans[-1][1]) for run in runs)
