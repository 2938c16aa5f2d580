"""The types of what is told of a team's requests."""

from elision.policies.telling import Spending, Telling


def test_a_policy_that_says_nothing_tells_figures_and_no_text() -> None:
    """Headers are on, texts are off, an alert is due at four fifths of what may be spent."""
    assert (Telling().headers, Telling().log_text) == (True, False)
    assert Spending(100).alert_at == 0.8
