"""An answer survives whole or not at all."""

import pytest

from elision.evaluation.survival import survives

TEXT = "Imagine Dragons is a band from Las Vegas, Nevada, formed in 2008."


@pytest.mark.parametrize(
    ("shortened", "answers", "expected"),
    [
        ("band Las Vegas, Nevada", ["Las Vegas, Nevada"], 1.0),
        ("band las vegas nevada 2008", ["Las Vegas, Nevada"], 1.0),
        ("band Las Nevada", ["Las Vegas, Nevada"], 0.0),
        ("band 2008", ["Las Vegas, Nevada", "2008"], 1.0),
        ("band 2008", ["008"], None),
        ("band", ["Texas"], None),
        ("band", ["Texas", "2008"], 0.0),
        ("band", [], None),
        ("band", ["the"], None),
    ],
)
def test_an_answer_survives_whole(shortened: str, answers: list[str], expected: float | None) -> None:
    """All its words, one after the other; what the original lacks cannot survive."""
    assert survives(shortened, TEXT, answers) == expected


def test_chinese_answers_are_sought_by_characters() -> None:
    """No spaces are needed around them."""
    assert survives("由光荣开发", "本作是由光荣公司开发的", ["光荣"]) == 1.0
    assert survives("由光开发", "本作是由光荣公司开发的", ["光荣"]) == 0.0
