"""Counts as Prometheus reads them."""

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from elision.accounts.counts import Counts
from elision.accounts.exposition import exposed
from elision.accounts.families import FAMILIES
from fakes.exposed import samples_of


def test_histograms_are_cumulative_and_in_seconds() -> None:
    """Buckets as they were counted, apart, become those up to each bound."""
    row = (0, 2, 1, *[0] * 10, 4, 5_250_000)
    told = samples_of(exposed({"elision_overhead_seconds": {("t", "p", "m"): row}}).body)
    labels = {"team": "t", "policy": "p", "method": "m"}
    assert told.value("elision_overhead_seconds_bucket", le="0.0005", **labels) == 0
    assert told.value("elision_overhead_seconds_bucket", le="0.001", **labels) == 2
    assert told.value("elision_overhead_seconds_bucket", le="5.0", **labels) == 3
    assert told.value("elision_overhead_seconds_bucket", le="+Inf", **labels) == 7
    assert told.value("elision_overhead_seconds_count", **labels) == 7
    assert told.value("elision_overhead_seconds_sum", **labels) == 5.25


def test_money_is_told_in_dollars() -> None:
    """To the nano-dollar."""
    labels = ("t", "p", "m", "gpt-4o", "u")
    told = samples_of(exposed({"elision_cost_dollars": {(*labels, "billed"): (1_234_567_891,)}}).body)
    assert told.total("elision_cost_dollars_total", basis="billed") == 1.234567891


def test_names_in_any_script_are_told_as_they_are() -> None:
    """Quotes, lines and backslashes in them break nothing."""
    name = 'Zoë "quoted" \\ 日本\n'
    told = samples_of(exposed({"elision_spending_alert": {(name,): (1,)}}).body)
    assert told.value("elision_spending_alert", team=name) == 1


def test_a_metric_that_is_not_in_the_catalogue_is_a_mistake() -> None:
    """It would be told nowhere else."""
    with pytest.raises(KeyError, match="elision_made_up"):
        exposed({"elision_made_up": {}})


def test_openmetrics_is_what_its_own_parser_takes() -> None:
    """Every family of the catalogue, with values for each of its labels."""
    counts: Counts = {}
    for name, family in FAMILIES.items():
        row = (1,) * (len(family.bounds) + 2) if family.bounds else (1,)
        counts[name] = {tuple(f"{label} 1" for label in family.labels): row}
    told = exposed(counts, "application/openmetrics-text; version=1.0.0")
    assert told.content_type.startswith("application/openmetrics-text")
    families = text_string_to_metric_families(told.body.decode())  # type: ignore[no-untyped-call]
    found = {family.name for family in families}
    assert found == FAMILIES.keys()
    samples = samples_of(exposed(counts).body)
    assert {name for name, _ in samples.names()} == {
        sample for family in FAMILIES.values() for sample in family.samples
    }
