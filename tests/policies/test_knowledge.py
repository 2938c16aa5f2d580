"""Tests of elision.policies.knowledge."""

import pytest

from elision.policies.knowledge import knowledge
from elision.policies.outline import outline

FACTS = "The harbour has a single pair of gates, which open two hours before high water. " * 12
RULES = "# Rules\n- Be brief.\n- Never quote prices.\n"


def found(text: str) -> list[str]:
    """Return the parts of a system message that are material."""
    return [text[start:end] for start, end in knowledge(outline(text), 0, len(text))]


def test_tagged_documents_are_material() -> None:
    """Instructions before and after, and in other tags, stay instructions."""
    inside = f"<documents>\n<doc>{FACTS}</doc>\n</documents>\n"
    assert found(f"Be kind.\n{inside}<rules>\n{FACTS}\n</rules>\n") == [inside]
    two = f"<doc>\n{FACTS}\n</doc>\n\n<doc>\n{FACTS}\n</doc>\n"
    assert found(f"Be kind.\n\n{two}Bye.") == [two]
    assert found("<documents>\nNone.\n</documents>") == []


@pytest.mark.parametrize(
    "heading",
    [
        "# Knowledge base",
        "## Context",
        "Context:",
        "**Documents**",
        "Retrieved documents:",
        "上下文：",
        "资料：",
        "Kontext:",
    ],
)
def test_material_below_a_heading_ends_where_instructions_begin(heading: str) -> None:
    """Its own line, and enough of it."""
    inside = f"{heading}\n{FACTS}\n\n{FACTS}\n\n"
    assert found(f"# Role\nYou help.\n\n{inside}{RULES}") == [inside]
    assert found(f"You help.\n\n{inside}Answer briefly.") == [inside]
    assert found(f"You help.\n\n{heading}\nA harbour office.\n\n{RULES}") == []


def test_a_heading_in_the_documents_does_not_end_them() -> None:
    """Where the prompt has no headings of its own, or lower ones are below."""
    inside = f"## Context\n### Gates\n{FACTS}\n### Dues\n{FACTS}\n"
    assert found(f"## Role\nYou help.\n{inside}## Style\nBe brief.") == [inside]


def test_context_on_the_labels_own_line_is_background() -> None:
    """ "Context: you work for ..." tells the model who it is."""
    assert found(f"Context: you work for a harbour. {FACTS * 3}\n\n{RULES}") == []


def test_material_below_a_line_of_dashes_that_is_pointed_to() -> None:
    """LangChain's and LlamaIndex's templates; a line that parts instructions from instructions is none."""
    head = "Use the following pieces of context to answer.\n"
    assert found(f"{head}----------\n{FACTS}\n\n{FACTS}") == [f"----------\n{FACTS}\n\n{FACTS}"]
    assert found(f"{head}-----\n{FACTS}\n-----\nBe brief.") == [f"-----\n{FACTS}\n-----\n"]
    assert found(f"You help.\n-----\n{FACTS}") == []
    assert found(f"{head}-----\n{FACTS}\n\nRules: be brief.\n") == []


def test_short_last_paragraphs_are_instructions() -> None:
    """How to use the material may stand below it."""
    text = f"Context:\n{FACTS}\n\nAnswer from it only.\n\nBe brief."
    assert found(text) == [f"Context:\n{FACTS}\n\n"]


def test_plain_instructions_hold_no_material() -> None:
    """However long they are."""
    assert found(f"{FACTS}\n\n{RULES}\n\n{FACTS}") == []
