"""Shortening without loss: JSON without its layout, text without whitespace that says nothing.

JSON that is the whole text, a fenced block, a line, or a block within prose loses the whitespace
between its tokens (`lossless_json`); prose loses blanks that say nothing (`lossless_lines`); where the
policy allows it, repeated blocks of lines become references (`lossless_repeats`). This module owns
the order of these and the outcome; rates and budgets are not its concern.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from elision.compressors.base import OptionValue, Outcome, Target
from elision.compressors.lossless_json import minify_blocks, minify_json
from elision.compressors.lossless_lines import squeeze_lines
from elision.compressors.lossless_repeats import fold
from elision.compressors.protect import find_spans
from elision.compressors.protect_blocks import find_fences
from elision.compressors.tokens import Counters

NAME = "lossless"
_VERSION = "2"
_FENCE = re.compile(
    r"(?P<head>(?:```+|~~~+)[ \t]*(?:jsonl?|ndjson)?[ \t]*\r?\n)(?P<body>.*\n)(?P<tail>(?:```+|~~~+)[ \t]*)",
    re.DOTALL | re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Rules:
    """What may be done.

    Attributes:
        inner_json: JSON that is the value of a JSON string loses its layout too.
        repeats: repeated blocks of lines become references.
    """

    inner_json: bool = True
    repeats: bool = False

    @classmethod
    def read(cls, options: Mapping[str, OptionValue]) -> "Rules":
        """Take the rules out of the method's options."""
        return cls(bool(options["inner_json"]), bool(options["repeats"]))


class Lossless:
    """The compressor; targets' rates are not looked at."""

    def __init__(self, counters: Counters, rules: Rules | None = None) -> None:
        """Take counters that count as the target's model does."""
        self._counters = counters
        self._rules = rules or Rules()

    reads_question = False

    @property
    def fingerprint(self) -> str:
        return f"{NAME}/{_VERSION} inner_json={self._rules.inner_json:d} repeats={self._rules.repeats:d}"

    def compress(self, texts: Sequence[str], targets: Sequence[Target]) -> list[Outcome]:
        """Return each text without what says nothing; "not_shorter" where that saves no token."""
        return [self._compress(text, target) for text, target in zip(texts, targets, strict=True)]

    def _compress(self, text: str, target: Target) -> Outcome:
        counter = self._counters.counter_for(target.model)
        before = counter.count(text)
        shorter = squeeze(text, self._rules)
        after = counter.count(shorter) if shorter != text else before
        if after >= before:
            return Outcome(text, before, before, (), NAME, self.fingerprint, "not_shorter")
        return Outcome(shorter, before, after, (), NAME, self.fingerprint)


def squeeze(text: str, rules: Rules | None = None) -> str:
    """Return a text without layout that says nothing; whitespace at its edges stays as it is."""
    rules = rules or Rules()
    inner = text.strip()
    start = len(text) - len(text.lstrip())
    short = minify_json(inner, rules.inner_json)
    if short is None:
        short = "".join(_squeezed(inner, rules))
        short = fold(short) if rules.repeats else short
    return text[:start] + short + text[start + len(inner) :]


def _squeezed(text: str, rules: Rules) -> Iterator[str]:
    done = 0
    for start, end in find_fences(text):
        yield _squeezed_prose(text[done:start], rules)
        yield _squeezed_fence(text[start:end], rules)
        done = end
    yield _squeezed_prose(text[done:], rules)


def _squeezed_fence(block: str, rules: Rules) -> str:
    fence = _FENCE.fullmatch(block)
    if fence is None:
        return block
    short = minify_json(fence["body"].strip(), rules.inner_json)
    if short is None:
        lines = [minify_json(line, rules.inner_json) for line in fence["body"].splitlines()]
        short = "\n".join(line for line in lines if line is not None) if None not in lines else None
    return f"{fence['head']}{short}\n{fence['tail']}" if short else block


def _squeezed_prose(text: str, rules: Rules) -> str:
    code = tuple((span.start, span.end) for span in find_spans(text, ("inline_code",)))
    return squeeze_lines(minify_blocks(text, rules.inner_json, code))
