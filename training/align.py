"""What a target model answers, for a small model to learn how it speaks.

LLMLingua drops what a small model expects; the more that model expects what the target would, the
better it knows what the target can do without. This module owns what the target is asked (the
instructions as they are), which answers are of use, and their files: `answers.jsonl` everything that
was said, `outputs.jsonl` instructions with their outputs, `collected.json` the figures. Learning is
`elision.training.align_trainer`'s. Texts go to the target and into these files, nowhere else.
Source: Jiang et al., arXiv:2310.05736, section 3.3: distribution alignment.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from elision.config.errors import ConfigError
from elision.evaluation.reader import Ask, read, unanswered
from elision.evaluation.store import Store
from elision.training.distil import ANSWERS, Bar, Losses, Plan, agree, usable
from elision.training.state import STATE

OUTPUTS, FIGURES = "outputs.jsonl", "collected.json"
TRAINING = "training"
"""Folder in a run's folder where `elision.training.align_trainer` works."""
OUTPUT_TOKENS = 512


@dataclass(frozen=True, slots=True)
class Output:
    """An instruction, and what the target answered."""

    instruction: str
    output: str


@dataclass(frozen=True, slots=True)
class Figures:
    """What came of asking; no text.

    Attributes:
        target: the model that was asked.
        instructions: different ones.
        asked: that were sent in this run.
        kept: outputs to learn from.
        unanswered: by why there was no answer; the next run asks them again.
        unusable: by what is wrong with the answer; it stays.
    """

    target: str
    instructions: int
    asked: int
    kept: int
    unanswered: dict[str, int]
    unusable: dict[str, int]

    def lines(self) -> Iterator[str]:
        """Tell it, a line for each thing."""
        yield f"{self.instructions:,} instructions; asked {self.asked:,}; outputs: {self.kept:,}"
        for reason, count in sorted(self.unanswered.items()):
            yield f"no answer: {count:,} ({reason}); the same command asks them again"
        for reason, count in sorted(self.unusable.items()):
            yield f"no output: {count:,} ({reason})"


def collect(
    plan: Plan, out: Path, bar: Bar, tell: Callable[[str], None], *, output_tokens: int = OUTPUT_TOKENS
) -> tuple[list[Output], Figures]:
    """Ask what has not been answered yet; return all outputs.

    Args:
        plan: instructions as its texts, the target as its teacher.
        out: folder of the run; made if it does not exist.
        bar: shows progress.
        tell: says what asking will come to before anything is asked.
        output_tokens: of an answer, at most; a longer one is of no use.
    Raises: ConfigError if a target elsewhere was not agreed to, or `out` cannot be used, for a training
        on other outputs stands there already for instance; PackageMissing; ReaderFailed where the target
        refuses, or stays away.
    """
    asks = list(dict.fromkeys(Ask(one.text, output_tokens, plan.temperature) for one in plan.texts))
    losses = Losses()
    with Store(out / ANSWERS) as answers:
        missing = unanswered(asks, plan.teacher, answers)
        if missing:
            _refuse_trained(out)
            agree(plan, missing, tell)
        with bar(f"asking {plan.teacher.model}", len(missing)) as tick:
            read(missing, plan.teacher, answers, losses.watching(tick), losses.lost)
        outputs, unusable = _outputs(asks, plan, answers)
    figures = Figures(
        target=plan.teacher.model,
        instructions=len(asks),
        asked=len(missing),
        kept=len(outputs),
        unanswered=dict(losses.reasons),
        unusable=dict(unusable),
    )
    _write(outputs, figures, out)
    return outputs, figures


def _refuse_trained(out: Path) -> None:
    """Ask nothing, which may cost, for a training that would be refused. Raises: ConfigError."""
    file = out / TRAINING / STATE
    if file.exists():
        told = f"{file}: a training on other instructions, or another target's answers, stands here"
        raise ConfigError([f"{told}; use another --out"])


def _outputs(asks: Sequence[Ask], plan: Plan, answers: Store) -> tuple[list[Output], Counter[str]]:
    outputs: list[Output] = []
    unusable: Counter[str] = Counter()
    for ask in asks:
        row = answers.get(ask.key(plan.teacher))
        if row is None:
            continue
        said, wrong = usable(row)
        if wrong:
            unusable[wrong] += 1
        else:
            outputs.append(Output(ask.prompt, said))
    return outputs, unusable


def _write(outputs: Sequence[Output], figures: Figures, out: Path) -> None:
    draft = out / f"{OUTPUTS}.draft"
    try:
        with draft.open("w", encoding="utf-8", newline="\n") as file:
            for one in outputs:
                file.write(json.dumps(asdict(one), ensure_ascii=False) + "\n")
        draft.replace(out / OUTPUTS)
        (out / FIGURES).write_text(json.dumps(asdict(figures), indent=1) + "\n", "utf-8")
    except OSError as error:
        raise ConfigError([f"{out}: cannot be written: {error.strerror}"]) from error
