"""Labelled texts: what every way of making supervision ends in, and every training begins with.

This module owns the value and its file: JSON lines of `text`, `words`, `labels`, `source`. A word is
a range of characters, a label how much it should be kept, from 0 to 1; what stands between words
has no label and teaches nothing. It knows no tokenizer and no source of labels.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import msgspec

from elision.config.errors import ConfigError


@dataclass(frozen=True, slots=True)
class LabelledText:
    """A text and how much each of its words should be kept.

    Attributes:
        text: as a user would send it.
        words: half-open ranges of characters, ascending, disjoint, none empty; at least one.
        labels: as many, in [0, 1]: 1 keep, 0 drop, between them a weight or a probability.
        source: where the labels come from, a short name for reports.

    Raises: ValueError, saying what is wrong.
    """

    text: str
    words: tuple[tuple[int, int], ...]
    labels: tuple[float, ...]
    source: str

    def __post_init__(self) -> None:
        if not self.words:
            raise ValueError("`words` is empty")
        if len(self.labels) != len(self.words):
            raise ValueError(f"{len(self.words)} words, but {len(self.labels)} labels")
        if not all(math.isfinite(label) and 0 <= label <= 1 for label in self.labels):
            raise ValueError("every label must be a number from 0 to 1")
        if not all(start < end for start, end in self.words):
            raise ValueError("every word must be [start, end] with start < end")
        if any(left[1] > right[0] for left, right in pairwise(self.words)):
            raise ValueError("words must ascend and not overlap")
        if self.words[0][0] < 0 or self.words[-1][1] > len(self.text):
            raise ValueError(f"words must lie within the text's {len(self.text)} characters")
        try:
            self.text.encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"`text` is no Unicode text: {error}") from error


class _Row(msgspec.Struct, forbid_unknown_fields=True):
    text: str
    words: tuple[tuple[int, int], ...]
    labels: tuple[float, ...]
    source: str


def read_records(file: Path) -> Iterator[LabelledText]:
    """Read a file of labelled texts, one at a time; empty lines are passed over.

    Raises: ConfigError naming file and line: no such file, no such object, ranges or labels that
        are wrong.
    """
    decoder = msgspec.json.Decoder(_Row)
    try:
        with file.open("rb") as lines:
            for at, line in enumerate(lines, 1):
                if line.strip():
                    yield _record(decoder, line, f"{file}:{at}")
    except OSError as error:
        raise ConfigError([f"{file}: cannot be read: {error.strerror}"]) from error


def write_records(file: Path, records: Iterable[LabelledText]) -> int:
    """Write labelled texts; the file appears when all are written.

    Returns: how many there were.
    Raises: ConfigError if it cannot be written.
    """
    encoder = msgspec.json.Encoder()
    draft = file.with_name(f"{file.name}.draft")
    try:
        with draft.open("wb") as out:
            rows = (_Row(one.text, one.words, one.labels, one.source) for one in records)
            sizes = [out.write(encoder.encode(row) + b"\n") for row in rows]
        draft.replace(file)
    except OSError as error:
        raise ConfigError([f"{file}: cannot be written: {error.strerror}"]) from error
    return len(sizes)


def _record(decoder: "msgspec.json.Decoder[_Row]", line: bytes, where: str) -> LabelledText:
    try:
        row = decoder.decode(line)
        return LabelledText(row.text, row.words, row.labels, row.source)
    # A ValidationError of msgspec's is a ValueError, a DecodeError too.
    except ValueError as error:
        raise ConfigError([f"{where}: no labelled text: {error}"]) from error
