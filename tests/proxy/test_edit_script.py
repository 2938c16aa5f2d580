"""Scripts make the same text of the same original again, whatever the two texts are."""

import time
from random import Random

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from elision.proxy.edit_script import Piece, apply_script, pieces_between, script_of

TEXTS = st.text(alphabet="ab \n漢é😀", max_size=60) | st.text(max_size=60)


def remade(original: str, text: str) -> str | None:
    return apply_script(original, script_of(pieces_between(original, text)))


@given(TEXTS, TEXTS)
def test_any_text_is_made_of_any_other(original: str, text: str) -> None:
    """By copies where there are some, by literals where not."""
    assert remade(original, text) == text


@given(TEXTS, st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)) | st.text(max_size=5)))
def test_pieces_make_the_text_that_they_stand_for(original: str, chosen: list[Piece]) -> None:
    """In any order, empty ones and neighbours too."""
    size = len(original)
    pieces: list[Piece] = [
        piece if isinstance(piece, str) else (min(*piece, size), min(max(piece), size)) for piece in chosen
    ]
    whole = "".join(piece if isinstance(piece, str) else original[slice(*piece)] for piece in pieces)
    assert apply_script(original, script_of(pieces)) == whole


@given(st.data())
def test_what_leaves_words_out_has_no_literals(data: st.DataObject) -> None:
    """The ledger then holds nothing of what was said."""
    words = [f"word{number}" for number in range(40)]
    kept = data.draw(st.lists(st.sampled_from(words), unique=True).map(sorted))
    text = " ".join(word for word in words if word in kept)
    script = script_of(pieces_between(" ".join(words), text))
    assert not any(isinstance(word, str) for word in script)


def test_neighbours_are_one() -> None:
    """Kept whole is two numbers, and what is left out takes none."""
    assert script_of([(0, 4), (4, 9), (5, 5), (12, 14), "", (14, 15)]) == (0, 9, 3, 3)
    assert script_of([(3, 4), "x", "y", (0, 1)]) == (3, 1, "xy", -4, 1)
    assert script_of([]) == ()


def test_a_script_for_another_text_makes_nothing() -> None:
    """Beyond the end, before the beginning, of no length, or broken off."""
    for script in ((0, 9), (-1, 2), (0, 0), (0, -1), (0,), (0, "a")):
        assert apply_script("abc", script) is None


def indented(rows: int) -> tuple[str, str]:
    """Return JSON as programs write it, with and without its layout."""
    content = [{"id": n, "name": f"item {n * 7919 % 1000}", "open": n % 3 == 0} for n in range(rows)]
    packed = msgspec.json.encode(content)
    return msgspec.json.format(packed, indent=2).decode(), packed.decode()


def test_json_without_its_layout_is_copies() -> None:
    """As the lossless method makes it."""
    script = script_of(pieces_between(*indented(50)))
    assert not any(isinstance(word, str) for word in script)
    assert apply_script(indented(50)[0], script) == indented(50)[1]


@given(st.lists(st.text(alphabet='{}",:a1é漢', min_size=1, max_size=6)), st.data())
def test_white_space_alone_is_put_elsewhere(words: list[str], data: st.DataObject) -> None:
    """Between words, within them, at the ends; as much or less of it is copied."""
    spaces = st.sampled_from(["", " ", "\n", "\n  ", "\u00a0", "\x1f"])
    original, text = (
        "".join(data.draw(spaces) + letter for word in words for letter in word) + data.draw(spaces)
        for _ in range(2)
    )
    assert remade(original, text) == text


def test_long_texts_take_time_in_proportion_to_their_length() -> None:
    """Even where nothing of one is in the other; ten times the text is not a hundred times the work."""
    random = Random(1)
    spent = []
    for size in (20_000, 200_000):
        original = "".join(random.choice("ab ") for _ in range(size))
        text = "".join(random.choice("cd ") for _ in range(size))
        started = time.thread_time()
        assert remade(original, text) == text
        spent.append(time.thread_time() - started)
    assert spent[1] < max(spent[0], 0.01) * 40
