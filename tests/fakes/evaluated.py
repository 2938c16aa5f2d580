"""A tiny evaluation: a made-up data set, and progress that shows nothing."""

from collections.abc import Iterator
from contextlib import contextmanager

from elision.evaluation import forms
from elision.evaluation.compression import Tick
from elision.evaluation.model import Item, group_of
from elision.evaluation.tasks import Dataset

TEXTS = (
    (
        "The lighthouse at Cape Verran was built in 1874 by Ada Holm, who had never before seen the sea and "
        "who asked that no visitor be turned away from its door in bad weather."
    ),
    (
        "In the spring the orchard of Brother Anselm gives plums, quinces and small sour apples, which the "
        "monks of Tarn press into a cider that they sell to nobody but the bishop."
    ),
)


def dataset() -> Dataset:
    """Return three questions about two texts."""
    asked = [
        (0, "Who built the lighthouse?", ("Ada Holm",)),
        (0, "When was it built?", ("1874",)),
        (1, "Who buys the cider?", ("the bishop",)),
    ]
    items = [
        Item(str(at), group_of(TEXTS[of]), TEXTS[of], forms.SHORT_ANSWER, question, answers)
        for at, (of, question, answers) in enumerate(asked)
    ]
    return Dataset("tiny test", tuple(items), "")


@contextmanager
def no_bar(title: str, total: int) -> Iterator[Tick]:
    """Show nothing."""
    yield lambda more: None
