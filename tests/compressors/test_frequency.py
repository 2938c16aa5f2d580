"""Rare words matter, common ones do not, whatever stands around them, in linear time and without a model."""

import importlib.util
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elision.compressors.base import Method, Target
from elision.compressors.errors import BadOption, WeightsMissing
from elision.compressors.frequency import BUILT_IN, WORDFREQ, Frequency, Table
from elision.compressors.registry import Resources, make_compressor
from elision.compressors.tokens import Counters
from elision.compressors.units import Agg, Level, split

TABLE = Table.built_in()
TEXTS = st.text() | st.lists(
    st.sampled_from(["the", "The", "quixotic", "Rome", "don't", "Дом", "漢", "3.5", "!", "\n"])
).map(" ".join)


def bits(text: str, table: Table = TABLE) -> dict[str, float]:
    [units] = Frequency(table).score([text], [""])
    pieces = [text[a:b] for a, b in units.bounds.tolist()]
    return dict(zip(pieces, units.importance.tolist(), strict=True))


def test_the_table_tells_common_words_from_rare_ones() -> None:
    """Bits of self-information: `the` is every fourteenth word of books, so under four bits."""
    assert len(TABLE.bits) == 40_000
    assert 3 < TABLE.bits["the"] < 4
    assert TABLE.bits["the"] < TABLE.bits["house"] < TABLE.bits["quixotic"] < TABLE.rarest
    assert max(TABLE.bits.values()) == TABLE.rarest


@given(TEXTS, st.sampled_from(list(Level)), st.sampled_from(list(Agg)))
def test_every_unit_has_a_finite_importance(text: str, level: Level, agg: Agg) -> None:
    """One for each of the units of its level."""
    [units] = Frequency(TABLE, level, agg).score([text], [""])
    assert units.bounds.tolist() == split(text, level).tolist()
    assert units.importance.shape == (len(units.bounds),)
    assert np.isfinite(units.importance).all()


def test_marks_and_case_do_not_hide_a_word() -> None:
    """Quotes, brackets, a full stop, a capital at the beginning: the same word."""
    found = bits("The «house» (house) \"house. house's")
    assert found["The"] == TABLE.bits["the"]
    assert {found[w] for w in ("«house»", "(house)", '"house.', "house's")} == {TABLE.bits["house"]}


def test_contractions_and_compounds_are_their_parts() -> None:
    """Of a compound the rarest part counts, `not` among them."""
    found = bits("they don't we're know-how --")
    assert found["don't"] == max(TABLE.bits["do"], TABLE.bits["not"])
    assert found["we're"] == TABLE.bits["we"]
    assert found["know-how"] == max(TABLE.bits["know"], TABLE.bits["how"])
    assert found["--"] == 0


def test_a_capital_within_a_sentence_is_a_name() -> None:
    """Not so at the beginning of a sentence or of a line."""
    found = bits("Mark saw Rose. House\nHome")
    assert found["Rose."] == TABLE.bits["rose"] + 4
    assert (found["House"], found["Home"]) == (TABLE.bits["house"], TABLE.bits["home"])


def test_what_the_table_does_not_know_is_rare() -> None:
    """Names, numbers and identifiers."""
    found = bits("the zyzzogeton of 1987 and x86 and naïveté")
    assert {found[w] for w in ("zyzzogeton", "1987", "x86", "naïveté")} == {TABLE.rarest}


def test_words_of_other_scripts_count_by_the_text_itself() -> None:
    """A particle that stands everywhere is worth less than a noun that stands once."""
    found = bits("дом и сад и лес и река и поле и город")
    assert found["и"] < found["сад"] <= found["город"]
    chinese = bits("我的书和你的书和他的笔在桌子上")
    assert chinese["的"] < chinese["桌"]


def test_a_sentence_is_worth_the_mean_or_the_sum_of_its_words() -> None:
    """By whichever the policy asks for."""
    text = "the house. the"
    words_ = TABLE.bits["the"], TABLE.bits["house"]
    mean, total = (
        Frequency(TABLE, Level.SENTENCE, agg).score([text], [""])[0] for agg in (Agg.MEAN, Agg.SUM)
    )
    assert mean.importance.tolist() == [sum(words_) / 2, words_[0]] or len(mean.bounds) == 1
    assert total.importance[0] >= sum(words_)


def test_it_shortens_by_the_registry() -> None:
    """As any method, with names and what is not protected but rare left standing."""
    text = "It is said that the house of the family was bought by the merchant Ivanhoe in the spring. " * 2
    compressor = make_compressor(Method("frequency"), Resources(Counters()))
    [outcome] = compressor.compress([text], [Target(rate=0.4, model="gpt-4o")])
    assert outcome.reason == ""
    assert outcome.text.count("Ivanhoe") == 2
    assert "said that" not in outcome.text
    assert outcome.tokens_after <= 0.4 * outcome.tokens_before
    assert compressor.fingerprint.startswith("frequency/2 level=phrase agg=mean table=built_in")


def test_other_languages_want_the_other_table() -> None:
    """The message says which."""
    with pytest.raises(BadOption, match="say table: wordfreq"):
        Table.read(BUILT_IN, "de")


@pytest.mark.skipif(importlib.util.find_spec("wordfreq") is not None, reason="wordfreq is installed")
def test_a_missing_package_is_named() -> None:
    """With the command that installs it."""
    with pytest.raises(WeightsMissing, match=r"elision\[wordfreq\]"):
        Table.read(WORDFREQ, "de")


@pytest.mark.skipif(importlib.util.find_spec("wordfreq") is None, reason="needs elision[wordfreq]")
def test_wordfreq_has_tables_of_other_languages() -> None:
    """German by German, and an unknown language is refused."""
    table = Table.read(WORDFREQ, "de")
    assert table.bits["und"] < table.bits["haus"] < table.rarest
    with pytest.raises(BadOption, match="no table for 'xx'"):
        Table.read(WORDFREQ, "xx")


def test_no_model_is_loaded() -> None:
    """Neither torch nor anything of its kind."""
    code = (
        "import sys\n"
        "from elision.compressors import compress\n"
        "compress('the old house of the old man stood on the hill ' * 4, method='frequency', rate=0.5)\n"
        "print([m for m in ('torch', 'transformers', 'onnxruntime') if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")


@pytest.mark.parametrize("run", ["word ", "漢", "a-", "'", "n't", "X.", "\n", "_", "-"])
def test_long_runs_take_linear_time(run: str) -> None:
    """A quadratic step would outlast the test's timeout."""
    text = run * (400_000 // len(run)) + "!"
    [units] = Frequency(TABLE).score([text], [""])
    assert len(units.importance) == len(units.bounds)
