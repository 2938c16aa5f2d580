"""Contexts with tags that say how far each part goes: `<llmlingua, rate=0.4, compress=False>...</llmlingua>`.

Pure: tags are read and taken out, no text is compressed. Differs from the reference where that is at
fault: what is tagged may hold `<`, and what stands outside of tags is a part too.
"""

import re

from elision.compressors.errors import BadOption
from elision.compressors.vocabulary import Segment

_TAG = re.compile(r"<llmlingua((?:\s*,\s*\w+\s*=\s*[\w.]+)*)\s*>|</llmlingua>")
_OPENING = re.compile(r"<llmlingua\b[^>]*>?")
_SETTING = re.compile(r"(\w+)\s*=\s*([\w.]+)")


def read_segments(context: str) -> tuple[Segment, ...]:
    """Return a context's parts, without its tags.

    Raises: BadOption for a tag that is not closed, not opened, within another, or says something else
        than a rate in [0, 1] and whether to compress.
    """
    segments: list[Segment] = []
    at = 0
    opened: tuple[float | None, bool] | None = None
    for match in _OPENING.finditer(context):
        if _TAG.fullmatch(match[0]) is None:
            raise BadOption(f"{match[0][:60]!r} must be <llmlingua, rate=0.4, compress=False> or the like")
    for tag in _TAG.finditer(context):
        closes = tag[0].startswith("</")
        if closes == (opened is None):
            wrong = "closes nothing" if closes else "stands within another"
            raise BadOption(f"the tag {tag[0]!r} at character {tag.start()} {wrong}")
        text = context[at : tag.start()]
        if text:
            segments.append(_segment(text, opened))
        opened = None if closes else _settings(tag[1])
        at = tag.end()
    if opened is not None:
        raise BadOption("a <llmlingua> tag is not closed by </llmlingua>")
    if context[at:]:
        segments.append(_segment(context[at:], None))
    return tuple(segments)


def _segment(text: str, told: tuple[float | None, bool] | None) -> Segment:
    rate, compresses = told or (None, True)
    return Segment(text, rate if compresses else 1.0)


def _settings(told: str) -> tuple[float | None, bool]:
    rate: float | None = None
    compresses = True
    for name, value in _SETTING.findall(told):
        if name == "rate":
            rate = _rate(value)
        elif name == "compress" and value in ("True", "False"):
            compresses = value == "True"
        else:
            raise BadOption(f"a <llmlingua> tag says rate=0.4 and compress=False or True, not {name}={value}")
    return rate, compresses


def _rate(value: str) -> float:
    try:
        rate = float(value)
    except ValueError:
        rate = -1.0
    if not 0 <= rate <= 1:
        raise BadOption(f"the rate of a <llmlingua> tag must be in [0, 1], not {value}")
    return rate
