"""Tests of elision.policies.cues."""

import pytest

from elision.policies.cues import (
    DOCUMENT_TAGS,
    EXAMPLE_TAGS,
    INPUTS,
    KNOWLEDGE_TAGS,
    MATERIAL_TAGS,
    OUTPUTS,
    QUESTION_TAGS,
    SPEAKERS,
    Cue,
    cue,
    normal,
)


@pytest.mark.parametrize(
    ("written", "label"),
    [
        ("Question 3", "question"),
        ("**Context**", "context"),
        ("Document [12]", "document"),
        ("【参考资料】", "参考资料"),
        ("User question", "user question"),
        ("Q1", "q"),
        ("7", ""),
    ],
)
def test_a_label_is_known_whatever_its_markup_and_number(written: str, label: str) -> None:
    """What a person reads as the same word is one word here."""
    assert normal(written) == label


@pytest.mark.parametrize(
    ("label", "meaning"),
    [
        ("question", Cue.QUESTION),
        ("user question", Cue.QUESTION),
        ("the final question", Cue.QUESTION),
        ("frage", Cue.QUESTION),
        ("问题", Cue.QUESTION),
        ("質問", Cue.QUESTION),
        ("вопрос", Cue.QUESTION),
        ("السؤال", Cue.QUESTION),
        ("retrieved context", Cue.MATERIAL),
        ("here are the search results", Cue.MATERIAL),
        ("search results for mills", Cue.MATERIAL),
        ("knowledge base", Cue.MATERIAL),
        ("document [1](title", Cue.MATERIAL),
        ("参考资料", Cue.MATERIAL),
        ("контекст", Cue.MATERIAL),
        ("contexte", Cue.MATERIAL),
        ("output format", Cue.TASK),
        ("instructions", Cue.TASK),
        ("任务", Cue.TASK),
        ("example", Cue.EXAMPLE),
        ("example 1: dates", Cue.EXAMPLE),
        ("示例", Cue.EXAMPLE),
        ("examples", Cue.NOTHING),
        ("for example", Cue.NOTHING),
        ("example of a failure", Cue.NOTHING),
        ("context is", Cue.NOTHING),
        ("questionable", Cue.NOTHING),
        ("note well", Cue.TASK),
        ("the", Cue.NOTHING),
        ("", Cue.NOTHING),
    ],
)
def test_a_label_says_what_follows_it(label: str, meaning: Cue) -> None:
    """In the languages that prompts are written in; what is in no list says nothing."""
    assert cue(label) is meaning


def test_the_lists_do_not_contradict_one_another() -> None:
    """No tag holds both what is asked and what is material, no label both begins and ends an exemplar."""
    assert not QUESTION_TAGS & (MATERIAL_TAGS | EXAMPLE_TAGS)
    assert not EXAMPLE_TAGS & MATERIAL_TAGS
    assert DOCUMENT_TAGS < MATERIAL_TAGS
    assert KNOWLEDGE_TAGS < MATERIAL_TAGS
    assert not (INPUTS | SPEAKERS) & OUTPUTS
    assert all(word == normal(word) for word in INPUTS | SPEAKERS | OUTPUTS)
