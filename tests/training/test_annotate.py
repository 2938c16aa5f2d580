"""Labels say which words a compression kept: exactly where it only removes, as far as it goes where not."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elision.compressors.llmlingua2 import word_bounds
from elision.training.annotate import Annotation, annotate, stem

TEXT = "On Monday, the Council, after a long debate, did not approve the $4,000 budget for parks."
texts = st.lists(
    st.one_of(
        st.sampled_from(
            ["the", "The", "the", "of", "cat", "cats", ",", ".", "(", ")", "don't", "U.S.", "C#", "5%"]
        ),
        st.text(st.sampled_from("abcAB,.-'7é漢字あ مر\n"), min_size=1, max_size=9),
    ),
    min_size=1,
    max_size=40,
).map(" ".join)


def words_of(text: str) -> list[str]:
    return [text[start:end] for start, end in word_bounds(text).tolist()]


def kept_words(text: str, found: Annotation) -> list[str]:
    return [text[start:end] for (start, end), kept in zip(found.words, found.kept, strict=True) if kept]


@given(texts, st.randoms(use_true_random=False))
def test_the_labels_of_a_pure_deletion_give_it_back(text: str, chance: random.Random) -> None:
    """Whatever was removed, from whatever text, in whatever script: the words kept, in order, are it."""
    words = words_of(text)
    left = [word for word in words if chance.random() < 0.5]
    if not left:
        return
    found = annotate(text, " ".join(left))
    assert "".join(kept_words(text, found)) == "".join(left)
    assert found.variation == 0
    assert found.gap == pytest.approx(0)


@given(texts, texts)
def test_every_word_has_one_label_and_rates_keep_their_bounds(text: str, compressed: str) -> None:
    """Whatever a teacher answers."""
    if not words_of(text) or not words_of(compressed):
        return
    found = annotate(text, compressed)
    assert [text[start:end] for start, end in found.words] == words_of(text)
    assert len(found.kept) == len(found.words)
    assert 0 <= found.variation <= 1
    assert found.gap >= -1e-12
    assert sum(found.kept) <= found.known


def test_commas_case_and_marks_are_not_lost() -> None:
    """The reference trains on lemmas without commas; ours are the words of the text as it stands."""
    found = annotate(TEXT, "Monday, council, did not approve budget.")
    assert kept_words(TEXT, found) == ["Monday", ",", "Council", ",", "did", "not", "approve", "budget", "."]
    assert {TEXT[start:end] for start, end in found.words} >= {",", "$4,000", "."}
    without = annotate(TEXT, "Monday council did not approve budget")
    assert "," not in kept_words(TEXT, without)


def test_the_first_and_the_last_label_stand_where_they_belong() -> None:
    """The reference's inserted label shifts the last one; offsets cannot."""
    found = annotate(TEXT, "On parks.")
    assert found.words[0] == (0, 2)
    assert found.words[-2:] == ((83, 88), (88, 89))
    assert [at for at, kept in enumerate(found.kept) if kept] == [
        0,
        len(found.words) - 2,
        len(found.words) - 1,
    ]


def test_of_equal_words_the_neighbour_of_what_was_kept_is_meant() -> None:
    """Not the first "the" of the text."""
    found = annotate("the cat sat on the mat near the door", "cat near the door")
    assert [at for at, kept in enumerate(found.kept) if kept] == [1, 6, 7, 8]


def noisy(text: str, chance: random.Random) -> tuple[list[bool], str]:
    """Drop half of the words; of those that stay change, add, or swap one in ten."""
    kept: list[bool] = []
    said: list[str] = []
    for word in words_of(text):
        kept.append(chance.random() < 0.5)
        if not kept[-1]:
            continue
        fate = chance.random()
        if fate < 0.03:
            said += ["therefore", word]
        elif fate < 0.06 and said:
            said.insert(-1, word)
        else:
            said.append(word.upper() if fate < 0.1 else word)
    return kept, " ".join(said)


def test_one_changed_word_does_not_spoil_the_others() -> None:
    """Of the words labelled kept, and of those kept, nine of ten and more are right all the same."""
    chance = random.Random(0)
    vocabulary = words_of(
        "the of to a and council budget park motion vote city street year plan tax bus tram"
    )
    right = labelled = truly = 0
    for _ in range(20):
        text = " ".join(chance.choices(vocabulary, k=300))
        kept, said = noisy(text, chance)
        found = annotate(text, said)
        right += sum(one and other for one, other in zip(kept, found.kept, strict=True))
        labelled += sum(found.kept)
        truly += sum(kept)
    assert right / labelled > 0.9
    assert right / truly > 0.9


def test_inflections_are_matched_and_inventions_are_not() -> None:
    """A teacher that changes an ending meant the word; one that adds a word meant none of ours."""
    text = "The committees were voting on budgets"
    found = annotate(text, "Committee voted on furthermore budget")
    assert kept_words(text, found) == ["committees", "voting", "on", "budgets"]
    assert found.variation == pytest.approx(1 / 5)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("votes", "voting"),
        ("Cities", "city"),
        ("runs", "running"),
        ("agreed", "agrees"),
        ("falling", "fall"),
        ("tried", "tries"),
        ("council’s", "Council"),
        ("boxes", "box"),
        ("processed", "processes"),
    ],
)
def test_regular_inflections_share_a_stem(one: str, other: str) -> None:
    """Enough for English without a tagger."""
    assert stem(one) == stem(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("thing", "th"),
        ("bed", "b"),
        ("class", "clas"),
        ("status", "statu"),
        ("this", "thi"),
        ("naïves", "naïve"),
        ("2019s", "2019"),
        ("need", "ne"),
    ],
)
def test_other_words_keep_their_ends(one: str, other: str) -> None:
    """What only looks like an ending, and what is not English, is left."""
    assert stem(one) != stem(other)


def test_rates_by_hand() -> None:
    """Eight words, of the compression's six five known (VR 1/6), four found a place: "a" is there once."""
    text = "a report on the parks of our city"
    found = annotate(text, "city a parks a newly report")
    assert (found.compressed, found.known, sum(found.kept)) == (6, 5, 4)
    assert found.variation == pytest.approx(1 / 6)
    assert found.hitting == pytest.approx(5 / 8)
    assert found.matching == pytest.approx(4 / 8)
    assert found.gap == pytest.approx(1 / 8)


def test_words_without_end_do_not_take_time_without_end() -> None:
    """A text of one word ten thousand times: what is searched is bounded by the window."""
    text = "word " * 10_000
    found = annotate(text, "other " + "word " * 5_000, window=20)
    assert sum(found.kept) == 5_000


def test_a_pair_without_words_is_refused() -> None:
    """There is nothing to label, or nothing to label by."""
    with pytest.raises(ValueError, match="the compression has no words"):
        annotate("text", " ")
    with pytest.raises(ValueError, match="the text has no words"):
        annotate("", "text")
