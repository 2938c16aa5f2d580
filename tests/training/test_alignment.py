"""Words are found where they stand: strictly, as many as can be had, or as the paper searches."""

from collections.abc import Sequence
from functools import cache
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from elision.training.alignment import in_order, most_in_order, searched

few = st.lists(st.sampled_from(["a", "b", "c", "d", "e"]), max_size=14)
# A lower-case letter is a capital's lenient form.
forms = st.lists(st.sampled_from([(one, one.lower()) for one in "aAbBcC"]), max_size=7)


def plain(words: Sequence[str]) -> list[tuple[str, str]]:
    return [(word, word) for word in words]


def by_the_paper(original: Sequence[str], wanted: Sequence[str], window: int) -> list[int]:
    """Algorithm 1 as it is written, on words that are equal or not; labels instead of places."""
    labels = [False] * len(original)
    taken = []
    prev = 0
    for word in wanted:
        for i in range(window):
            right, left = prev + i, prev - i
            if right < len(original) and not labels[right] and original[right] == word:
                labels[right] = True
                taken.append(right)
                prev = right if right - prev <= window // 2 else prev + window // 2
                break
            if 0 <= left < len(original) and not labels[left] and original[left] == word:
                labels[left] = True
                taken.append(left)
                prev = left
                break
    return taken


def best_sum(original: Sequence[tuple[str, str]], wanted: Sequence[tuple[str, str]]) -> int:
    """The highest sum by trying everything: 10 a match, 1 more if the same, 3 for each pair of neighbours."""

    @cache
    def best(at: int, k: int, bound: bool) -> int:
        if at == len(original) or k == len(wanted):
            return 0
        sums = [best(at + 1, k, False), best(at, k + 1, False)]
        if original[at][1] == wanted[k][1]:
            own = 10 + (original[at][0] == wanted[k][0]) + 3 * bound
            sums.append(own + best(at + 1, k + 1, True))
        return max(sums)

    return best(0, 0, False)


@given(few, few, st.integers(1, 9))
def test_the_search_is_the_papers(original: list[str], wanted: list[str], window: int) -> None:
    """Window, ahead before behind, half a window's step: as algorithm 1 has them."""
    assert searched(plain(original), plain(wanted), window) == by_the_paper(original, wanted, window)


@given(few, few)
def test_words_in_order_are_found_if_they_are_there(original: list[str], wanted: list[str]) -> None:
    """Compared with the shortest test of a subsequence that there is."""
    rest = iter(original)
    there = all(word in rest for word in wanted)
    places = in_order(original, wanted)
    assert (places is not None) is there
    if places is not None:
        assert [original[at] for at in places] == wanted
        assert sorted(set(places)) == places


@given(forms, forms)
def test_as_many_as_can_be_had_are(original: list[tuple[str, str]], wanted: list[tuple[str, str]]) -> None:
    """The sum is the highest of all, and the places are ones where the words stand, in order."""
    places = most_in_order(original, wanted)
    assert len(places) == len(wanted)
    pairs = [(k, at) for k, at in enumerate(places) if at is not None]
    assert all(one < other for (_, one), (_, other) in pairwise(pairs))
    assert all(original[at][1] == wanted[k][1] for k, at in pairs)
    reached = sum(10 + (original[at][0] == wanted[k][0]) for k, at in pairs)
    reached += 3 * sum(b == (a[0] + 1, a[1] + 1) for a, b in pairwise(pairs))
    assert reached == best_sum(tuple(original), tuple(wanted))


def test_what_is_settled_is_not_taken_again_and_leads_the_search() -> None:
    """The word after a settled one is looked for around it."""
    original = plain(["a", "b", "a", "b", "c", "a"])
    assert searched(original, plain(["c", "a"]), 9, [4, None]) == [4, 5]
    assert searched(original, plain(["a", "a", "a", "a"]), 9, [0, 2, 5, None]) == [0, 2, 5]


def test_the_same_word_comes_before_an_equal_one() -> None:
    """However far away within the window."""
    original = [("votes", "vot"), ("x", "x"), ("vote", "vot")]
    assert searched(original, [("vote", "vot")], 9) == [2]
    assert searched(original, [("voting", "vot")], 9) == [0]
    assert most_in_order(original, [("vote", "vot")]) == [2]


def test_nothing_is_found_in_nothing() -> None:
    """Empty lists are no special case for callers."""
    assert in_order([], []) == []
    assert in_order([], ["a"]) is None
    assert most_in_order([], plain(["a"])) == [None]
    assert most_in_order(plain(["a"]), []) == []
    assert searched([], plain(["a"]), 9) == []
