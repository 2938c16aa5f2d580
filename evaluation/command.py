"""What `elision eval` does once its flags are read: read data, run, sum up, write, draw.

This module owns the names of what lands in a run's folder. Flags and exit codes are the command line's.
"""

import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from elision.compressors.registry import Resources
from elision.config.errors import ConfigError
from elision.evaluation import plots, report
from elision.evaluation.model import Asked
from elision.evaluation.progress import bar
from elision.evaluation.run import Plan, Result, run
from elision.evaluation.summary import summarise

PEOPLE = "people"


@dataclass(frozen=True, slots=True)
class Wish:
    """What the command line adds to a plan.

    Attributes:
        out: folder of the run.
        baseline: label of the method that others are compared with; empty: none.
        curves: whether to draw.
    """

    out: Path
    baseline: str
    curves: bool


def targets_of(rates: list[str], tokens: list[int]) -> tuple[Asked, ...]:
    """Read targets as the command line has them. Raises: ConfigError."""
    return (*(_rate(written) for written in rates), *(Asked(tokens=one) for one in tokens))


def evaluate(plan: Plan, resources: Resources, wish: Wish, tell: Callable[[str], None]) -> str:
    """Run a plan, write its tables and curves, and return the table in Markdown.

    Raises: what `run` raises; PackageMissing if curves are wanted and matplotlib is not there.
    """
    _check(plan, wish)
    result = run(plan, resources, wish.out, bar, tell)
    lines = summarise(result.scores, result.timings, wish.baseline, plan.seed)
    told = report.write(wish.out, lines, result.scores, _conditions(plan, resources, wish, result))
    if wish.curves:
        plots.draw(lines, wish.out)
    return told


def _check(plan: Plan, wish: Wish) -> None:
    names, labels = [one.name for one in plan.datasets], [one.label for one in plan.methods]
    for what, found in (("data set", names), ("method", labels)):
        twice = sorted({one for one in found if found.count(one) > 1})
        if twice:
            raise ConfigError([f"{what} {one!r} is named twice" for one in twice])
    if wish.baseline and wish.baseline not in labels:
        raise ConfigError([f"--baseline: {wish.baseline!r} is none of the methods: {', '.join(labels)}"])
    if not plan.targets and any(chosen.needs_target for chosen in plan.methods):
        raise ConfigError(["--rate: say how far to go, --rate 0.5 for instance"])
    if plan.endpoint is not None:
        plan.endpoint.check()


def _rate(written: str) -> Asked:
    if written == PEOPLE:
        return Asked(as_people=True)
    try:
        rate = float(written)
    except ValueError:
        rate = 0.0
    if not 0 < rate <= 1:
        raise ConfigError([f"--rate: must be above 0 and at most 1, or `{PEOPLE}`, not {written!r}"])
    return Asked(rate=rate)


def _conditions(plan: Plan, resources: Resources, wish: Wish, result: Result) -> report.Conditions:
    protect = plan.protect
    facts = {
        "elision": version("elision"),
        "machine": f"{os.cpu_count()} CPUs, {platform.machine()}, Python {platform.python_version()}",
        "tokens counted by": resources.counters.counter_for(plan.model).name,
        "protected": "the product's classes" if protect is None else ", ".join(protect) or "nothing",
        "question": "told to no method" if plan.blind else "told to methods that ask for it",
        "reader": "none" if plan.endpoint is None else f"{plan.endpoint.model}, temperature 0",
        "seed": str(plan.seed),
        "scores": f"{len(result.scores):,}",
    }
    published = {dataset.name: dataset.published for dataset in plan.datasets}
    return report.Conditions(facts, wish.baseline, published)
