"""Whose request it is."""

import pytest

from elision.proxy.teams import split_team


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1/models", ("", "/v1/models")),
        ("/t/search/v1/models?a=%2F", ("search", "/v1/models?a=%2F")),
        ("/t/search", ("", "/t/search")),
        ("/t//v1", ("", "/t//v1")),
        ("/t/a/", ("a", "/")),
        ("/tt/a/v1", ("", "/tt/a/v1")),
        ("*", ("", "*")),
    ],
)
def test_a_path_prefix_names_the_team(path: str, expected: tuple[str, str]) -> None:
    """So that a team changes its base URL and nothing else."""
    assert split_team(path) == expected
