"""What lies in deploy/: the dashboard for Grafana and the alerts ask for metrics that exist."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from fakes.promql import labels_of, metrics, problems, told_labels

DEPLOY = Path(__file__).parent.parent / "deploy"
DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana/elision.json").read_text("utf-8"))
GROUPS: list[dict[str, Any]] = yaml.safe_load((DEPLOY / "prometheus/alerts.yml").read_text("utf-8"))["groups"]
RULES = [rule for group in GROUPS for rule in group["rules"]]


class Asked(NamedTuple):
    """One question of a panel."""

    panel: str
    expr: str
    legend: str


def asked() -> Iterator[Asked]:
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            yield Asked(panel["title"], target["expr"], target["legendFormat"])


@pytest.mark.parametrize("question", list(asked()), ids=lambda one: f"{one.panel}: {one.legend}")
def test_panels_ask_for_metrics_that_exist(question: Asked) -> None:
    """By labels that they have, and name series by labels that are left."""
    assert problems(question.expr) == []
    assert set(re.findall(r"\{\{\s*(\w+)\s*\}\}", question.legend)) <= told_labels(question.expr)


def test_the_dashboard_defines_the_variables_that_it_uses() -> None:
    """And lists values of labels that exist."""
    variables = DASHBOARD["templating"]["list"]
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(DASHBOARD))) - {"__rate_interval", "__range", "__all"}
    assert used == {variable["name"] for variable in variables}
    for variable in variables:
        if variable["type"] == "query":
            listed = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]["query"])
            assert listed is not None
            assert listed[2] in metrics()[listed[1]]


def test_panels_have_places_of_their_own() -> None:
    """None covers another; identifiers are not repeated."""
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        columns = range(place["x"], place["x"] + place["w"])
        cells = {(x, y) for x in columns for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells
    assert max(x for x, _ in taken) == 23
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_alerts_ask_for_metrics_that_exist(rule: dict[str, Any]) -> None:
    """And tell by labels that are left; each says what is wrong and what to do."""
    assert problems(rule["expr"]) == []
    notes = rule["annotations"]
    assert notes.keys() == {"summary", "description"}
    assert set(re.findall(r"\$labels\.(\w+)", json.dumps(notes))) <= told_labels(rule["expr"])
    assert rule["labels"]["severity"] in {"info", "warning", "critical"}


def test_what_an_operator_must_know_has_an_alert() -> None:
    """Savings that are none, bypasses, the compressor, overhead, refusals, spending, policies, the cache."""
    wanted = {
        "elision_lost_dollars_total",
        "elision_bypasses_total",
        "elision_method_troubled",
        "elision_overhead_seconds_bucket",
        "elision_rejections_total",
        "elision_spending_alert",
        "elision_policy_refused",
        "elision_cache_troubled",
    }
    assert wanted <= {name for rule in RULES for name in re.findall(r"elision_\w+", rule["expr"])}


@pytest.mark.parametrize(
    ("expr", "why"),
    [
        ("rate(elision_made_up_total[5m])", "no metric elision_made_up_total"),
        ("elision_requests", "no metric elision_requests"),
        ("rate(eliison_requests_total[5m])", "no such word eliison_requests_total"),
        ('elision_requests_total{status="200"}', "elision_requests_total has no label status"),
        ("sum by (status) (rate(elision_requests_total[5m]))", "elision_requests_total has no label status"),
        ("sum by (le) (elision_ratio_count)", "elision_ratio_count has no label le"),
        ("elision_ready / on (team) elision_workers", "nothing has the label team"),
    ],
)
def test_a_metric_or_label_that_was_made_up_is_found(expr: str, why: str) -> None:
    """Else the tests above would prove nothing."""
    assert why in problems(expr)
    assert "team" in labels_of("elision_requests_total")
