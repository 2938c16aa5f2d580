"""The words every compressor shares: spans, units, targets, jobs, outcomes, and two protocols.

This module owns the contract between a method and the rest of Elision. It knows nothing of HTTP,
policies, tensors or files. A *scorer* says how much each unit of a text matters; a *compressor*
turns texts and targets into outcomes. Extractive methods are a scorer behind the one shared
selector (`elision.compressors.extractive`), so that scores, which do not depend on the rate, can
be cached on their own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:  # the proxy uses these types without numpy's start-up time and memory
    import numpy as np
    from numpy.typing import NDArray

OptionValue = str | int | float | bool | tuple[str, ...]


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A half-open range of characters, `text[start:end]`."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Units:
    """What a scorer found in one text: the pieces that are kept or dropped whole.

    Attributes:
        bounds: (N, 2) int64, ascending and disjoint character ranges; whitespace between units
            belongs to no unit.
        importance: (N,) float64, larger means more worth keeping. Finite.
    """

    bounds: "NDArray[np.int64]"
    importance: "NDArray[np.float64]"


@dataclass(frozen=True, slots=True)
class Method:
    """A method's name and its options, sorted by name, so that equal methods are equal values."""

    name: str
    options: tuple[tuple[str, OptionValue], ...] = ()


@dataclass(frozen=True, slots=True)
class Target:
    """How far a text is to be shortened, and for whom.

    Attributes:
        rate: share of tokens to keep, 0 < rate <= 1; None where `tokens` says it.
        tokens: tokens to keep, at least 1; None where `rate` says it. Both None: the method
            decides by itself (lossless methods).
        model: name of the model that will read the text; it chooses the tokenizer.
        question: what is asked in the message's own turn; only question-aware methods look.
        protect: names of the protected classes (`elision.compressors.protect`).
    """

    rate: float | None = None
    tokens: int | None = None
    model: str = ""
    question: str = ""
    protect: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """One text to shorten; what travels from the proxy to the compressor process."""

    text: str
    method: Method
    target: Target


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one text.

    Attributes:
        text: what to send; the original when `reason` is not empty.
        tokens_before: tokens of the original, by the tokenizer of the target's model.
        tokens_after: tokens of `text`, by the same tokenizer.
        kept: slices of the original that `text` is made of, in order; empty where the method
            rewrites (lossless) rather than selects.
        method: the method's name.
        fingerprint: of the compressor that made it; part of every cache key.
        reason: why the original was left as it is, a short lower-case word
            ("not_shorter", "protected_lost", "too_short", ...); empty when it was shortened.
    """

    text: str
    tokens_before: int
    tokens_after: int
    kept: tuple[Span, ...]
    method: str
    fingerprint: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """An outcome, and what was found on the way to it.

    Attributes:
        scores: the text's units as `elision.compressors.scores` packs them; b"" where there are
            none: they were given, the method has none, the text needed none, or they are too many.
    """

    outcome: Outcome
    scores: bytes = b""


@dataclass(frozen=True, slots=True)
class Identity:
    """What decides, beside a text and its target, what a compressor makes of it; for keys.

    Attributes:
        fingerprint: of the compressor, on which outcomes depend: name, version, weights, options.
        scorer: of its scorer alone, on which scores depend; "" where there are none to keep.
        reads_question: whether outcomes and scores depend on the question.
    """

    fingerprint: str
    scorer: str = ""
    reads_question: bool = True


class Scorer(Protocol):
    """Says how much each unit of a text matters. Same texts and questions: same result."""

    @property
    def fingerprint(self) -> str:
        """Name, version, weights and its own options, not the selector's; part of every cache key."""
        ...

    @property
    def reads_question(self) -> bool:
        """Whether the result depends on the questions."""
        ...

    def score(self, texts: Sequence[str], questions: Sequence[str]) -> list[Units]:
        """Return the units of each text; `questions` is as long as `texts` ("" for none)."""
        ...


@dataclass(frozen=True, slots=True)
class Demand:
    """What a scorer must know whose scores depend on how much is to stay.

    Attributes:
        rate: share of tokens to keep, 0 < rate < 1.
        held: ascending, disjoint spans that stay in any case and are paid for.
    """

    rate: float
    held: tuple[Span, ...] = ()


@runtime_checkable
class TargetedScorer(Scorer, Protocol):
    """A scorer whose scores depend on what is asked for; they are not kept.

    `score` says of it how much units matter where nothing is to go.
    """

    def score_for(
        self, texts: Sequence[str], questions: Sequence[str], demands: Sequence[Demand]
    ) -> list[Units]:
        """Return the units of each text, ranked for its demand; lists are as long as `texts`."""
        ...


class Compressor(Protocol):
    """Shortens texts. Same text, target and fingerprint: same outcome."""

    @property
    def fingerprint(self) -> str:
        """Name, version, weights and options; part of every cache key."""
        ...

    def compress(self, texts: Sequence[str], targets: Sequence[Target]) -> list[Outcome]:
        """Return one outcome for each text; `targets` is as long as `texts`."""
        ...


class TokenCounter(Protocol):
    """Counts tokens the way one model does, or as near as is known."""

    @property
    def name(self) -> str:
        """The encoding's name, `o200k_base` for instance; an estimate's name starts with `~`."""
        ...

    def count(self, text: str) -> int:
        """Return the number of tokens of `text`; special-token literals count as plain text."""
        ...

    def starts(self, text: str) -> "NDArray[np.int64]":
        """Return (T,) ascending character offsets at which the tokens of `text` start."""
        ...
