"""The forms of tasks: how a reader is asked, and what is measured.

This module owns the prompts and which measure belongs to which kind of task. The wording is ours;
papers used theirs, so figures of papers are near, not equal, to what these prompts give.
"""

from types import MappingProxyType

from elision.evaluation import exact_match, final_answers, rouge, survival, unit_overlap
from elision.evaluation.model import Form, Item, Measure


def _survival(text: str, item: Item) -> float | None:
    return survival.survives(text, item.text, item.answers)


def _unit_f1(text: str, item: Item) -> float | None:
    return unit_overlap.unit_f1(text, item.answers)


def _em(answer: str, item: Item) -> float | None:
    return exact_match.exact_match(answer, item.answers)


def _f1(answer: str, item: Item) -> float | None:
    return exact_match.f1(answer, item.answers)


def _contains(answer: str, item: Item) -> float | None:
    return exact_match.contains(answer, item.answers)


def _rouge_l(answer: str, item: Item) -> float | None:
    return rouge.rouge_l(answer, item.answers)


def _number(answer: str, item: Item) -> float | None:
    return final_answers.final_number(answer, item.answers)


def _option(answer: str, item: Item) -> float | None:
    return final_answers.final_option(answer, item.answers)


def _letters(answer: str, item: Item) -> float | None:
    return final_answers.chosen_letters(answer, item.answers)


def _measures(**measures: Measure) -> MappingProxyType[str, Measure]:
    return MappingProxyType(measures)


COLUMNS = ("survival", "em", "f1", "rouge_l", "unit_f1")
"""Every measure's column, in the order of the table."""

SHORT_ANSWER = Form(
    template="Answer the question from the text below, which may have words left out. Give the answer only, "
    "in as few words as possible.\n\nText: {text}\n\nQuestion: {question}\nAnswer:",
    on_text=_measures(survival=_survival),
    on_answer=_measures(em=_em, f1=_f1),
)
CHINESE_ANSWER = Form(
    template="根据下面的文本回答问题，文本可能略去了一些字词。只用文本中的词语给出答案，不要解释。\n\n"
    "文本：{text}\n\n问题：{question}\n答案：",
    on_text=_measures(survival=_survival),
    on_answer=_measures(em=_em, f1=_f1),
    answer_tokens=64,
)
FREE_ANSWER = Form(
    template="Answer the question from the text below, which may have words left out. Be brief.\n\n"
    "Text: {text}\n\nQuestion: {question}\nAnswer:",
    # Of answers in the text's own words; others have nothing there that could survive.
    on_text=_measures(survival=_survival),
    on_answer=_measures(f1=_f1, rouge_l=_rouge_l),
    answer_tokens=128,
)
SUMMARY = Form(
    template="Read the text below, which may have words left out, and do what is asked in one paragraph."
    "\n\nText: {text}\n\nAsked: {question}\nAnswer:",
    on_answer=_measures(rouge_l=_rouge_l),
    answer_tokens=400,
)
CHOICE = Form(
    template="Read the text below, which may have words left out, and choose. Give the letter of the right "
    "answer only; if several are right, all their letters.\n\nText: {text}\n\n{question}\nAnswer:",
    on_answer=_measures(em=_letters),
    answer_tokens=16,
)
CLASS = Form(
    template="{text}\n\n{question}",
    on_answer=_measures(em=_contains),
    answer_tokens=32,
)
# The examples are shortened once for all questions: what they show does not depend on them.
WORKED_NUMBER = Form(
    template="{text}\n\nQuestion: {question}\nLet's think step by step\n",
    on_answer=_measures(em=_number),
    answer_tokens=400,
    tells_question=False,
)
WORKED_OPTION = Form(
    template="{text}\n\nQ: {question}\nA: Let's think step by step.\n",
    on_answer=_measures(em=_option),
    answer_tokens=400,
    tells_question=False,
)
DELETION = Form(on_text=_measures(unit_f1=_unit_f1))


def prompt_of(item: Item, text: str) -> str:
    """Return what a reader is asked about an item with a text in its text's place."""
    # Not `format`: texts may hold braces.
    before, _, after = item.form.template.partition("{text}")
    return before + text + after.replace("{question}", item.question)
