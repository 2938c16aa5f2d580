"""Recovery: what an answer quotes from a shortened prompt, in the words of the prompt as it was.

A model that read "Marguerite Oswald chess set" answers so, where the prompt had said "Marguerite
Oswald's emerald chess set". The longest stretches of the answer that stand in the shortened prompt,
and in the original as words that follow one another with little between them, are exchanged for what
stands there. A stretch that the original has as it is stays as it is, and so does
all that the answer does not quote. Pure, for any script; work grows with the texts' lengths, and is
given up for a stretch that would take more. Source: LongLLMLingua, arXiv:2310.06839, section 4.4.
"""

import re
from bisect import bisect_left
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from elision.compressors.units import is_unspaced, may_cut

GAP = 10
"""So many tokens at most may have been left out between two that the answer has in a row."""
# For one answer, about a second at most. What is everywhere is no quotation; there are too many ways to it.
_STEPS = 200_000
_TOKEN = re.compile(r"\w+|[^\w\s]")


class Token(NamedTuple):
    """A word, a mark, or a character of a script without spaces: `text[start:end]`."""

    word: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Recovered:
    """An answer in the words of the original.

    Attributes:
        text: the answer.
        changes: how many stretches were exchanged.
    """

    text: str
    changes: int


class Recovery:
    """A prompt as it was and as it was sent; recovers answers to it.

    Args:
        original: as it was.
        compressed: as it was sent.
        gap: tokens that may have been left out between two neighbours.
    """

    def __init__(self, original: str, compressed: str, gap: int = GAP) -> None:
        self._original = original
        self._gap = gap
        self._tokens = tokens(original)
        self._places: dict[str, list[int]] = {}
        for at, token in enumerate(self._tokens):
            self._places.setdefault(token.word, []).append(at)
        self._quoted = _Automaton([token.word for token in tokens(compressed)])

    def recover(self, answer: str) -> Recovered:
        """Return an answer with what it quotes exchanged for what the original says there."""
        said = tokens(answer)
        words = [token.word for token in said]
        parts: list[str] = []
        done = changes = at = 0
        left = _STEPS
        while at < len(said):
            length = self._quoted.longest(words, at, self._places)
            if length > 1:
                length, window, left = self._window(words[at : at + length], left)
                if window is not None:
                    first, last = self._tokens[window[0]], self._tokens[window[1]]
                    parts += (answer[done : said[at].start], self._original[first.start : last.end])
                    done = said[at + length - 1].end
                    changes += 1
            at += max(length, 1)
        parts.append(answer[done:])
        return Recovered("".join(parts), changes)

    def _window(self, words: Sequence[str], left: int) -> tuple[int, tuple[int, int] | None, int]:
        """Find the shortest stretch of the original that holds words in order, of equals the first.

        Args:
            words: at least two, each of them in the original.
            left: steps that may be taken.
        Returns: how many of the words, from the first on, were found so; the first and last token of the
            stretch, None where the words stand there as they are; steps that are left.
        """
        found = [self._places[word] for word in words]
        rare = min(range(len(words)), key=lambda at: len(found[at]))
        left -= len(found[rare]) + len(words)
        if left < 0 or self._stands(words, rare):
            return len(words), None, left
        best: tuple[int, int] | None = None
        for place in found[rare]:
            ends, spent = _reached(place, found[rare + 1 :], self._gap, 1)
            begins, more = _reached(place, found[:rare][::-1], self._gap, -1) if ends else ([], 0)
            left -= spent + more
            if left < 0:
                return len(words), None, left
            if ends and begins and (best is None or ends[0] - begins[-1] < best[1] - best[0]):
                best = begins[-1], ends[0]
        if best is not None:
            return len(words), best, left
        fits, left = self._fitting(found, left)
        return self._window(words[:fits], left) if fits > 1 and left > 0 else (1, None, left)

    def _fitting(self, found: Sequence[Sequence[int]], left: int) -> tuple[int, int]:
        """Return how many of some words, from the first on, the original has close enough together."""
        reached: Sequence[int] = found[0]
        for number, places in enumerate(found[1:], 1):
            left -= len(places)
            reached = [at for at in places if _between(reached, at - self._gap - 1, at - 1)]
            if not reached or left < 0:
                return number, left
        return len(found), left

    def _stands(self, words: Sequence[str], rare: int) -> bool:
        """Whether the original has words in a row; `rare` is the place of the rarest of them."""
        return any(
            at >= rare and [token.word for token in self._tokens[at - rare : at - rare + len(words)]] == words
            for at in self._places[words[rare]]
        )


def tokens(text: str) -> list[Token]:
    """Return a text's words and marks; of scripts without spaces each character that readers see is one."""
    if text.isascii():
        return [Token(match[0], *match.span()) for match in _TOKEN.finditer(text)]
    return [Token(text[start:end], start, end) for start, end in _spans(text)]


def _spans(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    for match in _TOKEN.finditer(text):
        begin, end = match.span()
        if begin < start:
            continue
        start = begin
        while start < end:
            stop = start + 1
            # Words of other scripts stay whole; marks that sit on a letter stay with it.
            spaced = not is_unspaced(text[start])
            while stop < end and spaced and not is_unspaced(text[stop]):
                stop += 1
            while stop < len(text) and not may_cut(text, stop):
                stop += 1
            yield start, stop
            start = stop


def _reached(place: int, found: Sequence[Sequence[int]], gap: int, way: int) -> tuple[list[int], int]:
    """Return where the last of some words may stand, ascending, and how many places were looked at.

    Args:
        place: of the word that they follow (`way` 1), or that follows them (-1).
        found: where each stands in the original, ascending; the nearest first.
    """
    reached = [place]
    steps = 1
    for places in found:
        near, far = (1, gap + 1) if way > 0 else (-gap - 1, -1)
        ahead = _between(places, reached[0] + near, reached[-1] + far)
        steps += len(ahead) + 1
        reached = [at for at in ahead if _between(reached, at - far, at - near)]
        if not reached:
            break
    return reached, steps


def _between(ascending: Sequence[int], low: int, high: int) -> Sequence[int]:
    return ascending[bisect_left(ascending, low) : bisect_left(ascending, high + 1)]


class _Automaton:
    """Every stretch of a sequence of words, so that whether one is in it is read off word by word.

    A suffix automaton: at most twice as many states as words, made in linear time. Source: Blumer et
    al., The Smallest Automaton Recognizing the Subwords of a Text (1985).
    """

    def __init__(self, words: Sequence[str]) -> None:
        self._next: list[dict[str, int]] = [{}]
        self._link, self._size = [-1], [0]
        last = 0
        for word in words:
            last = self._extended(last, word)

    def longest(self, words: Sequence[str], at: int, known: Container[str]) -> int:
        """Return how many words from `at` on, all of them known, stand in the sequence in a row."""
        state = length = 0
        while at + length < len(words) and (word := words[at + length]) in self._next[state]:
            if word not in known:
                break
            state = self._next[state][word]
            length += 1
        return length

    def _extended(self, last: int, word: str) -> int:
        new = self._added({}, self._size[last] + 1, 0)
        state = last
        while state >= 0 and word not in self._next[state]:
            self._next[state][word] = new
            state = self._link[state]
        if state < 0:
            return new
        to = self._next[state][word]
        if self._size[to] == self._size[state] + 1:
            self._link[new] = to
            return new
        copy = self._added(dict(self._next[to]), self._size[state] + 1, self._link[to])
        while state >= 0 and self._next[state].get(word) == to:
            self._next[state][word] = copy
            state = self._link[state]
        self._link[to] = self._link[new] = copy
        return new

    def _added(self, edges: dict[str, int], size: int, link: int) -> int:
        self._next.append(edges)
        self._size.append(size)
        self._link.append(link)
        return len(self._size) - 1
