"""Tokens take their words' labels, windows begin at words and lose nothing, padding has no label."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elision.compressors.token_classifier import Vocabulary, read_vocabulary
from elision.training.records import LabelledText
from elision.training.windows import IGNORED, Tokens, cut, epoch, tokenise
from fakes.tiny_classifier import save_tiny_bert

TEXT = "they meeting, council"
RECORD = LabelledText(TEXT, ((0, 4), (5, 12)), (0.25, 1.0), "handmade")


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Vocabulary:
    return read_vocabulary(save_tiny_bert(tmp_path_factory.mktemp("bert"), 0))


def numbered(count: int, heads: list[bool]) -> Tokens:
    flags = np.asarray([True, *heads[1:]][:count], np.bool_)
    return Tokens(np.arange(count) + 100, np.full(count, 0.5, np.float32), flags)


def test_tokens_take_the_label_of_their_word(vocabulary: Vocabulary) -> None:
    """The comma and the last word, which no range covers, have none."""
    (tokens,) = tokenise([RECORD], vocabulary)
    read = vocabulary.tokenizer().encode(TEXT, add_special_tokens=False)
    assert tokens.ids.tolist() == read.ids
    expected = [0.25 if b <= 4 else 1.0 if b <= 12 else IGNORED for _, b in read.offsets]
    assert tokens.labels.tolist() == expected


def test_marks_written_in_a_text_are_text(vocabulary: Vocabulary) -> None:
    """Somebody's `[SEP]` does not become the mark that closes a window."""
    (tokens,) = tokenise([LabelledText("the [SEP] item", ((0, 14),), (1.0,), "handmade")], vocabulary)
    assert vocabulary.ids["sep"] not in tokens.ids


@given(
    heads=st.lists(st.booleans(), min_size=1, max_size=60),
    capacity=st.integers(1, 20),
    shift=st.integers(0, 19),
)
def test_windows_hold_every_token_once_in_order(heads: list[bool], capacity: int, shift: int) -> None:
    """None is longer than it may be, and none begins within a word that would have fitted."""
    tokens = numbered(len(heads), heads)
    ranges = cut(tokens, capacity, min(shift, capacity - 1))
    assert [i for start, end in ranges for i in range(start, end)] == list(range(len(heads)))
    assert all(end - start <= capacity for start, end in ranges)
    for (start, end), (following, _) in itertools.pairwise(ranges):
        assert tokens.heads[following] or not tokens.heads[start + 1 : end].any()


def test_padding_and_marks_have_no_label(vocabulary: Vocabulary) -> None:
    """What is not text never counts in a loss."""
    short, long = numbered(3, [True] * 3), numbered(9, [True] * 9)
    (batch,) = epoch([short, long], vocabulary, (32, 64), None)
    assert batch.ids.shape == (2, 11)
    assert batch.real.sum() == 3 + 9 + 4
    assert (batch.labels != IGNORED).sum() == 3 + 9
    assert (batch.labels[~batch.real] == IGNORED).all()
    assert (batch.ids[~batch.real] == vocabulary.ids["pad"]).all()
    assert batch.ids[:, 0].tolist() == [vocabulary.ids["cls"]] * 2


def test_the_same_seed_makes_the_same_epoch_and_epochs_differ(vocabulary: Vocabulary) -> None:
    """Windows shift from epoch to epoch; what is left in them is the same text."""
    read = [numbered(50, [True] * 50) for _ in range(4)]
    first, again, other = (
        epoch(read, vocabulary, (20, 64), np.random.default_rng([7, number])) for number in (0, 0, 1)
    )
    assert all((a.ids == b.ids).all() for a, b in zip(first, again, strict=True))
    assert [batch.ids.shape for batch in first] != [batch.ids.shape for batch in other]
    for batches in (first, other):
        labelled = np.concatenate([batch.ids[batch.labels != IGNORED] for batch in batches])
        assert sorted(labelled) == sorted(list(range(100, 150)) * 4)
