"""What a policy file says of headers, logs and spending."""

import pytest
from pydantic import ValidationError

from elision.policies.schema import PolicyFile, build
from elision.policies.telling import Spending, Telling


def test_everything_is_told_but_texts_by_default() -> None:
    """And nobody has said what may be spent."""
    policy = build(PolicyFile(), "1", "p", "frequency")
    assert (policy.telling, policy.spending) == (Telling(headers=True, log_text=False), None)


def test_a_file_says_otherwise() -> None:
    """Each by its own key."""
    told = {"headers": "none", "log_text": True, "spending": {"monthly_usd": 500, "alert_at": 0.5}}
    policy = build(PolicyFile.model_validate(told), "1", "p", "frequency")
    assert policy.telling == Telling(headers=False, log_text=True)
    assert policy.spending == Spending(500, 0.5)


@pytest.mark.parametrize("told", [{"headers": "some"}, {"spending": {"monthly_usd": 0}}, {"spending": {}}])
def test_what_means_nothing_is_refused(told: dict[str, object]) -> None:
    """As any wrong value is."""
    with pytest.raises(ValidationError):
        PolicyFile.model_validate(told)
