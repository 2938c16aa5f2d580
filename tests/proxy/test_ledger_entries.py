"""What is kept of a message makes again what was sent for it, and nothing else."""

from hypothesis import given
from hypothesis import strategies as st

from elision.proxy import values
from elision.proxy.edit_script import pieces_between
from elision.proxy.ledger_entries import (
    Entry,
    Figures,
    Lineage,
    Sent,
    entry_of,
    pack,
    replayed,
    summed,
    unpack_entry,
    unpack_lineage,
)

FIGURES = Figures((("context", 30, 10), ("question", 4, 4)), ("halve",), ("deadline",), 2)


def sent(original: str, text: str) -> Sent:
    return Sent(text, pieces_between(original, text))


@given(st.lists(st.tuples(st.text(max_size=20), st.text(max_size=20)), max_size=4))
def test_what_was_sent_comes_out_of_the_bytes_again(texts: list[tuple[str, str]]) -> None:
    """For each text of a message, whatever it was made to."""
    entry = entry_of(7, {number: sent(*pair) for number, pair in enumerate(texts)}, FIGURES)
    again = unpack_entry(pack(entry))
    assert again == entry
    assert again is not None
    originals = [original for original, _ in texts]
    assert replayed(again, originals) == dict(enumerate(text for _, text in texts))


def test_an_entry_is_a_few_bytes() -> None:
    """Most messages go out as they are."""
    assert len(pack(Entry(29_000_000, (), Figures((("history", 180, 180),))))) < 32


def test_an_entry_holds_no_words_of_what_was_left_out() -> None:
    """Nor of what was kept."""
    original = "secret words of a user. " * 20
    assert b"secret" not in pack(entry_of(7, {0: sent(original, original[:120])}, Figures()))


def test_an_entry_of_another_text_replays_nothing() -> None:
    """Another text, a text too few."""
    entry = entry_of(7, {1: sent("abcdef", "abef")}, Figures())
    assert replayed(entry, ["x", "abcdef"]) == {1: "abef"}
    assert replayed(entry, ["x", "abcdeg"]) is None
    assert replayed(entry, ["x", "abc"]) is None
    assert replayed(entry, ["x"]) is None


def test_foreign_bytes_are_neither_entry_nor_lineage() -> None:
    """Damaged, framed by somebody else, of another kind."""
    packed = pack(Entry(7))
    for value in (b"", b"x", packed[:-1], packed[:-1] + b"\x01", values.pack(b"\xc1"), values.pack(b"\x93")):
        assert unpack_entry(value) is None
        assert unpack_lineage(value) is None
    assert unpack_lineage(pack(Lineage(7, "p@1"))) == Lineage(7, "p@1")


def test_figures_of_messages_add_up() -> None:
    """By kind, in the order of their appearance."""
    other = Figures((("question", 1, 1), ("history", 5, 5)), ("lossless",), (), 1)
    assert summed([FIGURES, other]) == Figures(
        (("context", 30, 10), ("question", 5, 5), ("history", 5, 5)), ("halve", "lossless"), ("deadline",), 3
    )
    assert summed([]) == Figures()
