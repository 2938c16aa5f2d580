"""A word's label says how firmly it hangs on its sentence, by rules over trees."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType

import pytest

from elision.compressors.errors import WeightsMissing
from elision.training.grammar import SOURCE, Token, frame, parsed, tokens_of

TEXT = "And the old fox, well, ran home"


@dataclass
class Parsed:
    """A token as spaCy's documents have it."""

    i: int
    idx: int
    text: str
    dep_: str = "dep"
    is_space: bool = False

    def __post_init__(self) -> None:
        self.head = self


class Document(list[Parsed]):
    """A parsed text."""

    text = "Go \n on"


def tree(*told: tuple[str, str, int]) -> list[Token]:
    """Tokens of `TEXT` by word, relation and head."""
    found, at = [], 0
    for word, relation, head in told:
        at = TEXT.index(word, at)
        found.append(Token(at, at + len(word), relation, head))
        at += len(word)
    return found


TREE = tree(
    ("And", "cc", 7), ("the", "det", 3), ("old", "amod", 3), ("fox", "nsubj", 7), (",", "punct", 7),
    ("well", "intj", 7), (",", "punct", 7), ("ran", "ROOT", 7), ("home", "advmod", 7),
)  # fmt: skip


def labels() -> dict[str, float]:
    one = frame(TEXT, TREE)
    assert one is not None
    assert one.source == SOURCE
    return {one.text[a:b]: label for (a, b), label in zip(one.words, one.labels, strict=True)}


def test_what_hangs_loosely_is_worth_less() -> None:
    """The verb most, then its subject; modifiers, asides and an opening conjunction least."""
    found = labels()
    assert found["ran"] == 1.0
    assert found["ran"] > found["fox,"] > found["the"] > found["old"] > found["home"] > found["And"]
    assert found["And"] > found["well,"] > 0


def test_a_word_holds_no_firmer_than_what_it_hangs_on() -> None:
    """Numbers multiply along the path to the root."""
    found = labels()
    assert found["old"] == pytest.approx(found["fox,"] * 0.65)


def test_marks_by_themselves_are_nothing() -> None:
    """And a text without words is no text."""
    one = frame("go .", [Token(0, 2, "ROOT", 0), Token(3, 4, "punct", 0)])
    assert one is not None
    assert one.labels == (1.0, 0.0)
    assert frame(" ", []) is None


def test_a_relation_that_nobody_named_counts_half() -> None:
    """Another parser's word for something is no fault."""
    one = frame("go on", [Token(0, 2, "ROOT", 0), Token(3, 5, "unheard-of", 0)])
    assert one is not None
    assert one.labels == (1.0, 0.5)


def document() -> Document:
    go, gap, on = Parsed(0, 0, "Go", "ROOT"), Parsed(1, 3, "\n", is_space=True), Parsed(2, 5, "on", "prt")
    gap.head = on.head = go
    return Document([go, gap, on])


def test_whitespace_is_no_token() -> None:
    """Heads are numbered without it."""
    assert tokens_of(document()) == [Token(0, 2, "ROOT", 0), Token(5, 7, "prt", 0)]


def test_texts_come_with_their_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    """In order, by the parser that was named."""
    asked: list[str] = []

    class Pipeline:
        def pipe(self, texts: Iterator[str]) -> Iterator[Document]:
            return (document() for _ in texts)

    def load(name: str, disable: list[str]) -> Pipeline:
        asked.append(name)
        return Pipeline()

    spacy = ModuleType("spacy")
    monkeypatch.setattr(spacy, "load", load, raising=False)
    monkeypatch.setitem(sys.modules, "spacy", spacy)
    found = list(parsed(["Go \n on", "Go \n on"], "english"))
    assert [(text, len(tokens)) for text, tokens in found] == [("Go \n on", 2)] * 2
    assert asked == ["english"]


def test_without_a_parser_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """By name."""
    monkeypatch.setitem(sys.modules, "spacy", None)
    with pytest.raises(WeightsMissing, match="pip install spacy"):
        next(parsed(["text"]))
