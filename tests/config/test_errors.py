"""Tests of elision.config.errors."""

from elision.config.errors import ConfigError


def test_an_error_shows_a_line_for_each_problem() -> None:
    """Nothing that was found is lost on the way to the terminal."""
    error = ConfigError(line for line in ("a.yaml:1:1: first", "a.yaml:2:1: second"))
    assert error.problems == ("a.yaml:1:1: first", "a.yaml:2:1: second")
    assert str(error) == "a.yaml:1:1: first\na.yaml:2:1: second"
