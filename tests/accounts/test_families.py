"""The catalogue of metrics, and the page that explains it."""

import re
from pathlib import Path

import pytest

from elision.accounts.families import FAMILIES, Family, Kind

PAGE = Path(__file__).parent.parent.parent / "docs/metrics.md"


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES.keys())
def test_every_family_is_well_made(family: Family) -> None:
    """Names as Prometheus wants them; bounds of histograms rise."""
    assert re.fullmatch(r"elision_[a-z_]+", family.name)
    assert not family.name.endswith("_total")
    assert bool(family.bounds) == (family.kind is Kind.HISTOGRAM)
    assert list(family.bounds) == sorted(set(family.bounds))
    assert family.told.endswith(".")


def test_the_page_tells_every_metric_with_its_labels() -> None:
    """No more, no less, in the catalogue's order."""
    rows = re.findall(r"^\| `(elision_\w+)` \| (\w+) \|([^|]*)\|", PAGE.read_text("utf-8"), re.MULTILINE)
    told = [(name, kind, tuple(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows]
    wanted = [(f.samples[0].removesuffix("_bucket"), f.kind.value, f.labels) for f in FAMILIES.values()]
    assert told == wanted


def test_samples_are_called_as_prometheus_calls_them() -> None:
    """By kind."""
    assert FAMILIES["elision_requests"].samples == ("elision_requests_total",)
    assert FAMILIES["elision_in_flight"].samples == ("elision_in_flight",)
    parts = ("elision_ratio_bucket", "elision_ratio_sum", "elision_ratio_count")
    assert FAMILIES["elision_ratio"].samples == parts
