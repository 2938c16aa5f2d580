"""Tables of what `benchmarks.causal_methods` measured; computed from its rows each time.

Holds no text of the data sets. Speed is in tokens of the input per second of processor time (one
thread, so that others on the machine count little) and, as a ratio only, per second of the clock.
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
    "| shape | method | tokens | asked | | kept | off by | tokens per CPU second | "
    "times as fast (by the clock) | peak MiB (above rest) |"
)
_QUALITY_HEAD = (
    "| texts | method | asked | ours | n | kept: reference, ours | "
    "answers that survive: reference, ours | points | reader's F1: reference, ours | points |"
)

Answer = Callable[[Row], str | None]
"""From a row of `quality` to what a reader said of its text; None where it was not asked."""


def speed_lines(rows: Sequence[Row]) -> list[Row]:
    """Return a line for each contestant, size and rate: medians over rounds, ratios to the reference."""
    cells: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        key = (row["shape"], row["size"], row["family"], row["rate"], row["name"])
        cells.setdefault(key, []).append(row)
    found = []
    for (shape, size, family, rate, name), own in sorted(cells.items(), key=_place):
        theirs = [row for row in cells.get((shape, size, family, rate, _REFERENCE), []) if _ran(row)]
        line: Row = {"shape": shape, "tokens": size, "family": family, "asked": rate, "name": name}
        ran = [row for row in own if _ran(row)]
        if not ran:
            found.append(line | {"crash": own[0]["crash"]})
            continue
        before, after = ran[0]["tokens"]
        line |= {
            "turns": len(ran),
            "tokens_per_cpu_s": median(row["tokens"][0] / row["cpu"] for row in ran),
            "peak_mib": max(row["peak_mib"] for row in ran),
            "above_rest_mib": max(row["peak_mib"] - row["rest_mib"] for row in ran),
            "kept": after / before,
        }
        if ran[0].get("own"):
            line["kept_by_own_count"] = ran[0]["own"][1] / ran[0]["own"][0]
        if theirs and name != _REFERENCE:
            line["times_cpu"] = _cost(theirs, "cpu") / _cost(ran, "cpu")
            line["times_clock"] = _cost(theirs, "seconds") / _cost(ran, "seconds")
            line["same_text"] = ran[0]["text"] == theirs[0]["text"]
        found.append(line)
    return found


def _place(cell: tuple[tuple[Any, ...], list[Row]]) -> tuple[Any, ...]:
    shape, size, family, rate, name = cell[0]
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
    """Return speeds as Markdown."""
    rows = [
        _SPEED_HEAD,
        "|---" * 10 + "|",
    ]
    for one in lines:
        named = f"| {one['shape']} | {one['family']} | {one['tokens']:,} | {one['asked']:g} | {one['name']} |"
        if "crash" in one:
            rows.append(f"{named} | | | | died: {one['crash'][:60]} |")
            continue
        off = one["kept"] - one["asked"]
        times = f"{one['times_cpu']:.2f} ({one['times_clock']:.2f})" if "times_cpu" in one else ""
        own = f" ({one['kept_by_own_count']:.3f})" if "kept_by_own_count" in one else ""
        rows.append(
            f"{named} {one['kept']:.3f}{own} | {off:+.3f} | {one['tokens_per_cpu_s']:,.0f} | {times} | "
            f"{one['peak_mib']:,.0f} ({one['above_rest_mib']:,.0f}) |"
        )
    return "\n".join(rows)


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
