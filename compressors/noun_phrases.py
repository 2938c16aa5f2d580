"""Phrases by spaCy's noun chunks, where somebody has it and asks for it.

Without it `elision.compressors.units.phrases` finds them by rules, which needs nothing and knows
English only. This module owns what is asked of spaCy, and imports it only then.
Source: Selective-Context, arXiv:2310.06201, section 3.3: noun phrases merged, other tokens alone.
"""

import importlib.util
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

import numpy as np

from elision.compressors.errors import WeightsMissing
from elision.compressors.units import Bounds

Phraser = Callable[[str], Bounds]
_UNUSED = ("ner", "lemmatizer")


class _Piece(Protocol):
    """A token or a chunk of spaCy's."""

    @property
    def text(self) -> str: ...


class _Token(_Piece, Protocol):
    @property
    def idx(self) -> int: ...


class _Chunk(_Piece, Protocol):
    @property
    def start_char(self) -> int: ...

    @property
    def end_char(self) -> int: ...


class Parsed(Protocol):
    """A text that spaCy has read."""

    def __iter__(self) -> Iterator[_Token]: ...

    @property
    def noun_chunks(self) -> Iterable[_Chunk]: ...


def phraser(model: str) -> Phraser:
    """Return what cuts a text into phrases by a model of spaCy, `en_core_web_sm` for instance.

    Raises: WeightsMissing, naming what to install.
    """
    if importlib.util.find_spec("spacy") is None:
        raise WeightsMissing(f"phrases={model}: spaCy is not installed: pip install spacy; or phrases=rules")
    import spacy  # type: ignore[import-not-found]

    try:
        parse: Callable[[str], Parsed] = spacy.load(model, exclude=_UNUSED)
    except OSError as error:
        raise WeightsMissing(
            f"phrases={model}: spaCy has no such model: python -m spacy download {model}"
        ) from error
    return by_chunks(parse)


def by_chunks(parse: Callable[[str], Parsed]) -> Phraser:
    """Return what merges noun chunks and leaves other tokens alone.

    Marks that touch what stands before them stay with it: what is kept or dropped whole is what is
    written together.
    """

    def cut(text: str) -> Bounds:
        read = parse(text)
        chunks = [(chunk.start_char, chunk.end_char) for chunk in read.noun_chunks]
        tokens = [(token.idx, token.idx + len(token.text)) for token in read if token.text.strip()]
        found: list[tuple[int, int]] = []
        for start, end in sorted((*chunks, *tokens), key=lambda span: (span[0], -span[1])):
            if found and start < found[-1][1]:
                continue
            if found and start == found[-1][1] and not text[start:end].isalnum():
                found[-1] = (found[-1][0], end)
            else:
                found.append((start, end))
        return np.asarray(found, np.int64).reshape(-1, 2)

    return cut
