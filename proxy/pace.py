"""How long the compressor takes, learned from what it took. Pure.

A batch costs a start and so much per token; both are fitted to the batches of the recent past, of
one method at a time. Sizes are in tokens as `size_of` estimates them, without a tokenizer: what
matters is that learning and asking use the same measure.
"""

from dataclasses import dataclass

_KEEP = 0.9
"""Weight of the past against each new batch: the last 10 batches make two thirds of what is known."""
_LEAST_BATCHES = 3
_SPREAD = 0.2
"""Sizes of batches must differ so much, as a share of their mean, to tell a start from a rate."""
_LEAST_SHARE = 0.1
"""Of the mean cost per token, what a token costs at least, however well the start explains batches."""


def size_of(text: str) -> int:
    """Return about how many tokens a text has: a quarter of its bytes in UTF-8, at least 1."""
    length = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
    return max(length // 4, 1)


@dataclass(slots=True)
class Pace:
    """What batches of one method took: sums over them, the past fading."""

    batches: int = 0
    _weight: float = 0.0
    _tokens: float = 0.0
    _seconds: float = 0.0
    _tokens2: float = 0.0
    _product: float = 0.0

    def learn(self, tokens: int, seconds: float) -> None:
        """Take note of one batch."""
        self.batches += 1
        self._weight = self._weight * _KEEP + 1
        self._tokens = self._tokens * _KEEP + tokens
        self._seconds = self._seconds * _KEEP + seconds
        self._tokens2 = self._tokens2 * _KEEP + tokens * tokens
        self._product = self._product * _KEEP + tokens * seconds

    def seconds_for(self, tokens: int) -> float:
        """Return how long a batch would take; 0.0 while too little is known to refuse anything."""
        if self.batches < _LEAST_BATCHES:
            return 0.0
        start, each = self._line()
        return start + each * tokens

    def tokens_in(self, seconds: float) -> float:
        """Return how many tokens are surely done in so many seconds; 0.0 while too little is known."""
        if self.batches < _LEAST_BATCHES:
            return 0.0
        start, each = self._line()
        return max(seconds - start, 0.0) / max(each, 1e-12)

    def _line(self) -> tuple[float, float]:
        """Return seconds for a start, and for each token: least squares, within reason."""
        tokens, seconds = self._tokens / self._weight, self._seconds / self._weight
        mean = seconds / tokens
        spread2 = self._tokens2 / self._weight - tokens * tokens
        each = mean
        if spread2 > (_SPREAD * tokens) ** 2:
            each = (self._product / self._weight - tokens * seconds) / spread2
        each = min(max(each, _LEAST_SHARE * mean), mean)
        return max(seconds - each * tokens, 0.0), each
