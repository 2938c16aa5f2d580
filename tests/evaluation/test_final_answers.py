"""What a reader finally said is found in what it said before."""

import pytest

from elision.evaluation.final_answers import chosen_letters, final_number, final_option


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("There are 3 x 6 = 18. The answer is 18.", 1.0),
        ("The answer is $18 per day", 1.0),
        ("so 18", 1.0),
        ("The answer is 18\n\nQuestion: How many are 5?\nThe answer is 5", 1.0),
        ("18 and then 20", 0.0),
        ("The answer is 1,018", 0.0),
        ("18.0", 1.0),
        ("none", 0.0),
    ],
)
def test_the_final_number_counts(answer: str, expected: float) -> None:
    """After "answer is", else the last; what the reader asks itself next is not looked at."""
    assert final_number(answer, ["18"]) == expected


def test_numbers_are_compared_as_numbers() -> None:
    """Thousands have commas in one and not in the other."""
    assert final_number("The answer is 1,450.", ["1450"]) == 1.0
    assert final_number("it is -3", ["-3"]) == 1.0


@pytest.mark.parametrize(
    ("answer", "gold", "expected"),
    [
        ("Step. So the answer is (B).", "(B)", 1.0),
        ("So the answer is True.", "True", 1.0),
        ("So the answer is (B).\n\nQ: next\nA: the answer is (C).", "(B)", 1.0),
        ("(B)", "(B)", 1.0),
        ("So the answer is (A).", "(B)", 0.0),
        ("", "(B)", 0.0),
    ],
)
def test_the_final_option_counts(answer: str, gold: str, expected: float) -> None:
    """Whatever it is: a letter, a word, a truth value."""
    assert final_option(answer, [gold]) == expected


@pytest.mark.parametrize(
    ("answer", "gold", "expected"),
    [
        ("B", "B", 1.0),
        ("(B) because", "B", 1.0),
        ("D and B", "BD", 1.0),
        ("The answer is: B, D", "BD", 1.0),
        ("BD", "B", 0.0),
        ("Because", "B", 0.0),
        ("", "B", 0.0),
    ],
)
def test_letters_are_chosen_in_any_order(answer: str, gold: str, expected: float) -> None:
    """All of the right ones and no other; a capital that begins a word is no choice."""
    assert chosen_letters(answer, [gold]) == expected
