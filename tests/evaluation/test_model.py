"""Targets say themselves in a word; groups are short and steady."""

import pytest

from elision.evaluation.model import Asked, group_of


@pytest.mark.parametrize(
    ("asked", "label"),
    [
        (Asked(0.5), "0.5"),
        (Asked(tokens=2000), "2000 tokens"),
        (Asked(as_people=True), "people"),
        (Asked(), ""),
    ],
)
def test_a_target_has_a_label(asked: Asked, label: str) -> None:
    """As the table shows it."""
    assert asked.label == label


def test_a_group_is_of_its_text_only() -> None:
    """Equal in every run, whatever the text holds, and not the text itself."""
    assert group_of("a text") == group_of("a text") != group_of("another")
    assert len(group_of("\ud800" * 1000)) == 12
