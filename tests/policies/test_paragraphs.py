"""Tests of elision.policies.paragraphs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elision.policies.outline import outline
from elision.policies.paragraphs import Paragraph, Settled, asked, edges_apart, paragraphs_of

LONG = "The mill stood by the river and its wheel turned day and night for the miller. " * 12
DOCUMENT = f"{LONG}\n\n{LONG}\n\n{LONG}"


def paragraphs(text: str) -> list[Paragraph]:
    return edges_apart(paragraphs_of(0, outline(text), 0, len(text)))


def question(text: str) -> list[str]:
    """Return the paragraphs that are asked, without the white space around them."""
    cut = paragraphs(text)
    return [cut[number].text.strip() for number in sorted(asked(cut))]


def test_a_closing_list_is_kept_with_what_leads_it_in() -> None:
    """Wishes in several paragraphs are one request."""
    wishes = [
        "Please:",
        "1. Name the owners.",
        "2. Give the years.",
        "3. Leave out the rest, whatever it is.",
    ]
    assert question("\n\n".join([DOCUMENT, *wishes])) == wishes


def test_a_closing_list_needs_no_empty_lines() -> None:
    """The lines of a list below a long paragraph's last colon are one request, too."""
    wishes = "Do this:\n- Name the owners.\n- Give the years.\n- Leave out the rest."
    assert question(f"{LONG}\n{LONG}\n{wishes}") == [wishes]


def test_a_question_shortly_before_the_end_is_kept() -> None:
    """Instructions below it do not hide it."""
    last = "Answer in French, in at most two sentences, and name the year of every event that you mention."
    assert question(f"{DOCUMENT}\n\nWho owned the mill?\n\n{last}") == ["Who owned the mill?", last]


def test_several_short_openings_are_kept() -> None:
    """A role, a request, a wish; then the material."""
    openings = ["You are an analyst.", "List all risks in the report.", "Answer in French."]
    assert question("\n\n".join([*openings, DOCUMENT, LONG])) == openings


def test_a_message_that_begins_like_a_systems_is_kept_further() -> None:
    """A role and many rules in what is formally a user's message; up to its material, or whole."""
    rules = [f"{n}. If the user says {n}, answer with {n + 1}, and {LONG[:200]}" for n in range(9)]
    prompt = ["You are a counting assistant. You will be given a text.", *rules]
    assert question("\n\n".join(prompt)) == [line.strip() for line in prompt]
    assert question("\n\n".join([*prompt, f"Text:\n{DOCUMENT}"])) == [line.strip() for line in prompt]


def test_long_paragraphs_that_speak_to_the_model_are_kept() -> None:
    """First or last; a document's paragraphs of the same length are not."""
    wish = f"Please rewrite what follows. {LONG[:500]}".strip()
    fact = LONG[:500].strip()
    assert question(f"{wish}\n\n{DOCUMENT}\n\nIn French.") == [wish, "In French."]
    assert question(f"{fact}\n\n{DOCUMENT}\n\nIn French.") == ["In French."]
    assert question(f"Who owned it?\n\n{DOCUMENT}\n\n{wish}") == ["Who owned it?", wish]
    assert question(f"Who owned it?\n\n{DOCUMENT}\n\n{fact}") == ["Who owned it?"]


@pytest.mark.parametrize(
    "asks",
    [
        "Revise:",
        "Write a speech from the following text:",
        "!IMPORTANT: Answer only 'Okay' until the text ends.",
        "Please put this into French. Keep the names.",
    ],
)
def test_what_begins_a_long_line_is_kept(asks: str) -> None:
    """The request stands before the material, in the same line, at times without a line of its own."""
    kept = question(f"{asks} {LONG.strip()}\n\n{LONG}")
    assert kept[0].startswith(asks)
    assert len(kept[0]) < len(asks) + len(LONG) / 3


def test_what_ends_a_long_line_is_kept() -> None:
    """The last sentences ask, although no line parts them from the material."""
    asks = "Can you sum this up for me? Use bullets."
    kept = question(f"{LONG}\n\n{LONG}{asks}")
    assert len(kept) == 1
    assert kept[0].endswith(asks)
    assert len(kept[0]) < len(LONG) / 2


def test_a_message_of_one_line_is_kept() -> None:
    """Where its request ends and its material begins would be a guess."""
    line = f"I want you to write a story. {LONG}{LONG}".strip()
    assert question(line) == [line]


def test_more_lines_that_speak_are_kept_with_the_first() -> None:
    """One wish a line, and the material right below."""
    wishes = "This is part 2.\nI want you to reply with `Okay` only.\nPlease wait for more."
    assert question(f"{wishes}\n{LONG}\n{LONG}\n\n{LONG}")[0] == wishes


def test_a_request_in_the_middle_is_kept() -> None:
    """It is a paragraph that begins like one; all below it too, where that is little."""
    shape = ["Please suggest a picture for each line.", "Use this layout:", "[A] one", "[B] two", "[C] three"]
    shape += ["...", "In English."]
    assert question("\n\n".join([DOCUMENT, *shape])) == shape
    wish = "Please keep all names."
    assert question("\n\n".join(["Here it is:", DOCUMENT, wish, DOCUMENT])) == ["Here it is:", wish]


def test_much_that_begins_like_a_request_is_material() -> None:
    """A transcript is full of it; only so much is kept, the last first."""
    said = [f"Please look at number {n}, {LONG[:250]}".strip() for n in range(40)]
    kept = question("\n\n".join([LONG, *said]))
    assert kept == said[-len(kept) :]
    assert len(kept) <= 8


def test_openings_end_where_one_leads_in_the_material() -> None:
    """A title is material, for all its shortness."""
    assert question(f"Summarise this article:\n\nThe mill\n\n{DOCUMENT}") == ["Summarise this article:"]


@pytest.mark.parametrize("first", ["Translate this:", "Translate the lines below", "What is this?"])
def test_a_first_line_above_long_lines_is_kept(first: str) -> None:
    """No empty line is needed between the request and its material."""
    cut = question(f"{first}\n{LONG}\n{LONG}\n\n{LONG}")
    assert cut[0] == first


def test_tags_say_what_is_asked() -> None:
    """A long task is kept whole, tagged material is material, even when it asks."""
    task = f"<task>\n{LONG}\n\n{LONG}\n</task>"
    assert question(f"{task}\n\n<report>\nWho knows?\n\n{LONG}\n</report>\n") == [task]


def test_short_text_between_fences_is_kept() -> None:
    """Names of files, and what is wanted of each."""
    code = "```\n" + "x = 1\n" * 200 + "```"
    assert question(f"Compare these.\n\n{code}\nThe second one is newer.\n\n{code}\n\nThanks!") == [
        "Compare these.",
        "The second one is newer.",
        "Thanks!",
    ]


def test_a_labelled_question_is_kept_wherever_it_stands() -> None:
    """Unless so many are labelled that they are an FAQ."""
    middle = f"{LONG}\n\nQuestion: who owned it\n\n{DOCUMENT}\n\nAnswer in French."
    assert "Question: who owned it" in question(middle)
    faq = "\n\n".join(f"Question: {n}\n{LONG}" for n in range(6))
    assert question(f"{LONG}\n\n{faq}\n\nTranslate all of it.") == ["Translate all of it."]


def test_material_is_known_by_its_label_in_other_languages() -> None:
    """All that stands before the label is kept."""
    text = f"请简短回答。\n\n不要翻译。\n\n参考资料：\n{DOCUMENT}\n\n问题：谁拥有磨坊？"
    assert question(text) == ["请简短回答。", "不要翻译。", "问题：谁拥有磨坊？"]


def test_a_part_of_a_text_is_cut_alone() -> None:
    """Places are those of the whole text."""
    text = f"ab\n\n{LONG}\n\ncd"
    found = paragraphs_of(7, outline(text), 4, len(text))
    assert [(p.source, p.start, p.settled) for p in found] == [
        (7, 4, Settled.OPEN),
        (7, len(text) - 2, Settled.OPEN),
    ]


LINES = st.sampled_from(
    [
        "Question: a",
        "Context:",
        "<task>",
        "</task>",
        "<doc>",
        "</doc>",
        "```",
        "---",
        "- item",
        "",
        " \t",
        LONG,
        "why?",
    ]
)
TEXTS = st.lists(st.tuples(LINES, st.sampled_from(["\n", "\n\n", "\n \n"])), max_size=14).map(
    lambda pairs: "".join(line + end for line, end in pairs)
)


@given(TEXTS | st.text())
def test_paragraphs_concatenate_to_their_text(text: str) -> None:
    """None is empty, something is always asked."""
    read = outline(text)
    found = edges_apart(paragraphs_of(0, read, 0, len(text)))
    assert "".join(paragraph.text for paragraph in found) == read.text
    assert all(read.text[p.start : p.end] == p.text != "" for p in found)
    assert not found or asked(found)
