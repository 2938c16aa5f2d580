"""What the dashboard's API is asked."""

import pytest

from elision.accounts.archive import LABELS, MEASURES, Order, Query, Step
from elision.accounts.spans import DAY_S, HOUR_S
from elision.proxy.dashboard_query import (
    Form,
    form_asked,
    labels_asked,
    recent_asked,
    sums_asked,
)
from elision.proxy.errors import RequestError

NOW = 1_700_000_000


def asked(**told: str) -> Query:
    return sums_asked(list(told.items()), lambda: NOW).query


def test_nothing_said_is_the_last_day() -> None:
    """By the hour, of all, with all measures, as JSON."""
    found = sums_asked([], lambda: NOW)
    assert found.query == Query(NOW + 1 - DAY_S, NOW + 1, Step.HOUR)
    assert (found.query.measures, found.form) == (MEASURES, Form.JSON)


def test_everything_may_be_said() -> None:
    """Labels that requests must have are named as labels."""
    told = {"since": "60", "until": "120", "step": "all", "by": "model,team", "team": "a", "model": "gpt=4"}
    found = sums_asked([*told.items(), ("fields", "saved,words"), ("format", "csv")], lambda: NOW)
    only, measures = (("team", "a"), ("model", "gpt=4")), ("saved", "words")
    assert found.query == Query(60, 120, Step.ALL, ("model", "team"), only, measures)
    assert found.form is Form.CSV


@pytest.mark.parametrize(
    ("seconds", "step"), [(3600, Step.MINUTE), (2 * DAY_S, Step.HOUR), (90 * DAY_S, Step.DAY)]
)
def test_steps_suit_the_time(seconds: int, step: Step) -> None:
    """A year by the minute is no chart."""
    assert asked(since=str(NOW - seconds)).step is step


@pytest.mark.parametrize(("last", "step_s"), [(3600, 60), (DAY_S, HOUR_S), (90 * DAY_S, DAY_S)])
def test_the_last_so_many_seconds_end_with_the_step_that_is_now(last: int, step_s: int) -> None:
    """By the proxy's clock; whoever asks again before the step is over asks for the same."""
    found = asked(last=str(last), step="all")
    assert found.until % step_s == 0
    assert found.until - step_s <= NOW < found.until
    assert (found.until - found.since, found.step) == (last, Step.ALL)
    assert asked(last=str(NOW * 2)).since == 0


@pytest.mark.parametrize(
    ("told", "field", "fix"),
    [
        ({"since": "yesterday"}, "since", "whole number"),
        ({"since": "-5"}, "since", "whole number"),
        ({"since": "١"}, "since", "whole number"),
        ({"until": "9" * 40}, "until", "whole number"),
        ({"since": "5", "until": "5"}, "since", "before"),
        ({"last": "0"}, "last", "above 0"),
        ({"last": "60", "since": "5"}, "last", "without `since`"),
        ({"last": "-1"}, "last", "whole number"),
        ({"step": "week"}, "step", "minute, hour, day, all"),
        ({"by": "teem"}, "by", "team, policy"),
        ({"by": "team,team"}, "by", "once"),
        ({"fields": "saved,tokns"}, "fields", "tokens_saved"),
        ({"format": "xml"}, "format", "json, csv"),
        ({"tem": "a"}, "tem", 'did you mean "team"'),
    ],
)
def test_what_cannot_be_answered_says_which_field_and_what_may_be_said(
    told: dict[str, str], field: str, fix: str
) -> None:
    """A client's mistake is its own: 400, with the remedy."""
    with pytest.raises(RequestError, match=f"^{field}: ") as refused:
        asked(**told)
    assert fix in refused.value.message
    assert (refused.value.status, refused.value.code) == (400, "bad_parameter")


def test_a_field_is_said_once() -> None:
    """Two teams at once would be nobody's requests."""
    with pytest.raises(RequestError, match="twice"):
        sums_asked([("team", "a"), ("team", "b")])


def test_recent_requests_are_asked_by_order_and_number() -> None:
    """Fifty of the newest, unless said."""
    assert (recent_asked([]).order, recent_asked([]).count) == (Order.NEWEST, 50)
    found = recent_asked([("order", "largest"), ("count", "7"), ("policy", "p@1")])
    assert (found.order, found.count, found.only) == (Order.LARGEST, 7, (("policy", "p@1"),))
    with pytest.raises(RequestError, match="count"):
        recent_asked([("count", "1001")])


def test_values_are_asked_of_one_label_or_of_all() -> None:
    """As a filter needs them."""
    assert labels_asked([]) == LABELS
    assert labels_asked([("label", "model")]) == ("model",)
    with pytest.raises(RequestError, match="label"):
        labels_asked([("label", "colour")])


def test_some_answers_have_nothing_but_a_form() -> None:
    """Anything else is a mistake."""
    assert form_asked([("format", "csv")]) is Form.CSV
    with pytest.raises(RequestError, match="team"):
        form_asked([("team", "a")])
