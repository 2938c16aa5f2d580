"""Tables of what `benchmarks.causal_methods` measured; computed from its rows each time.

Holds no text of the data sets. Speed is in tokens of the input per second of processor time (one
thread, so that others on the machine count little) and, as a ratio only, per second of the clock.
What was measured in several runs is told by the last one that has it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from elision.evaluation import bootstrap
from elision.evaluation.exact_match import f1
from elision.evaluation.model import Item
from elision.evaluation.survival import survives

Row = dict[str, Any]
_REFERENCE = "reference"

_SPEED_HEAD = (
    "| shape | method | tokens | asked | | tokens per CPU second | "
    "times as fast (by the clock) | peak MiB | above rest |"
)
_QUALITY_HEAD = (
    "| texts | method | asked | ours | n | kept: reference, ours | "
    "answers that survive: reference, ours | points | reader's F1: reference, ours | points |"
)

Answer = Callable[[Row], str | None]
"""From a row of `quality` to what a reader said of its text; None where it was not asked."""


def speed_lines(rows: Sequence[Row]) -> list[Row]:
    """Return a line for each contestant, size and rate: medians over rounds, ratios to the reference.

    Ours are compared with the reference in the same run, or where it has no part in that in the last
    one that has it: `same_run` says which.
    """
    cells: dict[tuple[Any, ...], dict[str, list[Row]]] = {}
    for row in rows:
        key = (row["shape"], row["size"], row["family"], row["rate"], row["name"])
        cells.setdefault(key, {}).setdefault(row.get("run", ""), []).append(row)
    found = []
    for cell in sorted(cells, key=_place):
        shape, size, family, rate, name = cell
        run, own = list(cells[cell].items())[-1]
        theirs = cells.get((shape, size, family, rate, _REFERENCE), {})
        line: Row = {
            "shape": shape,
            "tokens": size,
            "family": family,
            "asked": rate,
            "name": name,
            "run": run,
        }
        if name == _REFERENCE or not theirs:
            found.append(line | _measured(own))
            continue
        last = theirs.get(run) or list(theirs.values())[-1]
        found.append(line | _measured(own) | _against(own, last) | {"same_run": run in theirs})
    return found


def _measured(rows: Sequence[Row]) -> Row:
    ran = [row for row in rows if _ran(row)]
    if not ran:
        return {"crash": rows[0]["crash"]}
    before, after = ran[0]["tokens"]
    line: Row = {
        "turns": len(ran),
        "commit": ran[-1].get("commit", ""),
        "tokens_per_cpu_s": median(row["tokens"][0] / row["cpu"] for row in ran),
        "kept": after / before,
    }
    if "peak_mib" in ran[0]:
        line["peak_mib"] = max(row["peak_mib"] for row in ran)
        line["above_rest_mib"] = max(row["peak_mib"] - row["rest_mib"] for row in ran)
    if ran[0].get("own"):
        line["kept_by_own_count"] = ran[0]["own"][1] / ran[0]["own"][0]
    return line


def _against(own: Sequence[Row], theirs: Sequence[Row]) -> Row:
    ran, reference = [row for row in own if _ran(row)], [row for row in theirs if _ran(row)]
    if not ran or not reference:
        return {}
    return {
        "times_cpu": _cost(reference, "cpu") / _cost(ran, "cpu"),
        "times_clock": _cost(reference, "seconds") / _cost(ran, "seconds"),
        "same_text": ran[0]["text"] == reference[0]["text"],
    }


def _place(cell: tuple[Any, ...]) -> tuple[Any, ...]:
    shape, size, family, rate, name = cell
    return shape, family, size, -rate, name != _REFERENCE, name


def _ran(row: Row) -> bool:
    return not row.get("crash")


def _cost(rows: Sequence[Row], kind: str) -> float:
    return float(median(row[kind] for row in rows))


def quality_lines(rows: Sequence[Row], items: Mapping[tuple[str, str], Item], answer: Answer) -> list[Row]:
    """Return a line for each contestant beside the reference: kept, answers that survive, F1; paired."""
    cells: dict[tuple[Any, ...], dict[str, Row]] = {}
    for row in rows:
        if _ran(row):
            cells.setdefault((row["set"], row["family"], row["rate"], row["name"]), {})[row["item"]] = row
    found = []
    for (kind, family, rate, name), own in sorted(cells.items()):
        theirs = cells.get((kind, family, rate, _REFERENCE), {})
        both = sorted(own.keys() & theirs.keys())
        if name == _REFERENCE or not both:
            continue
        line: Row = {"set": kind, "family": family, "asked": rate, "name": name, "items": len(both)}
        for whose, side in (("reference", theirs), ("ours", own)):
            line[f"kept_{whose}"] = _kept([side[item] for item in both])
        pairs = [[_survives(side[item], items[kind, item]) for item in both] for side in (theirs, own)]
        line |= _compared("survival", pairs, both)
        line["same_text"] = sum(theirs[item]["text"] == own[item]["text"] for item in both) / len(both)
        line |= dict(_read(kind, both, (theirs, own), items, answer))
        found.append(line)
    return found


def _read(
    kind: str,
    both: Sequence[str],
    sides: tuple[Mapping[str, Row], Mapping[str, Row]],
    items: Mapping[tuple[str, str], Item],
    answer: Answer,
) -> Iterator[tuple[str, Any]]:
    said = {item: [answer(side[item]) for side in sides] for item in both}
    asked = [item for item in both if None not in said[item]]
    if asked:
        scores = [
            [f1(str(said[item][at]), items[kind, item].answers) or 0.0 for item in asked] for at in (0, 1)
        ]
        yield from _compared("f1", scores, asked).items()
        yield "read", len(asked)


def _compared(measure: str, pairs: Sequence[Sequence[float]], groups: Sequence[str]) -> Row:
    theirs, ours = pairs
    gain = bootstrap.mean([100 * (b - a) for a, b in zip(theirs, ours, strict=True)], groups, 0)
    return {
        f"{measure}_reference": sum(theirs) / len(theirs),
        f"{measure}_ours": sum(ours) / len(ours),
        f"{measure}_gain": gain.value,
        f"{measure}_gain_low": gain.low,
        f"{measure}_gain_high": gain.high,
    }


def _kept(rows: Sequence[Row]) -> float:
    return float(sum(row["tokens"][1] for row in rows) / sum(row["tokens"][0] for row in rows))


def _survives(row: Row, item: Item) -> float:
    return survives(row["text"], item.text, item.answers) or 0.0


def speed_table(lines: Sequence[Row]) -> str:
    """Return speeds as Markdown; a star where the reference was measured in an earlier run."""
    rows = [
        _SPEED_HEAD,
        "|---" * 9 + "|",
    ]
    for one in lines:
        named = f"| {one['shape']} | {one['family']} | {one['tokens']:,} | {one['asked']:g} | {one['name']} |"
        if "crash" in one:
            rows.append(f"{named} died: {one['crash'][:60]} | | | |")
            continue
        times = f"{one['times_cpu']:.2f} ({one['times_clock']:.2f})" if "times_cpu" in one else ""
        star = "" if one.get("same_run", True) else "*"
        rows.append(
            f"{named} {one['tokens_per_cpu_s']:,.0f} | {times}{star} | "
            f"{_mib(one, 'peak_mib')} | {_mib(one, 'above_rest_mib')} |"
        )
    return "\n".join(rows)


def _mib(one: Row, kind: str) -> str:
    # Unknown where one process held several models.
    return f"{one[kind]:,.0f}" if kind in one else ""


def rate_table(lines: Sequence[Row]) -> str:
    """Return what was kept of what was asked for as Markdown: a row for each contestant and rate."""
    sizes = sorted({one["tokens"] for one in lines})
    told = "".join(f" {size:,} tokens |" for size in sizes)
    rows = [f"| shape | method | | asked |{told}", "|---" * (4 + len(sizes)) + "|"]
    cells = {(one["shape"], one["family"], one["name"], one["asked"], one["tokens"]): one for one in lines}
    for named in dict.fromkeys(key[:4] for key in sorted(cells, key=_by_contestant)):
        shape, family, name, asked = named
        kept = "".join(f" {_error(cells.get((*named, size)))} |" for size in sizes)
        rows.append(f"| {shape} | {family} | {name} | {asked:g} |{kept}")
    return "\n".join(rows)


def _by_contestant(key: tuple[Any, ...]) -> tuple[Any, ...]:
    shape, family, name, asked, size = key
    return shape, family, name != _REFERENCE, name, -asked, size


def _error(one: Row | None) -> str:
    if one is None or "crash" in one:
        return "" if one is None else "died"
    own = f", {one['kept_by_own_count'] - one['asked']:+.3f} by own" if "kept_by_own_count" in one else ""
    return f"{one['kept']:.3f} ({one['kept'] - one['asked']:+.3f}{own})"


def quality_table(lines: Sequence[Row]) -> str:
    """Return what survives as Markdown."""
    rows = [
        _QUALITY_HEAD,
        "|---" * 10 + "|",
    ]
    for one in lines:
        read = ""
        if "read" in one:
            read = f"{one['f1_reference']:.3f}, {one['f1_ours']:.3f} (n={one['read']}) | {_gain(one, 'f1')}"
        rows.append(
            f"| {one['set']} | {one['family']} | {one['asked']:g} | {one['name']} | {one['items']} | "
            f"{one['kept_reference']:.3f}, {one['kept_ours']:.3f} | "
            f"{one['survival_reference']:.3f}, {one['survival_ours']:.3f} | {_gain(one, 'survival')} | "
            f"{read or '|'} |"
        )
    return "\n".join(rows)


def _gain(one: Row, measure: str) -> str:
    value, low, high = (one[f"{measure}_gain{end}"] for end in ("", "_low", "_high"))
    return f"{value:+.1f}" if low is None else f"{value:+.1f} ({low:.1f} to {high:.1f})"
