"""Words are scored by their tokens, whatever the family, the script or the length of the text."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elision.compressors.base import Job, Method, Target, Units
from elision.compressors.engine import Engine
from elision.compressors.errors import BadOption, WeightsMissing
from elision.compressors.llmlingua2 import LLMLingua2, Options, TokenToWord, word_bounds
from elision.compressors.units import words
from fakes.fixed_classifier import FixedClassifier, chance
from fakes.golden_texts import SENTENCES
from fakes.tiny_classifier import save_tiny_bert, save_tiny_modernbert, save_tiny_xlmr

FAMILIES = [save_tiny_bert, save_tiny_xlmr, save_tiny_modernbert]
PROSE = "The council said that the report is on the table. " * 80
ANY_TEXT = st.lists(
    st.one_of(
        st.sampled_from(SENTENCES), st.text(max_size=30), st.sampled_from(["\n\n", " ", "[SEP]", "</s>"])
    ),
    max_size=12,
).map("".join)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {save.__name__: save(tmp_path_factory.mktemp(save.__name__)) for save in FAMILIES}


@pytest.fixture(scope="module")
def bert(folders: dict[str, Path]) -> Path:
    return folders["save_tiny_bert"]


def scored(text: str, folder: Path, options: Options | None = None) -> Units:
    return LLMLingua2(FixedClassifier(folder), options).score([text], [""])[0]


def scores(text: str, folder: Path, options: Options | None = None) -> dict[str, float]:
    units = scored(text, folder, options)
    pairs = zip(units.bounds.tolist(), units.importance.tolist(), strict=True)
    return {text[start:end]: importance for (start, end), importance in pairs}


def means(text: str, folder: Path) -> dict[str, float]:
    """Score words the slow way: each character's tokens, found in the tokenizer's own record."""
    item = FixedClassifier(folder).vocabulary.tokenizer().encode(text, add_special_tokens=False)
    found: dict[str, float] = {}
    for start, end in word_bounds(text).tolist():
        own = [i for i, (a, b) in enumerate(item.offsets) if a < end and b > start]
        found[text[start:end]] = sum(chance(item.ids[i]) for i in own) / len(own)
    return found


@pytest.mark.parametrize("family", [save.__name__ for save in FAMILIES])
def test_a_words_importance_is_the_mean_of_its_tokens(family: str, folders: dict[str, Path]) -> None:
    """For pieces marked by `##`, by `▁`, and for bytes."""
    text = "The meetings reported unable councilment, found longer 42 words."
    assert scores(text, folders[family]) == pytest.approx(means(text, folders[family]), abs=1e-6)


def test_the_first_token_may_speak_for_its_word(bert: Path) -> None:
    """`token_to_word: first`."""
    token = FixedClassifier(bert).vocabulary.tokenizer().token_to_id("council")
    assert token is not None
    found = scores("a councils b", bert, Options(TokenToWord.FIRST))
    assert found["councils"] == pytest.approx(chance(token), abs=1e-6)


def test_marks_at_a_words_edges_stand_alone() -> None:
    """Inside they do not tear it, and some signs belong to their word."""
    text = '"Well-known" (C++ and C#), U.S. 5% -- dogs\' 好。'
    found = [text[a:b] for a, b in word_bounds(text)]
    assert found == [
        *('"', "Well-known", '"', "(", "C++", "and", "C#", "),", "U.S", ".", "5%", "--", "dogs", "'"),
        *("好", "。"),
    ]


@given(ANY_TEXT)
def test_words_and_marks_cover_what_words_cover(text: str) -> None:
    """Bounds are ascending and disjoint; no character that is not whitespace is lost or added."""
    whole, parts = words(text), word_bounds(text)
    assert (parts[:, 0] < parts[:, 1]).all()
    assert (parts[1:, 0] >= parts[:-1, 1]).all()
    assert [i for a, b in whole.tolist() for i in range(a, b)] == [
        i for a, b in parts.tolist() for i in range(a, b)
    ]


@settings(max_examples=60)
@given(text=ANY_TEXT, family=st.sampled_from([save.__name__ for save in FAMILIES]))
def test_any_text_is_scored(text: str, family: str, folders: dict[str, Path]) -> None:
    """Every script, every mark, lone surrogates, nothing at all: finite, one for each word."""
    units = scored(text, folders[family])
    assert len(units.importance) == len(units.bounds) == len(word_bounds(text))
    assert np.isfinite(units.importance).all()


def test_texts_are_scored_alike_alone_and_together(bert: Path) -> None:
    """Windows of all texts go to the classifier at once, and come back to their own."""
    texts = [PROSE, "", "A motion was made.", SENTENCES[3], PROSE[:3000]]
    together = LLMLingua2(FixedClassifier(bert)).score(texts, [""] * len(texts))
    for text, units in zip(texts, together, strict=True):
        assert np.array_equal(units.importance, scored(text, bert).importance)


@pytest.mark.parametrize("overlap", [0, 32])
def test_windows_do_not_show(overlap: int, bert: Path) -> None:
    """A text of many windows is scored as if it were one, where context does not count."""
    text = " ".join(SENTENCES) * 12
    classifier = FixedClassifier(bert)
    units = LLMLingua2(classifier, Options(overlap=overlap)).score([text], [""])[0]
    assert len(classifier.windows) > 4
    assert max(map(len, classifier.windows)) <= 512
    part = scored(" ".join(SENTENCES), bert).importance
    assert np.allclose(units.importance[: len(part) - 1], part[:-1])


def test_windows_begin_with_sentences(bert: Path) -> None:
    """Each with the family's own marks around it, unlike the reference."""
    classifier = FixedClassifier(bert)
    LLMLingua2(classifier).score([PROSE], [""])
    first = classifier.vocabulary.tokenizer().token_to_id("T")
    ids = classifier.vocabulary.ids
    assert len(classifier.windows) > 1
    assert all(w[:2] == [ids["cls"], first] and w[-1] == ids["sep"] for w in classifier.windows)


def test_windows_may_end_elsewhere(bert: Path) -> None:
    """`chunk_end_tokens` in place of the sentence ends of all languages."""
    classifier = FixedClassifier(bert)
    LLMLingua2(classifier, Options(chunk_end_tokens=("that",))).score([PROSE], [""])
    the = classifier.vocabulary.tokenizer().token_to_id("the")
    assert len(classifier.windows) > 1
    assert all(window[1] == the for window in classifier.windows[1:])


def test_what_the_model_cannot_read_stays(bert: Path) -> None:
    """It cannot judge it: emoji and unknown scripts rank before everything."""
    found = scores("The report 😀 said ☃ the council", bert)
    assert {word for word, importance in found.items() if importance > 1} == {"😀", "☃"}


@pytest.mark.parametrize("family", ["save_tiny_bert", "save_tiny_xlmr"])
def test_literal_marks_are_text(family: str, folders: dict[str, Path]) -> None:
    """A user's `</s>` or `[SEP]` reaches the model as no mark of its own."""
    classifier = FixedClassifier(folders[family])
    LLMLingua2(classifier).score(["the </s> of [SEP] and <pad> in [PAD] to <s>"], [""])
    marks = {i for role, i in classifier.vocabulary.ids.items() if role != "unk"}
    (window,) = classifier.windows
    assert not marks & set(window[1:-1])


def test_long_texts_are_read_in_parts(bert: Path) -> None:
    """A part's end does not show: scores are those of the words, wherever they stand."""
    text = "the council said report " * 20_000
    units = scored(text, bert)
    rows = units.importance.reshape(-1, 4)
    assert len(rows) == 20_000
    assert (rows == rows[0]).all()


def test_an_overlap_of_more_than_half_a_window_is_refused(bert: Path) -> None:
    """The message says how much may be."""
    with pytest.raises(BadOption, match="from 0 to 255"):
        LLMLingua2(FixedClassifier(bert), Options(overlap=256))


@pytest.mark.parametrize("window", [15, 513])
def test_a_window_that_the_model_does_not_read_is_refused(window: int, bert: Path) -> None:
    """The message says what it reads."""
    with pytest.raises(BadOption, match="from 16 to the 512 tokens"):
        LLMLingua2(FixedClassifier(bert), Options(window=window))


def test_smaller_windows_may_be_asked_for(bert: Path) -> None:
    """They are faster, and see less."""
    classifier = FixedClassifier(bert)
    LLMLingua2(classifier, Options(window=128)).score([PROSE], [""])
    assert max(map(len, classifier.windows)) <= 128


def test_options_change_the_fingerprint(bert: Path) -> None:
    """Nobody's cached scores are another's."""
    told = [
        Options(),
        Options(TokenToWord.FIRST),
        Options(chunk_end_tokens=(".",)),
        Options(overlap=8),
        Options(window=256),
    ]
    assert len({LLMLingua2(FixedClassifier(bert), one).fingerprint for one in told}) == len(told)


@pytest.mark.parametrize("save", FAMILIES)
def test_the_method_shortens_by_real_weights(save: Callable[[Path], Path], tmp_path: Path) -> None:
    """From a method's name to slices of the original, for each family, with protected spans whole."""
    engine = Engine(cache_dir=tmp_path / "cache", threads=1)
    options = (("force_tokens", ("council",)), ("weights", str(save(tmp_path / "model"))))
    text = " ".join(SENTENCES)
    job = Job(text, Method("llmlingua2", options), Target(rate=0.6))
    (outcome,) = engine.run([job])
    assert outcome.reason == ""
    assert "".join(text[span.start : span.end] for span in outcome.kept) == outcome.text
    assert outcome.tokens_after <= 0.6 * outcome.tokens_before + 1
    assert "https://example.org/a?b=1#c" in outcome.text
    assert "council" in outcome.text


def test_weights_that_are_not_here_are_not_fetched(tmp_path: Path) -> None:
    """Not even the default ones: they are prepared ahead of time."""
    with pytest.raises(WeightsMissing, match="elision models add microsoft/llmlingua-2"):
        Engine(cache_dir=tmp_path).prepare(Method("llmlingua2"))
