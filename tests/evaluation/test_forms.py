"""Forms hold a place for the text, one for the question, and measures that fit."""

import pytest

from elision.evaluation import forms
from elision.evaluation.model import Form, Item

ALL = [value for value in vars(forms).values() if isinstance(value, Form)]
READ = [form for form in ALL if form.template]


def item(form: Form) -> Item:
    return Item("1", "1", "text", form, "why {text}?", ("A",))


@pytest.mark.parametrize("form", READ)
def test_a_prompt_holds_text_and_question_as_they_are(form: Form) -> None:
    """Braces in either are no places."""
    prompt = forms.prompt_of(item(form), "a {question} {0} text")
    assert prompt.count("a {question} {0} text") == 1
    assert prompt.count("why {text}?") == 1


@pytest.mark.parametrize("form", ALL)
def test_every_measure_has_a_column(form: Form) -> None:
    """What is measured is shown; the right answer, or the whole text, is never below what is wrong."""
    on_text, on_answer = dict(form.on_text or {}), dict(form.on_answer or {})
    assert {*on_text, *on_answer} <= set(forms.COLUMNS)
    assert bool(on_answer) == bool(form.template)
    for measure in on_answer.values():
        right, wrong = measure("A", item(form)), measure("zzz", item(form))
        assert right is not None
        assert wrong is not None
        assert 0 <= wrong <= right <= 1


def test_answers_in_the_text_s_own_words_may_survive() -> None:
    """Of the others there is nothing that could: they take no part."""
    for form in (forms.SHORT_ANSWER, forms.FREE_ANSWER):
        measure = dict(form.on_text or {})["survival"]
        asked = [
            Item("1", "1", "It was built by Ada Holm.", form, "who?", (a,)) for a in ("Ada Holm", "a keeper")
        ]
        assert [measure("built Ada Holm", one) for one in asked] == [1.0, None]
