"""Pairs from a teacher: a language model that is asked to shorten texts by removing words only.

This module owns what a teacher is asked, what of its answers is of use, and where they are kept:
`answers.jsonl` everything that was said, `pairs.jsonl` what can be learned from, `distil.json` the
figures. Asking with patience is `elision.evaluation.reader`'s. Texts go to the teacher and into
these files, nowhere else.
Source: Pan et al., arXiv:2403.12968, section 3.1: what is asked, temperature .3, pieces of 512 tokens.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path

from elision.compressors.base import TokenCounter
from elision.config.errors import ConfigError
from elision.evaluation.compression import Tick
from elision.evaluation.cost import Price, bill_of
from elision.evaluation.errors import ReaderFailed
from elision.evaluation.reader import Ask, Endpoint, read, unanswered
from elision.evaluation.store import Row, Store
from elision.training.pairs import Pair, Text, write_pairs
from elision.training.pieces import cut

ANSWERS, PAIRS, FIGURES = "answers.jsonl", "pairs.jsonl", "distil.json"
PIECE_TOKENS = 512
TEMPERATURE = 0.3
INSTRUCTION = """\
Shorten the text below by deleting words from it, and in no other way.

1. Delete whatever a reader can do without: fillers, repetitions, words that carry no information.
2. Leave the words that stay in their order.
3. Leave every word that stays as it is written: no other form, no synonym, no abbreviation, no emoji.
4. Add nothing: no word, no sign, no remark.
5. Leave no information out: who, what, when, where, how much, what not, and why.

Delete as much as these rules allow. Answer with the shortened text and nothing else.

Text:
"""
# The same answer awaits every other prompt: a wrong key, an empty account, no such model or path.
_FINAL = frozenset((401, 402, 403, 404, 405))
_MOST_IN_A_ROW = 8
_THOUGHT = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)
_FENCED = re.compile(r"\A```\w*\n(.*?)\n?```\Z", re.DOTALL)

Bar = Callable[[str, int], AbstractContextManager[Tick]]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked, and of whom.

    Attributes:
        texts: to be shortened.
        teacher: the endpoint.
        counter: of the teacher's tokens.
        piece_tokens: of a piece, at most.
        temperature: at which is asked.
        price: None where it is not known.
        agreed: whether a teacher elsewhere may be asked.
    """

    texts: Sequence[Text]
    teacher: Endpoint
    counter: TokenCounter
    piece_tokens: int = PIECE_TOKENS
    temperature: float = TEMPERATURE
    price: Price | None = None
    agreed: bool = False


@dataclass(frozen=True, slots=True)
class Figures:
    """What came of it; no text.

    Attributes:
        teacher: the model.
        texts: how many.
        pieces: that they were cut into.
        asked: different pieces that were sent in this run.
        kept: pairs written.
        unanswered: pieces by why the teacher gave no answer; the next run asks them again.
        unusable: pieces by what is wrong with the answer; it stays.
        unchanged: pairs whose text came back as it was.
        keep_share: tokens of the compressed texts, of the originals'.
        prompt_tokens: as the teacher counted them, of this run and those before it.
        completion_tokens: likewise.
    """

    teacher: str
    texts: int
    pieces: int
    asked: int
    kept: int
    unanswered: dict[str, int]
    unusable: dict[str, int]
    unchanged: int
    keep_share: float
    prompt_tokens: int
    completion_tokens: int

    def lines(self) -> Iterator[str]:
        """Tell it, a line for each thing."""
        yield f"{self.texts:,} texts in {self.pieces:,} pieces; asked {self.asked:,}; pairs: {self.kept:,}"
        for reason, count in sorted(self.unanswered.items()):
            yield f"no answer: {count:,} ({reason}); the same command asks them again"
        for reason, count in sorted(self.unusable.items()):
            yield f"no pair: {count:,} ({reason})"
        if self.kept:
            yield f"kept {self.keep_share:.2f} of the tokens; {self.unchanged:,} came back unchanged"
        yield (
            f"{self.teacher} read {self.prompt_tokens:,} tokens and wrote {self.completion_tokens:,}, "
            "by its own count, of all runs"
        )


@dataclass(frozen=True, slots=True)
class _Piece:
    id: str
    group: str
    text: str
    ask: Ask


def distil(plan: Plan, out: Path, bar: Bar, tell: Callable[[str], None]) -> Figures:
    """Ask what has not been answered yet, and write the pairs of all answers.

    Args:
        plan: what is asked.
        out: folder of the run; made if it does not exist.
        bar: shows progress.
        tell: says what asking will come to before anything is asked.
    Raises: ConfigError if a teacher elsewhere was not agreed to, or `out` cannot be used;
        PackageMissing; ReaderFailed where the teacher refuses, or stays away. Pairs of what was
        answered are written then too.
    """
    with bar("cutting", len(plan.texts)) as tick:
        pieces = list(_pieces(plan, tick))
    losses = Losses()
    with Store(out / ANSWERS) as answers:
        missing = unanswered([piece.ask for piece in pieces], plan.teacher, answers)
        if missing:
            agree(plan, missing, tell)
        try:
            with bar(f"asking {plan.teacher.model}", len(missing)) as tick:
                read(missing, plan.teacher, answers, losses.watching(tick), losses.lost)
        finally:
            figures = _collect(plan, pieces, answers, out, (len(missing), losses.reasons))
    return figures


def usable(row: Row) -> tuple[str, str]:
    """Return what a teacher's answer says without its frame, and what is wrong with it, if anything.

    A frame is a model's thoughts before the answer, or a fence around it.
    """
    said = _THOUGHT.sub("", str(row["text"])).strip()
    fenced = _FENCED.match(said)
    said = fenced[1].strip() if fenced else said
    if row.get("finish") == "length":
        return said, "the answer was cut off"
    if not said:
        return said, "the answer is empty"
    try:
        said.encode()
    except UnicodeEncodeError:
        return said, "the answer is no Unicode text"
    return said, ""


class Losses:
    """Counts asks without an answer, by reason; gives up where there is no hope for the rest."""

    def __init__(self) -> None:
        self.reasons: Counter[str] = Counter()
        self._in_a_row = 0

    def watching(self, tick: Tick) -> Tick:
        def answered(more: int) -> None:
            self._in_a_row = 0
            tick(more)

        return answered

    def lost(self, _ask: Ask, error: ReaderFailed) -> None:
        self._in_a_row += 1
        self.reasons[_reason(error)] += 1
        if error.status in _FINAL or self._in_a_row >= _MOST_IN_A_ROW:
            raise error


def _reason(error: ReaderFailed) -> str:
    if not error.status:
        return "no connection, or no answer in time"
    return "no chat completion" if error.status == 200 else f"status {error.status}"


def _pieces(plan: Plan, tick: Tick) -> Iterator[_Piece]:
    for one in plan.texts:
        for at, piece in enumerate(cut(one.text, plan.piece_tokens, plan.counter)):
            # Removing makes nothing longer; half as much again is for a teacher that counts otherwise.
            most = plan.counter.count(piece) * 3 // 2 + 64
            yield _Piece(f"{one.id}#{at}", one.id, piece, Ask(INSTRUCTION + piece, most, plan.temperature))
        tick(1)


def agree(plan: Plan, missing: Sequence[Ask], tell: Callable[[str], None]) -> None:
    """Say what it comes to. Raises: ConfigError if a teacher elsewhere was not agreed to."""
    tell(f"{plan.teacher.url}, {plan.teacher.model}: {bill_of(missing, plan.counter, plan.price)}")
    if not plan.teacher.is_here and not plan.agreed:
        raise ConfigError(["--yes: say it to have this asked; nothing was asked yet"])


def _collect(
    plan: Plan, pieces: Sequence[_Piece], answers: Store, out: Path, run: tuple[int, Counter[str]]
) -> Figures:
    """Write the pairs of all answers, and the figures."""
    pairs: list[Pair] = []
    unusable: Counter[str] = Counter()
    found = [(piece, row) for piece in pieces if (row := answers.get(piece.ask.key(plan.teacher)))]
    for piece, row in found:
        said, wrong = usable(row)
        if wrong:
            unusable[wrong] += 1
        else:
            pairs.append(Pair(piece.id, piece.group, piece.text, said, plan.teacher.model))
    write_pairs(out / PAIRS, pairs)
    before = sum(plan.counter.count(pair.original) for pair in pairs)
    # Equal pieces share an answer, which was paid for once.
    once = {piece.ask: row for piece, row in found}.values()
    figures = Figures(
        teacher=plan.teacher.model,
        texts=len(plan.texts),
        pieces=len(pieces),
        asked=run[0],
        kept=len(pairs),
        unanswered=dict(run[1]),
        unusable=dict(unusable),
        unchanged=sum(pair.original == pair.compressed for pair in pairs),
        keep_share=sum(plan.counter.count(pair.compressed) for pair in pairs) / max(before, 1),
        prompt_tokens=_sum(once, "prompt_tokens"),
        completion_tokens=_sum(once, "completion_tokens"),
    )
    (out / FIGURES).write_text(json.dumps(asdict(figures), indent=1, ensure_ascii=False) + "\n", "utf-8")
    return figures


def _sum(rows: Iterable[Row], name: str) -> int:
    counts = [row.get(name) for row in rows]
    return sum(count for count in counts if isinstance(count, int))
