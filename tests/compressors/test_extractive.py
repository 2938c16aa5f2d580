"""An extractive method gives slices within the budget, or the original and a reason."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elision.compressors.base import Demand, Identity, Span, Target, Units
from elision.compressors.errors import BadOption
from elision.compressors.extractive import Extractive
from elision.compressors.forced import Forced
from elision.compressors.protect import find_spans
from elision.compressors.scores import pack, quantised
from elision.compressors.tokens import Counters
from elision.compressors.units import words

COUNTERS = Counters()
PROSE = "The committee met in the old town hall and talked for hours about roads, bridges and schools. " * 4


class ByLength:
    """A scorer: longer words matter more."""

    fingerprint = "by-length/1"
    reads_question = False

    def __init__(self) -> None:
        self.seen: list[str] = []

    def score(self, texts: Sequence[str], questions: Sequence[str]) -> list[Units]:
        self.seen.extend(texts)
        bounds = [words(text) for text in texts]
        return [Units(b, (b[:, 1] - b[:, 0]).astype(np.float64)) for b in bounds]


class OverlooksNot(ByLength):
    """A faulty scorer: no unit of its own holds the word `not`."""

    def score(self, texts: Sequence[str], questions: Sequence[str]) -> list[Units]:
        everything = super().score(texts, questions)
        seen = [
            np.array([text[a:b] != "not" for a, b in units.bounds.tolist()])
            for text, units in zip(texts, everything, strict=True)
        ]
        return [Units(u.bounds[s], u.importance[s]) for u, s in zip(everything, seen, strict=True)]


def extractive(scorer: ByLength | None = None) -> Extractive:
    return Extractive("by_length", scorer or ByLength(), COUNTERS)


@given(st.floats(0.1, 0.9))
def test_the_sent_text_keeps_the_budget(rate: float) -> None:
    """Counted anew, not estimated: slices cost no more than was asked."""
    [outcome] = extractive().compress([PROSE], [Target(rate=rate, model="gpt-4o")])
    counter = COUNTERS.counter_for("gpt-4o")
    assert outcome.tokens_before == counter.count(PROSE)
    assert outcome.tokens_after == counter.count(outcome.text) <= rate * outcome.tokens_before + 1
    assert outcome.tokens_after >= rate * outcome.tokens_before - 4
    assert outcome.text == "".join(PROSE[s.start : s.end] for s in outcome.kept)
    assert (outcome.method, outcome.fingerprint, outcome.reason) == ("by_length", "by-length/1", "")


def test_protected_spans_survive_whole() -> None:
    """Numbers, negations and addresses are all there, though the scorer thinks little of them."""
    text = PROSE + "It did not cost 3.5 million, see https://a.bc/d?e=1 or `x y z`. " + PROSE
    [outcome] = extractive().compress([text], [Target(rate=0.2)])
    assert outcome.reason == ""
    for span in find_spans(text):
        assert text[span.start : span.end] in outcome.text
        assert any(k.start <= span.start and span.end <= k.end for k in outcome.kept)


def test_a_scorer_that_loses_a_protected_span_costs_nothing() -> None:
    """The check does not trust the scorer: the original goes, with the reason."""
    text = PROSE + "It was not so. " + PROSE
    [outcome] = extractive(OverlooksNot()).compress([text], [Target(rate=0.5)])
    assert (outcome.text, outcome.reason, outcome.kept) == (text, "protected_lost", ())


@pytest.mark.parametrize(
    ("text", "target", "reason"),
    [
        ("Too short.", Target(rate=0.5), "too_short"),
        ("", Target(rate=0.5), "too_short"),
        (PROSE, Target(), "no_target"),
        (PROSE, Target(rate=1.0), "within_target"),
        (PROSE, Target(tokens=10_000), "within_target"),
        ("https://a.b/" + "c/" * 60, Target(rate=0.5), "too_short"),
        ("not " * 30, Target(rate=0.5), "not_shorter"),
        ("incomprehensibilities " * 20, Target(tokens=1, protect=()), "nothing_kept"),
    ],
)
def test_the_original_goes_with_a_reason(text: str, target: Target, reason: str) -> None:
    """Each reason is a short word, and the figures say that nothing was saved."""
    [outcome] = extractive().compress([text], [target])
    assert (outcome.text, outcome.reason) == (text, reason)
    assert outcome.tokens_before == outcome.tokens_after
    assert outcome.kept == ()


def test_texts_that_need_no_scores_are_not_scored() -> None:
    """A batch of many texts pays for those that are shortened."""
    scorer = ByLength()
    outcomes = extractive(scorer).compress(["Hi.", PROSE], [Target(rate=0.5)] * 2)
    assert scorer.seen == [PROSE]
    assert [outcome.reason for outcome in outcomes] == ["too_short", ""]


def test_an_unknown_protected_class_is_refused() -> None:
    """A misspelt class does not silently protect nothing."""
    with pytest.raises(BadOption, match="urls"):
        extractive().compress([PROSE], [Target(rate=0.5, protect=("url",))])


def test_kept_spans_are_plain_numbers() -> None:
    """They travel between processes."""
    [outcome] = extractive().compress([PROSE], [Target(rate=0.5)])
    assert all(type(s.start) is int and type(s.end) is int for s in outcome.kept)
    assert isinstance(outcome.kept[0], Span)


def forcing(*tokens: str, digits: bool = False, drop: bool = False) -> Extractive:
    return Extractive("by_length", ByLength(), COUNTERS, Forced(tokens, digits, drop))


def test_forced_tokens_stay_wherever_they_stand() -> None:
    """Each full stop and each `hall`, but not the words before them."""
    [outcome] = forcing(".", "hall").compress([PROSE], [Target(rate=0.4, protect=())])
    assert outcome.reason == ""
    assert (outcome.text.count("."), outcome.text.count("hall")) == (4, 4)
    assert "committee bridges." in outcome.text or "schools." in outcome.text


def test_equal_forced_tokens_in_a_row_become_one() -> None:
    """Where nothing between them stayed."""
    text = "aa. bb. cc. incomprehensible words. dd. ee. ff. gg. hh. ii.\n" * 3
    every, one = (
        f.compress([text], [Target(tokens=30, protect=())])[0]
        for f in (forcing("."), forcing(".", drop=True))
    )
    assert every.text.count(".") == 30
    assert 0 < one.text.count(".") < 30
    assert ". ." not in one.text
    assert ".." not in one.text


def test_digits_are_kept_on_request() -> None:
    """With the words that they stand in, though nothing is protected."""
    text = PROSE + "The R2D2 unit and 47 others left. " + PROSE
    kept, lost = (
        f.compress([text], [Target(rate=0.2, protect=())])[0] for f in (forcing(digits=True), extractive())
    )
    assert "R2D2" in kept.text
    assert "47" in kept.text
    assert "R2D2" not in lost.text


@pytest.mark.parametrize("rate", [0.1, 0.35, 0.5, 0.8])
@pytest.mark.parametrize(
    "text",
    [
        PROSE * 20,
        "委员会在旧市政厅开会，谈了几个小时的道路、桥梁和学校。大家都很累。" * 30,
        "คณะกรรมการประชุมกันที่ศาลากลางเก่าและพูดคุยกันเป็นเวลาหลายชั่วโมง " * 20,
        "समिति की बैठक पुराने टाउन हॉल में हुई और घंटों तक सड़कों की बात हुई। " * 20,
        "GPTモデルのAPIを使って文章を短くします。とても速いです。" * 20,
    ],
)
def test_counted_anew_the_budget_is_met_in_every_script(text: str, rate: float) -> None:
    """Where slices meet they tokenise anew; what is sent has the tokens asked for, or a unit fewer."""
    [outcome] = extractive().compress([text], [Target(rate=rate, protect=(), model="gpt-4o")])
    counter = COUNTERS.counter_for("gpt-4o")
    budget = rate * outcome.tokens_before
    largest = max(counter.count(" " + text[a:b]) for a, b in words(text).tolist())
    assert outcome.reason == ""
    assert budget - largest - 1 <= outcome.tokens_after == counter.count(outcome.text) <= budget + 1e-6


def test_what_is_protected_and_more_than_the_budget_goes_alone() -> None:
    """Nothing else is kept beside it."""
    text = "They never said 'not' to us about roads and bridges and old schools. " * 5
    [outcome] = extractive().compress([text], [Target(tokens=1)])
    assert outcome.text.split() == ["never", "'not'"] * 5


def test_a_text_is_read_once_for_all_that_ask_for_it() -> None:
    """At any rate and with any question, where the scorer reads none; else once for each question."""
    for reads, times in ((False, 1), (True, 2)):
        scorer = ByLength()
        scorer.reads_question = reads
        targets = [Target(rate=rate, question=asked) for rate in (0.3, 0.6) for asked in ("who?", "why?")]
        results = extractive(scorer).compress_known([PROSE] * 4, targets, [b""] * 4)
        assert scorer.seen == [PROSE] * times
        assert len({result.scores for result in results}) == 1
        assert [result.outcome for result in results] == extractive().compress([PROSE] * 4, targets)


def test_what_is_known_is_not_read_and_what_cannot_be_used_is() -> None:
    """Scores of another text, or damaged ones, are as none."""
    scorer, target = ByLength(), Target(rate=0.4)
    cold = extractive(scorer)
    [first] = cold.compress_known([PROSE], [Target(rate=0.7)], [b""])
    scorer.seen.clear()
    texts = [PROSE, PROSE + " And more.", PROSE]
    results = cold.compress_known(texts, [target] * 3, [first.scores, first.scores, first.scores[:-1]])
    assert scorer.seen == texts[1:]
    assert [bool(result.scores) for result in results] == [False, True, True]
    assert [result.outcome for result in results] == extractive().compress(texts, [target] * 3)


def test_a_text_that_needs_no_choice_is_not_read() -> None:
    """It has no scores to keep either."""
    scorer = ByLength()
    results = extractive(scorer).compress_known(["Short.", PROSE], [Target(rate=0.5), Target()], [b"", b""])
    assert ([result.outcome.reason for result in results], scorer.seen) == (["too_short", "no_target"], [])
    assert {result.scores for result in results} == {b""}


def test_an_identity_tells_the_scorer_from_the_selector() -> None:
    """What the selector alone sees is in the whole only."""
    plain, forced = extractive(), Extractive("by_length", ByLength(), COUNTERS, Forced(digits=True))
    assert plain.identity.scorer == forced.identity.scorer == "by-length/1"
    assert plain.identity.fingerprint != forced.identity.fingerprint == forced.fingerprint
    assert not plain.identity.reads_question


class Demanding:
    """A scorer that must know what is asked for; prefers what stands last."""

    fingerprint = "demanding"
    reads_question = True

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, Demand]] = []

    def score(self, texts: Sequence[str], questions: Sequence[str]) -> list[Units]:
        bounds = [words(text) for text in texts]
        return [Units(one, np.arange(len(one), dtype=np.float64)) for one in bounds]

    def score_for(
        self, texts: Sequence[str], questions: Sequence[str], demands: Sequence[Demand]
    ) -> list[Units]:
        self.asked += zip(texts, questions, demands, strict=True)
        return self.score(texts, questions)


def test_a_scorer_that_needs_the_target_is_told_rate_and_what_is_held() -> None:
    """Each text, question and demand once; nothing known is taken over, nothing found is kept."""
    text = "The fox of 1987 was late and nobody saw it because the fox is quick and the night is long."
    scorer = Demanding()
    made = Extractive("m", scorer, Counters(), Forced(("fox",)))
    targets = [Target(rate=0.5, question="Who?"), Target(rate=0.5, question="Who?"), Target(tokens=10)]
    known = [pack(quantised(scorer.score([text], [""])[0]), len(text))] * 3
    results = made.compress_known([text] * 3, targets, known)
    assert [question for _, question, _ in scorer.asked] == ["Who?", ""]
    half, ten = (demand for _, _, demand in scorer.asked)
    assert half.rate == pytest.approx(0.5)
    assert ten.rate == pytest.approx(10 / results[2].outcome.tokens_before)
    held = [text[span.start : span.end] for span in half.held]
    assert held.count("fox") == 2
    assert "1987" in held
    assert half.held == ten.held
    assert all(result.scores == b"" and not result.outcome.reason for result in results)
    assert made.identity == Identity("demanding force=('fox',) digits=0 drop=0", "", reads_question=True)
