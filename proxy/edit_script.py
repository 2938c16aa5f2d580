"""How one text came from another, in a few numbers: ranges that were copied, and what was put between. Pure.

A script makes, of the same original, the same text again; the ledger keeps scripts, so that it need
not keep texts. What extractive methods make is copies only. What a method wrote itself is a
literal, and the one place where the ledger holds words of a prompt. Whether a script is the right
one for a text is not known here: whoever keeps it keeps a checksum beside it.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from os.path import commonprefix

Piece = tuple[int, int] | str
"""A range of the original's characters, or a literal."""
Script = tuple[int | str, ...]
"""A literal stands as a string; a copy as two numbers: from the end of the copy before (of the text's
beginning) to its start, negative where it goes back, and its length, at least 1."""

Anchors = tuple[tuple[int, int | None], ...]
# How many characters of the text are looked for in the original where the two part, and how far.
# Of a text that only leaves out, single characters always lead to its end, longer ones by fewer steps.
_LEAVING_OUT: tuple[Anchors, ...] = (((12, 512), (1, None)), ((1, None),))
_REWRITTEN: Anchors = ((12, 512), (24, 8192), (3, 128))
# Characters of the original that may be searched for each character of the two texts.
_SEARCHES = 256
_RUN = re.compile(r"\S+")
_GAP = re.compile(r"\s+")
# What is not found is passed over by words.
_WORD = re.compile(r"\s*\S{0,16}")


def script_of(pieces: Iterable[Piece]) -> Script:
    """Return the script of pieces, neighbours joined and empty ones left out."""
    script: list[int | str] = []
    at = 0
    for piece in _joined(pieces):
        if isinstance(piece, str):
            script.append(piece)
        else:
            start, end = piece
            script += (start - at, end - start)
            at = end
    return tuple(script)


def apply_script(original: str, script: Sequence[int | str]) -> str | None:
    """Return the text that a script makes of an original; None where it is not made for such a text."""
    parts: list[str] = []
    at = 0
    words = iter(script)
    for word in words:
        if isinstance(word, str):
            parts.append(word)
            continue
        length = next(words, 0)
        start = at + word
        if isinstance(length, str) or length < 1 or start < 0 or start + length > len(original):
            return None
        at = start + length
        parts.append(original[start:at])
    return "".join(parts)


def pieces_between(original: str, text: str) -> list[Piece]:
    """Return pieces of an original that make a text, where nobody said which; in linear time.

    Copies alone wherever the text is the original with parts left out. Not the shortest script.
    """
    if original == text:
        return [(0, len(text))] if text else []
    if original.split() and "".join(original.split()) == "".join(text.split()):
        return list(_joined(_respaced(original, text)))
    for anchors in _LEAVING_OUT:
        pieces = _pieces(original, text, anchors, literals=False)
        if pieces is not None:
            return pieces
    return _pieces(original, text, _REWRITTEN, literals=True) or []


def _respaced(original: str, text: str) -> Iterator[Piece]:
    """Yield the pieces of a text that differs from its original in white space alone; most are JSON."""
    done = 0
    for run in _RUN.finditer(original):
        start, end = run.span()
        while done < len(text):
            gap = _GAP.match(text, done)
            if gap is not None:
                space, done = gap[0], gap.end()
                yield (start - len(space), start) if original.endswith(space, 0, start) else space
            length = end - start
            if text.startswith(original[start:end], done):
                yield start, end
                done += length
                break
            length = _common(original, start, text, done)
            yield start, start + length
            start, done = start + length, done + length
    if done < len(text):
        rest = text[done:]
        yield (len(original) - len(rest), len(original)) if original.endswith(rest) else rest


def _pieces(original: str, text: str, anchors: Anchors, *, literals: bool) -> list[Piece] | None:
    """Return pieces, the next copy the nearest ahead; what is not found is a literal, or ends the attempt."""
    pieces: list[Piece] = []
    budget = _SEARCHES * (len(original) + len(text))
    at = done = 0
    while done < len(text):
        length = _common(original, at, text, done)
        if length:
            pieces.append((at, at + length))
            at, done = at + length, done + length
            continue
        found, spent = _found(original, at, text, done, anchors) if budget > 0 else (-1, 0)
        budget -= spent
        if found >= 0:
            at = found
        elif not literals:
            return None
        else:
            word = _WORD.match(text, done)
            more = word.end() if word is not None and budget > 0 else len(text)
            pieces.append(text[done:more])
            done = more
    return list(_joined(pieces))


def _found(original: str, at: int, text: str, done: int, anchors: Anchors) -> tuple[int, int]:
    """Return where the text goes on in the original, -1 for nowhere, and how far was searched for it."""
    spent = 0
    for size, reach in anchors:
        end = len(original) if reach is None else min(at + reach, len(original))
        found = original.find(text[done : done + size], at, end)
        spent += (end if found < 0 else found) - at + 1
        if found >= 0:
            return found, spent
    return -1, spent


def _common(original: str, at: int, text: str, done: int) -> int:
    """Return how many characters are the same from two places on."""
    length, step = 0, 64
    while True:
        ours = original[at + length : at + length + step]
        theirs = text[done + length : done + length + step]
        if ours != theirs or not ours:
            return length + len(commonprefix((ours, theirs)))  # noqa: RUF071  of strings, not of paths
        length += len(ours)
        step *= 2


def _joined(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """Yield pieces, those that touch made one and empty ones left out."""
    last: Piece = ""
    for piece in pieces:
        if isinstance(piece, str) and isinstance(last, str):
            last += piece
        elif not isinstance(piece, str) and not isinstance(last, str) and piece[0] == last[1]:
            last = (last[0], piece[1])
        elif piece and piece != (piece[0], piece[0]):
            if last:
                yield last
            last = piece
    if last:
        yield last
