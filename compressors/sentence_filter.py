"""Which sentences stay before words are chosen: the reference's sentence-level filter, mended.

Pure. Sentences come with scores and sizes; nothing is read here. Differs from the reference where
that is at fault: a sentence that is to stay is preferred whichever way scores go (there the bonus
works against it where scores are conditioned on the question), and with every way of ranking.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

from elision.compressors.base import OptionValue, Span
from elision.compressors.errors import BadOption


@dataclass(frozen=True, slots=True)
class SentenceFilter:
    """How sentences are chosen, by the reference's names.

    Attributes:
        keep_first_sentence, keep_last_sentence: so many of all that stay are preferred.
        keep_sentence_number: so many of each document, its best, are preferred.
        high_priority_bonus: what being preferred adds to a score, in nats.
        token_budget_ratio: sentences stay up to so many times the target.
    """

    keep_first_sentence: int = 0
    keep_last_sentence: int = 0
    keep_sentence_number: int = 0
    high_priority_bonus: float = 100.0
    token_budget_ratio: float = 1.4

    @classmethod
    def read(cls, options: Mapping[str, OptionValue]) -> "SentenceFilter | None":
        """Read a method's options; None where sentences are not filtered.

        Raises: BadOption.
        """
        if not options["use_sentence_level_filter"]:
            return None
        counts: list[int] = []
        for name in ("keep_first_sentence", "keep_last_sentence", "keep_sentence_number"):
            value = options[name]
            if not isinstance(value, int) or value < 0:
                raise BadOption(f"{name} must be 0 or more, not {value}")
            counts.append(value)
        bonus, ratio = options["high_priority_bonus"], options["token_budget_ratio"]
        if not isinstance(ratio, float) or not (ratio > 0 and isfinite(ratio)):
            raise BadOption(f"token_budget_ratio must be above 0, not {ratio}")
        if not isinstance(bonus, float) or not isfinite(bonus):
            raise BadOption(f"high_priority_bonus must be a number, not {bonus}")
        return cls(counts[0], counts[1], counts[2], bonus, ratio)

    def chosen(
        self, scores: Sequence[Sequence[float]], sizes: Sequence[Sequence[int]], target: float
    ) -> list[list[bool]]:
        """Return which sentences of each document stay.

        The best first, until what they may have together is spent; the last one may exceed it.

        Args:
            scores: of each document's sentences; more is better.
            sizes: their tokens.
            target: tokens that are to stay in the end.
        """
        worth = [list(own) for own in scores]
        places = [(at, number) for at, own in enumerate(worth) for number in range(len(own))]
        last = places[max(0, len(places) - self.keep_last_sentence) :]
        for at, number in (*places[: self.keep_first_sentence], *last):
            worth[at][number] += self.high_priority_bonus
        for at, own in enumerate(scores):
            best = sorted((-score, number) for number, score in enumerate(own))
            for _, number in best[: self.keep_sentence_number]:
                worth[at][number] += self.high_priority_bonus
        stays = [[False] * len(own) for own in worth]
        left = target * self.token_budget_ratio
        for at, number in sorted(places, key=lambda place: (-worth[place[0]][place[1]], place)):
            if left <= 0:
                break
            stays[at][number] = True
            left -= sizes[at][number]
        return stays


def besides(text: str, spans: Sequence[Span]) -> list[Span]:
    """Return what of a text is not in spans, white space at edges left out."""
    found: list[Span] = []
    at = 0
    for span in (*sorted(spans), Span(len(text), len(text))):
        piece = text[at : span.start]
        if piece.strip():
            left = at + len(piece) - len(piece.lstrip())
            found.append(Span(left, at + len(piece.rstrip())))
        at = span.end
    return found
