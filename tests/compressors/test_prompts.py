"""Contexts are shortened one by one by any method, and told as the reference tells them."""

import pytest

from elision.compressors.base import Method, Span
from elision.compressors.engine import Engine
from elision.compressors.errors import BadOption
from elision.compressors.prompts import Shortened, budget_of, count, result_of, shortened_contexts
from elision.compressors.vocabulary import Segment, Wishes

LONG = "A witness said that the meeting was held late and that reports may be filed by anyone who was there."
FREQUENCY = Method("frequency", (("level", "word"),))


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine()


def test_the_budget_is_what_instruction_and_question_leave(engine: Engine) -> None:
    """Of a rate; a number of tokens is the contexts' own, and never more than they have."""
    around = count(engine, "Answer.") + count(engine, "Who?")
    wishes = Wishes(instruction="Answer.", question="Who?", rate=0.5)
    assert budget_of(engine, wishes, 100, alone=False) == int(0.5 * (100 + around)) - around
    assert budget_of(engine, wishes, 100, alone=True) == 50
    assert budget_of(engine, Wishes(target_token=300), 100, alone=False) == 100
    with pytest.raises(BadOption, match="leaves nothing"):
        budget_of(engine, Wishes(instruction=LONG, rate=0.1), 20, alone=False)


def test_what_stays_of_each_part_is_known(engine: Engine) -> None:
    """Slices of the context, whatever parts it was shortened in."""
    wishes = Wishes(segments=((Segment(LONG, 0.5), Segment(" " + LONG, 1.0), Segment(LONG, 0.0)),))
    text = LONG + " " + LONG + LONG
    done = shortened_contexts(engine, FREQUENCY, wishes, [text], alone=True)
    spans = done.kept[0]
    assert spans is not None
    assert "".join(text[span.start : span.end] for span in spans) == done.joined == done.texts[0]
    assert done.joined.endswith(" " + LONG)
    assert max(span.end for span in spans) <= 2 * len(LONG) + 1


def test_words_of_contexts_that_went_are_labelled_too(engine: Engine) -> None:
    """With nought."""
    wishes = Wishes(return_word_label=True, word_sep=" ", label_sep="/")
    done = Shortened(["fox"], "fox", 1, {1: (Span(2, 5),)})
    result = result_of(engine, wishes, ["the dog", "a fox"], done, alone=True)
    assert result["fn_labeled_original_prompt"] == "the/0 dog/0 a/0 fox/1"
    with pytest.raises(BadOption, match="no word labels"):
        result_of(engine, wishes, ["x"], Shortened(["y"], "y", 1, {0: None}), alone=True)
