"""Exemplars inside one text: where few-shot demonstrations begin and end.

Pure, and linear in the text's length. Exemplars are known by tags (`<example>`), by heads
("Example 1:", "### Example"), or by labels that come again and again in the same order ("Q: ... A:
...", "Input: ... Output: ..."). At least two complete ones of one shape are needed. The last one, if
it has no answer yet, is what is asked, and no demonstration; what comes before the first and after
the last is none either. Where it is not plain that pairs are examples, rather than a document that
is asked about, or where the last one ends, nothing is taken for one.
"""

import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from elision.policies.cues import ALONE, ANNOUNCES, EXAMPLE_TAGS, INPUTS, OUTPUTS, PLAIN, SPEAKERS, Cue
from elision.policies.outline import Line, Outline, Sign, end_of_line, regions

SHORTEST_CHARACTERS = 80
"""A shorter text holds no exemplars worth finding."""
ANNOUNCED_WITHIN = 240
"""So many characters before the first exemplar may say that examples follow."""
LONGEST_PERIOD = 5
"""So many labels at most has an exemplar whose labels are not known."""
LARGEST_OFFSET = 3
"""So many labels at most stand before the first of them."""

LARGEST_RUNS = 8
"""More runs of tagged examples with other text between them are no few-shot prompt."""

Span = tuple[int, int]

_NUMBER = re.compile(r"\d+")
_BLANKS = re.compile(r"\s*+")
_BORDER = " \t\n#-=*_~"
_LANDMARKS = frozenset((Sign.CLOSE, Sign.RULE, Sign.HEADING))


@dataclass(frozen=True, slots=True)
class Exemplars:
    """Complete exemplars that follow one another, each with the empty lines and rules after it."""

    spans: tuple[Span, ...]

    @property
    def start(self) -> int:
        """Return where the first begins."""
        return self.spans[0][0]

    @property
    def end(self) -> int:
        """Return where the last ends."""
        return self.spans[-1][1]


@dataclass(frozen=True, slots=True)
class _Row:
    """Exemplars as far as their heads are known; the last may be unanswered.

    Attributes:
        starts: where each begins.
        answer: the label that all answers have, "" where they have none.
        sure: whether the heads themselves say that these are examples.
        dialogue: whether the heads are those of somebody who speaks.
        plain: whether the heads begin nothing but examples in a system message.
        known: whether they are in our lists at all.
    """

    starts: tuple[int, ...]
    answer: str = ""
    sure: bool = False
    dialogue: bool = False
    plain: bool = False
    known: bool = True


def exemplars(read: Outline, instructs: bool) -> tuple[Exemplars, ...]:
    """Find the few-shot exemplars in a text.

    Args:
        read: the text's outline.
        instructs: whether it is a system message's, where pairs need not end in an unanswered one.
    """
    if len(read.text) < SHORTEST_CHARACTERS:
        return ()
    tagged = _tagged(read)
    if tagged:
        return tagged
    for row in (_headed(read), _paired(read), _periodic(read)):
        found = _complete(read, row, instructs) if row else None
        if found:
            return (found,)
    return ()


def _tagged(read: Outline) -> tuple[Exemplars, ...]:
    """Return what stands between example tags and their closes, in runs with nothing between."""
    found = [region for region in regions(read, EXAMPLE_TAGS) if region.name]
    if len(found) < 2:
        return ()
    runs: list[list[Span]] = []
    for region in found:
        span = (region.start, _over_blanks(read.text, region.end))
        if runs and runs[-1][-1][1] >= region.start:
            runs[-1].append(span)
        else:
            runs.append([span])
    return tuple(Exemplars(tuple(run)) for run in runs) if len(runs) <= LARGEST_RUNS else ()


def _headed(read: Outline) -> _Row | None:
    """Return exemplars headed "Example 1:", "### Example" and the like.

    Heads without numbers are those of a manual as often, unless the same label ends each.
    """
    heads = [line for line in read.lines if line.cue is Cue.EXAMPLE]
    if len(heads) < 2:
        return None
    starts = tuple(line.start for line in heads)
    answer = _answer([line for line in read.lines if line.sign is Sign.LABEL], starts)
    numbers = [int(found[0]) if (found := _NUMBER.search(read.text, *line[:2])) else -1 for line in heads]
    counted = numbers[0] in (0, 1) and all(b == a + 1 for a, b in pairwise(numbers))
    return _Row(starts, answer, sure=True) if answer or counted else None


def _paired(read: Outline) -> _Row | None:
    """Return exemplars by labels that are known to begin a question and its answer."""
    labels = [line for line in read.lines if line.sign is Sign.LABEL]
    counts = Counter(line.name for line in labels)
    for head in [name for name in counts if name in INPUTS | SPEAKERS and counts[name] > 1]:
        outer = _outermost(labels, head, counts)
        starts = tuple(line.start for line in labels if line.name == outer)
        answer = _answer(labels, starts)
        if answer or head in ALONE:
            return _Row(starts, answer, dialogue=head in SPEAKERS, plain=head in PLAIN)
    return None


def _outermost(labels: Sequence[Line], head: str, counts: Counter[str]) -> str:
    """Return the label that each exemplar begins with, where `head` is within: its context, for instance."""
    count = counts[head]
    for _ in range(LONGEST_PERIOD):
        before = {labels[n - 1].name if n else "" for n, line in enumerate(labels) if line.name == head}
        name = before.pop()
        if before or name in OUTPUTS or name in ("", head) or counts[name] != count:
            break
        head = name
    return head


def _answer(labels: Sequence[Line], starts: Sequence[int]) -> str:
    """Return the label of an answer that all exemplars have but perhaps the last, "" if there is none."""
    common: list[str] | None = None
    for start, end in pairwise(starts):
        own = [line.name for line in _between(labels, start, end) if line.name in OUTPUTS]
        common = own if common is None else [name for name in common if name in own]
        if not common:
            return ""
    return common[-1] if common else ""


def _periodic(read: Outline) -> _Row | None:
    """Return exemplars by labels of any name that come again and again in the same order to the end."""
    labels = [line for line in read.lines if line.sign is Sign.LABEL]
    for first in range(min(LARGEST_OFFSET + 1, len(labels))):
        names = [line.name for line in labels[first:]]
        for period in range(2, min(LONGEST_PERIOD, len(names) // 2) + 1):
            if len(set(names[:period])) == period and names[period:] == names[:-period]:
                starts = tuple(line.start for line in labels[first::period])
                return _Row(starts, names[period - 1], dialogue=names[0] in SPEAKERS, known=False)
    return None


def _complete(read: Outline, row: _Row, instructs: bool) -> Exemplars | None:
    """Return the complete exemplars of a row; None if they are fewer than two, or not plainly examples."""
    answered = _is_answered(read, row)
    if not (row.sure or _is_announced(read, row.starts[0]) or _shows_itself(read, row, instructs, answered)):
        return None
    end = _last_end(read, row) if answered else 0
    spans = tuple(pairwise([*row.starts, end] if end else row.starts))
    return Exemplars(spans) if len(spans) > 1 else None


def _shows_itself(read: Outline, row: _Row, instructs: bool, answered: bool) -> bool:
    """Whether a row that nobody calls examples is one: by its unanswered end, or by where it stands."""
    if _is_material(read, row.starts[0]) or (row.dialogue and not instructs):
        return False
    if not row.known:
        return _ends_in_label(read, row) and _are_apart(read, row)
    return not answered or (instructs and row.plain)


def _is_announced(read: Outline, start: int) -> bool:
    """Whether the text right before a place says that examples follow."""
    return bool(ANNOUNCES.search(read.text, max(0, start - ANNOUNCED_WITHIN), start))


def _is_material(read: Outline, start: int) -> bool:
    """Whether a place is headed as material: "Context:", "## FAQ", `<documents>`."""
    before = [line for line in read.lines[: _index(read.lines, start)] if line.sign is not Sign.RULE]
    if not before or not (before[-1].cue is Cue.MATERIAL or before[-1].sign is Sign.OPEN):
        return False
    return not read.text[end_of_line(read.text, before[-1].end) : start].strip()


def _is_answered(read: Outline, row: _Row) -> bool:
    """Whether the last exemplar of a row has its answer.

    It has not where its answer is empty, or no more than the beginning of the first one's ("Let's
    think step by step."); without a label for answers, where it has fewer lines than any other.
    """
    text, spans = read.text, _spans(row)
    start, end = row.starts[-1], _limit(read, row)
    if not row.answer:
        return _lines(text, start, end) >= min(_lines(text, *span) for span in spans)
    own, first = _answer_to(read, row, start, end), _answer_to(read, row, *spans[0])
    return bool(own) and (own == first or not first.startswith(own))


def _answer_to(read: Outline, row: _Row, start: int, end: int) -> str:
    """Return the first paragraph of an exemplar's answer, "" if it has none."""
    at = _answer_end(read, row.answer, start, end)
    if at is None:
        return ""
    number = bisect_right(read.gaps, at)
    gap = read.gaps[number] if number < len(read.gaps) else end
    return read.text[at : min(gap, end)].strip()


def _ends_in_label(read: Outline, row: _Row) -> bool:
    """Whether the last exemplar of a row has its answer's label, and nothing after it."""
    answer = _answer_end(read, row.answer, row.starts[-1], len(read.text))
    return answer is not None and not read.text[answer:].strip()


def _are_apart(read: Outline, row: _Row) -> bool:
    """Whether empty lines part a row's exemplars and nothing within them, unlike what people say in turn."""
    gaps = set(read.gaps)
    return all(
        start in gaps and not _inner_gaps(read, *span)
        for start, span in zip(row.starts[1:], _spans(row), strict=True)
    )


def _answer_end(read: Outline, name: str, start: int, end: int) -> int | None:
    """Return the place after the answer's label within an exemplar."""
    return next((line.end for line in _between(read.lines, start, end) if line.name == name), None)


def _spans(row: _Row) -> list[Span]:
    return list(pairwise(row.starts))


def _lines(text: str, start: int, end: int) -> int:
    """Return how many lines that are not blank an exemplar has."""
    return sum(bool(line.strip()) for line in text[start:end].split("\n"))


def _last_end(read: Outline, row: _Row) -> int:
    """Return where the last exemplar ends if all others are alike, 0 if that is not plain.

    Where each has but one line after its answer's label, so has it; else as many paragraphs as they.
    """
    start, limit = row.starts[-1], _limit(read, row)
    if row.answer and all(_is_one_line(read, row.answer, *span) for span in _spans(row)):
        answer = _answer_end(read, row.answer, start, limit)
        return min(_over_blanks(read.text, end_of_line(read.text, answer or start)), limit)
    inner = {_inner_gaps(read, *span) for span in _spans(row)}
    if len(inner) != 1:
        return 0
    places = read.gaps[bisect_right(read.gaps, start) : bisect_left(read.gaps, limit)]
    number = inner.pop()
    return places[number] if len(places) > number else limit


def _limit(read: Outline, row: _Row) -> int:
    """Return where the last exemplar ends at the latest: at a close, rule or heading that no other has."""
    first = _index(read.lines, row.starts[0])
    last = _index(read.lines, row.starts[-1])
    inside = {_landmark(line) for line in read.lines[first:last]}
    after = (line for line in read.lines[last + 1 :] if line.sign in _LANDMARKS)
    return next((line.start for line in after if _landmark(line) not in inside), len(read.text))


def _landmark(line: Line) -> tuple[Sign, str]:
    return line.sign, "" if line.sign is Sign.RULE else line.name


def _inner_gaps(read: Outline, start: int, end: int) -> int:
    """Return how many empty lines stand within an exemplar, those at its end not counted."""
    end = start + len(read.text[start:end].rstrip(_BORDER))
    return bisect_left(read.gaps, end) - bisect_right(read.gaps, start)


def _is_one_line(read: Outline, name: str, start: int, end: int) -> bool:
    answer = _answer_end(read, name, start, end)
    return answer is not None and "\n" not in read.text[answer:end].strip(_BORDER)


def _over_blanks(text: str, at: int) -> int:
    found = _BLANKS.match(text, at)
    return found.end() if found else at


def _between(lines: Sequence[Line], start: int, end: int) -> Sequence[Line]:
    """Return the lines after the one at `start` and before `end`."""
    return lines[_index(lines, start + 1) : _index(lines, end)]


def _index(lines: Sequence[Line], at: int) -> int:
    return bisect_left(lines, at, key=lambda line: line.start)
