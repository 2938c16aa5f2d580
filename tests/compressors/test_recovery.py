"""What an answer quotes of a shortened prompt comes back in the prompt's words; nothing else changes."""

import re
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from elision.compressors.recovery import GAP, Recovered, Recovery, tokens

ORIGINAL = (
    "The vault beneath Zurich holds Marguerite Oswald's emerald chess set. Nobody has seen it since 1987."
)
SHORT = "vault Zurich holds Marguerite Oswald chess set. Nobody seen since 1987."


def recovered(answer: str, original: str = ORIGINAL, compressed: str = SHORT) -> str:
    return Recovery(original, compressed).recover(answer).text


def test_a_quotation_comes_back_whole() -> None:
    """The longest stretch that stands in the shortened prompt, in the words that stood there."""
    assert recovered("It is Marguerite Oswald chess set!") == "It is Marguerite Oswald's emerald chess set!"
    assert recovered("Nobody seen since 1987") == "Nobody has seen it since 1987"
    assert recovered("A: vault Zurich. B: none.") == "A: vault beneath Zurich. B: none."


def test_what_is_not_quoted_stays() -> None:
    """Words alone, words of the answer's own, and what the original has as it is."""
    for answer in ("", "Zurich", "I do not know.", "chess set", "the emerald chess set", "marguerite oswald"):
        assert Recovery(ORIGINAL, SHORT).recover(answer) == Recovered(answer, 0)


def test_words_too_far_apart_are_no_quotation() -> None:
    """Ten tokens may have been left out between two, not eleven."""
    for left_out, found in ((GAP, 1), (GAP + 1, 0)):
        original = "red " + "x " * left_out + "fox"
        assert Recovery(original, "red fox").recover("red fox").changes == found


def test_a_stretch_that_the_original_has_not_ends_before_what_is_missing() -> None:
    """A part of a word, or documents that changed places: what stands before and after is recovered."""
    original = "The red and very old fox sleeps. Nobody has seen the big dog there."
    assert recovered("red fox slee the dog", original, "red fox slee the dog") == (
        "red and very old fox slee the big dog"
    )
    assert recovered("the dog red fox", original, "the dog red fox") == "the big dog red and very old fox"


def test_the_shortest_place_counts() -> None:
    """Of several in the original; of equally short ones the first."""
    original = "red a b fox. red c fox. red d fox."
    assert recovered("red fox", original, "red fox") == "red c fox"


def test_white_space_of_the_answer_stays_around_a_quotation() -> None:
    """Line ends within one are the original's."""
    assert recovered("*  seen\nsince 1987\n", ORIGINAL, SHORT) == "*  seen it since 1987\n"


def test_scripts_without_spaces_are_recovered_by_characters() -> None:
    """And what readers see as one character is one."""
    original = "会議は五月十二日にジュネーブで開かれなかった。 👩‍👩‍👧 was there, née Zoë."
    assert recovered("会議は開かれなかった", original, "会議は開かれなかった。") == "会議は開かれなかった"
    assert (
        recovered("会議は日に開かれ", original, "会議は日に開かれ") == "会議は五月十二日にジュネーブで開かれ"
    )
    assert recovered("👩‍👩‍👧 there", original, "👩‍👩‍👧 there") == "👩‍👩‍👧 was there"
    assert [token.word for token in tokens("漢字x 👩‍👩‍👧é")] == ["漢", "字", "x", "👩‍👩‍👧", "é"]


def test_a_stretch_that_is_everywhere_is_let_go() -> None:
    """Rather than looked for in more ways than there is time for."""
    original = "a b " * 50_000
    answer = "a a " * 300
    assert Recovery(original, answer).recover(answer) == Recovered(answer, 0)


VOCABULARY = st.sampled_from(["a", "b", "c", "dd", "é", "漢", ".", ","])
TEXTS = st.lists(VOCABULARY, max_size=25).map(" ".join)


@given(TEXTS, TEXTS, TEXTS)
def test_it_does_what_the_paper_says(original: str, compressed: str, answer: str) -> None:
    """As searched for in the plainest way: every stretch, every window."""
    assert Recovery(original, compressed, gap=2).recover(answer).text == plain(
        original, compressed, answer, 2
    )


def plain(original: str, compressed: str, answer: str, gap: int) -> str:
    """Recover an answer by trying everything; words stand apart by one space."""
    source, short, said = original.split(), compressed.split(), answer.split()
    result: list[str] = []
    at = 0
    while at < len(said):
        length = 0
        while at + length < len(said) and holds(short, said[at : at + length + 1]):
            length += 1
        while length > 1 and window(source, said[at : at + length], gap) is None:
            length -= 1
        piece = said[at : at + max(length, 1)]
        result += (window(source, piece, gap) if length > 1 else None) or piece
        at += len(piece)
    return " ".join(result)


def holds(words: list[str], piece: list[str]) -> bool:
    return any(words[i : i + len(piece)] == piece for i in range(len(words) - len(piece) + 1))


def window(words: list[str], piece: list[str], gap: int) -> list[str] | None:
    """Return the shortest, then first, window that holds the piece in order with gaps no larger."""
    for size in range(len(piece), len(words) + 1):
        for start in range(len(words) - size + 1):
            candidate = words[start : start + size]
            if candidate[0] == piece[0] and fits(candidate, piece, gap):
                return candidate
    return None


def fits(candidate: list[str], piece: list[str], gap: int) -> bool:
    """Whether the piece begins and ends the candidate and lies in it with small gaps."""
    if len(piece) == 1:
        return candidate == piece
    nexts = range(1, min(gap + 2, len(candidate)))
    return any(candidate[n] == piece[1] and fits(candidate[n:], piece[1:], gap) for n in nexts)


@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=60))
def test_any_texts_at_all_can_be_given(original: str, compressed: str, answer: str) -> None:
    """Nothing is changed where the answer is out of the original, or the prompt was sent as it was."""
    Recovery(original, compressed).recover(answer)
    assert Recovery(original, original).recover(answer).text == answer
    assert Recovery(original, compressed).recover(original[:20]).text in {original[:20], *_windows(original)}


def _windows(text: str) -> set[str]:
    return {text[a:b] for a in range(len(text)) for b in range(a, len(text) + 1)}


@given(st.integers(0, 10_000))
def test_a_whole_shortened_prompt_comes_back_as_the_prompt(seed: int) -> None:
    """From the first word that stayed to the last, where every word occurs once and gaps are small."""
    random = Random(seed)
    words = [f"w{number}" for number in range(80)]
    kept = [word for number, word in enumerate(words) if number % GAP == 0 or random.random() < 0.4]
    last = words.index(kept[-1])
    assert recovered(" ".join(kept), " ".join(words), " ".join(kept)) == " ".join(words[: last + 1])


def test_every_character_but_white_space_is_in_one_token() -> None:
    """So that nothing is lost where texts are put together again."""
    text = "It's 3.5 %, né 漢字かな 👩‍👩‍👧 กำลัง हिन्दी\tx_y"
    found = tokens(text)
    assert "".join(token.word for token in found) == re.sub(r"\s", "", text)
    assert all(text[token.start : token.end] == token.word for token in found)
