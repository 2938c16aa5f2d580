"""Cutting a segment at its pieces, so that some of them may be left out.

Pure. A part is one piece (a document, a demonstration) with what separates it from the next, or
what frames the pieces: a heading, a fence, a closing tag. The parts of a segment concatenate to it
exactly. Which pieces stay is for `elision.policies.budget` to say.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from elision.policies.model import Segment


@dataclass(frozen=True, slots=True)
class Part:
    """Characters `start` to `end` of a segment's text.

    Attributes:
        tokens: counted for the part alone; the parts' sum may differ from the segment's count by
            a token or so at each cut.
        piece: number of the piece in its segment; None for what frames them.
    """

    start: int
    end: int
    tokens: int
    piece: int | None = None


Run = tuple[Part, ...]
"""Neighbouring parts that stay, and go to a compressor as one text."""


def whole(segment: Segment) -> Part:
    """Return a segment as one part that is no piece."""
    return Part(0, len(segment.text), segment.tokens)


def cut(segment: Segment, count: Callable[[str], int]) -> tuple[Part, ...]:
    """Cut a segment at its pieces; each part is counted once.

    What stands between two pieces goes with the former, unless it has words of its own. What
    stands before the first frames them all, and so does what stands behind the last unless
    it is blank.
    """
    text = segment.text
    bounds: list[tuple[int, int, int | None]] = []
    at = 0
    for number, (start, end) in enumerate(segment.pieces):
        between = text[at:start]
        if number and not any(character.isalnum() for character in between):
            bounds[-1] = (bounds[-1][0], start, number - 1)
        elif between:
            bounds.append((at, start, None))
        bounds.append((start, end, number))
        at = end
    behind = text[at:]
    if bounds and not behind.strip():
        bounds[-1] = (bounds[-1][0], len(text), bounds[-1][2])
    elif behind:
        bounds.append((at, len(text), None))
    return tuple(Part(start, end, count(text[start:end]), piece) for start, end, piece in bounds)


def runs(parts: Sequence[Part], kept: Collection[int], *, apart: bool) -> tuple[Run, ...]:
    """Join the parts that stay, where nothing was left out between them.

    Args:
        kept: numbers of the pieces that stay; what frames pieces always does.
        apart: each piece is a run of its own, with the frame before it, or else behind it.
    """
    joined: list[list[Part]] = []
    at = -1
    for part in parts:
        if part.piece is not None and part.piece not in kept:
            continue
        if joined and part.start == at and not (apart and _begins_anew(joined[-1], part)):
            joined[-1].append(part)
        else:
            joined.append([part])
        at = part.end
    if apart:
        joined = _frames_joined(joined)
    return tuple(tuple(run) for run in joined)


def part_of(segment: Segment, start: int, end: int, tokens: int) -> Segment:
    """Return a segment's characters `start` to `end` as a segment without pieces."""
    if (start, end) == (0, len(segment.text)):
        return segment
    at = segment.start
    text = segment.text[start:end]
    return replace(segment, start=at + start, end=at + end, text=text, tokens=tokens, pieces=())


def _begins_anew(run: Sequence[Part], part: Part) -> bool:
    """Whether a part starts a run of its own: a frame does, and a piece that follows a piece."""
    return part.piece is None or any(other.piece is not None for other in run)


def _frames_joined(joined: Sequence[list[Part]]) -> list[list[Part]]:
    """Join a frame that no piece follows to the piece before it."""
    done: list[list[Part]] = []
    for run in joined:
        lonely = all(part.piece is None for part in run)
        if done and lonely and done[-1][-1].end == run[0].start:
            done[-1] += run
        else:
            done.append(run)
    return done
