"""Tests of elision.policies.gate."""

from dataclasses import replace

import pytest

from elision.policies.conditions import Subject
from elision.policies.gate import needs_target, refusal
from elision.policies.model import Ability, Kind, Segment, TextKind, When
from fakes.senses import ABILITIES, Watched

ANYTHING = When()
ONLY = "selective_context is for"


def why_not(
    text: str, method: str = "selective_context", when: When = ANYTHING, *, is_marked: bool = False
) -> str:
    """Return why a method may not touch a text whose first words say its kind and language."""
    segment = Segment(0, 0, len(text), Kind.CONTEXT, "user", text, 400)
    return refusal(method, Subject(segment, Watched().senses), when, is_marked=is_marked)


@pytest.mark.parametrize(
    ("text", "method", "why"),
    [
        (
            "table en",
            "selective_context",
            f"{ONLY} prose, and this looks like table; name `kind: table` in the rule to allow it",
        ),
        (
            "prose de",
            "selective_context",
            f"{ONLY} the language en, and this looks like de; name `language: de` in the rule to allow it",
        ),
        (
            "prose ??",
            "selective_context",
            f"{ONLY} the language en, and this text's is not plain",
        ),
        (
            "code en",
            "lossless",
            "code is left alone unless it is named; name `kind: code` in the rule to allow it",
        ),
        (
            "json en",
            "any",
            "json is left alone unless it is named; name `kind: json` in the rule to allow it",
        ),
    ],
)
def test_a_text_that_a_method_was_not_made_for_is_refused(text: str, method: str, why: str) -> None:
    """The reason says what would allow it."""
    assert why_not(text, method) == why


@pytest.mark.parametrize(
    ("text", "method"),
    [("prose en", "selective_context"), ("log ??", "any"), ("json en", "lossless"), ("table de", "lossless")],
)
def test_what_a_method_was_made_for_passes(text: str, method: str) -> None:
    """A method that leaves nothing out may touch all but code."""
    assert why_not(text, method) == ""


@pytest.mark.parametrize("kind", [TextKind.CODE, TextKind.TABLE, TextKind.ENCODED])
def test_a_rule_that_names_a_kind_allows_it_but_no_other_language(kind: TextKind) -> None:
    """Each of the two is named for itself."""
    named = When(text_kind=(kind,))
    assert why_not(f"{kind} en", when=named) == ""
    assert "looks like de" in why_not(f"{kind} de", when=named)
    assert why_not(f"{kind} de", when=replace(named, language=("de",))) == ""
    assert "looks like" in why_not(f"{TextKind.TABLE} de", when=When(language=("de",)))


def test_a_method_that_was_made_for_json_may_touch_it() -> None:
    """What breaks others' texts is what this one says it can read; code is left alone even so."""
    made = Ability(text_kinds=frozenset((TextKind.JSON, TextKind.CODE)))
    senses = replace(Watched().senses, abilities={"reader": made})
    segment = Segment(0, 0, 1, Kind.CONTEXT, "user", "json en", 400)
    assert refusal("reader", Subject(segment, senses), ANYTHING) == ""
    code = Subject(replace(segment, text="code en"), senses)
    assert "left alone" in refusal("reader", code, ANYTHING)


def test_a_tag_opens_the_gate_to_a_language_that_is_not_plain_only() -> None:
    """The part that a user marks is often too short to tell its language."""
    assert why_not("prose ??", is_marked=True) == ""
    assert why_not("prose de", is_marked=True).endswith("de; name a method in the tag to allow it")
    assert why_not("code en", "any", is_marked=True).endswith("name a method in the tag to allow it")


def test_only_what_the_method_depends_on_is_asked() -> None:
    """A method for any language asks for none; a rule that names kinds need not be asked twice."""
    watched = Watched()
    subject = Subject(Segment(0, 0, 1, Kind.CONTEXT, "user", "prose en", 400), watched.senses)
    assert refusal("any", subject, When(text_kind=(TextKind.PROSE,))) == ""
    assert not watched.asked
    assert refusal("any", subject, ANYTHING) == ""
    assert set(watched.asked) == {("text_kind", "prose en")}


def test_a_method_that_nothing_is_known_of_must_be_told_how_far() -> None:
    """It is taken for one that leaves words out."""
    senses = Watched().senses
    assert needs_target("unheard-of", senses)
    assert not needs_target("lossless", senses)
    assert "unheard-of" not in ABILITIES
