"""A run's table, as Markdown and JSON, and the scores of every item as JSON lines. No texts in any.

Pure but for `write`. Figures of papers stand below ours, marked as published.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from elision.evaluation.bootstrap import LEVEL, RESAMPLES, Estimate
from elision.evaluation.forms import COLUMNS
from elision.evaluation.model import Score
from elision.evaluation.published import figures
from elision.evaluation.summary import Line

TABLE, DATA, SCORES = "table.md", "table.json", "scores.jsonl"
_HEADS = {
    "survival": "answers that survive",
    "em": "EM",
    "f1": "F1",
    "rouge_l": "ROUGE-L",
    "unit_f1": "unit F1",
}


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a table was made under, for its head.

    Attributes:
        facts: name and value, in order: version, machine, tokenizer, reader, seed.
        baseline: the method that others are compared with; empty: none.
        published: under which name papers' figures are kept, by data set.
    """

    facts: Mapping[str, str]
    baseline: str
    published: Mapping[str, str]


def write(folder: Path, lines: Sequence[Line], scores: Sequence[Score], conditions: Conditions) -> str:
    """Write `table.md`, `table.json` and `scores.jsonl`; return the Markdown."""
    told = markdown(lines, conditions)
    (folder / TABLE).write_text(told, encoding="utf-8")
    data = {"conditions": dict(conditions.facts), "lines": [_plain(line) for line in lines]}
    (folder / DATA).write_text(json.dumps(data, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    rows = "".join(json.dumps(_score_row(score), ensure_ascii=False) + "\n" for score in scores)
    (folder / SCORES).write_text(rows, encoding="utf-8")
    return told


def markdown(lines: Sequence[Line], conditions: Conditions) -> str:
    """Return the report: conditions, then for each data set its table, differences, papers' figures."""
    parts = ["# Evaluation", ""]
    parts += [f"- {name}: {value}" for name, value in conditions.facts.items()]
    parts.append(
        f"- intervals: {LEVEL:.0%}, percentile bootstrap, {RESAMPLES:,} resamples of groups (documents)"
    )
    for dataset in dict.fromkeys(line.cell.dataset for line in lines):
        own = [line for line in lines if line.cell.dataset == dataset]
        parts += ["", f"## {dataset}", "", *_table(own)]
        if any(line.differences for line in own):
            head = f"Difference to `{conditions.baseline}` on the same items:"
            parts += ["", head, "", *_differences(own)]
        parts += _papers(conditions.published.get(dataset, ""))
    return "\n".join(parts) + "\n"


def _table(lines: Sequence[Line]) -> Iterator[str]:
    columns = [column for column in COLUMNS if any(column in line.measures for line in lines)]
    heads = ["method", "asked", "kept", "items", "left whole", *(_HEADS[one] for one in columns)]
    yield from _rule([*heads, "seconds", "tokens/s"])
    for line in lines:
        measured = [_cell(line.measures.get(one)) for one in columns]
        timing = line.timing
        speed = f"{timing.tokens / timing.seconds:,.0f}" if timing.seconds else ""
        yield _row(
            [
                f"`{line.cell.method}`",
                line.cell.target,
                f"{line.kept:.4f} ({line.after:,} of {line.before:,})",
                str(line.items),
                str(line.left),
                *measured,
                f"{timing.seconds:.2f}" if timing.tokens else "",
                speed,
            ]
        )


def _differences(lines: Sequence[Line]) -> Iterator[str]:
    columns = [column for column in COLUMNS if any(column in line.differences for line in lines)]
    # Who keeps more answers by keeping more tokens has won nothing: both shares stand side by side.
    yield from _rule(["method", "asked", "kept", "kept there", *(_HEADS[one] for one in columns)])
    for line in lines:
        if line.differences and line.kept_there is not None:
            told = [_cell(line.differences.get(one), sign="+") for one in columns]
            shares = (f"{line.kept:.4f}", f"{line.kept_there:.4f}")
            yield _row([f"`{line.cell.method}`", line.cell.target, *shares, *told])


def _papers(name: str) -> list[str]:
    found = figures(name)
    if not found:
        return []
    rows = [_row([o.method, o.measure, o.kept, o.value, o.full, o.source]) for o in found]
    head = "Published, by their authors with their readers and prompts; not measured here:"
    return ["", head, "", *_rule(["method", "measure", "kept", "result", "full prompt", "source"]), *rows]


def _cell(estimate: Estimate | None, sign: str = "") -> str:
    if estimate is None:
        return ""
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:{sign}.3f} (n {estimate.items}, one group)"
    between = f"{estimate.low:{sign}.3f} to {estimate.high:{sign}.3f}"
    groups = f", {estimate.groups} groups" if estimate.groups != estimate.items else ""
    return f"{estimate.value:{sign}.3f} ({between}; n {estimate.items}{groups})"


def _rule(heads: Sequence[str]) -> list[str]:
    return [_row(heads), _row(["---"] * len(heads))]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _plain(line: Line) -> dict[str, object]:
    return {**asdict(line), "kept": line.kept}


def _score_row(score: Score) -> dict[str, object]:
    row = asdict(score)
    return {**row.pop("cell"), **row}
