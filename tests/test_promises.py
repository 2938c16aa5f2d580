"""Promise 3, never false: a fuzz of generated texts in a dozen scripts.

`make test` takes 600 texts; `make test ARGS="-m fuzz tests/test_promises.py"` takes 10,000.
"""

from collections.abc import Sequence
from itertools import pairwise
from random import Random

import numpy as np
import pytest

from elision.compressors.base import Outcome, Scorer, Target, Units
from elision.compressors.extractive import Extractive
from elision.compressors.frequency import Frequency, Table
from elision.compressors.protect import find_spans
from elision.compressors.select import touching, unit_costs
from elision.compressors.tokens import Counters
from elision.compressors.units import Level, words
from fakes.scripts import SCRIPTS, Strewn, strewn_text

MODEL = "gpt-4o"
COUNTERS = Counters()
COUNTER = COUNTERS.counter_for(MODEL)
TABLE = Table.built_in()
LEFT_ALONE = {"too_short", "within_target", "nothing_kept", "not_shorter"}


class AtRandom:
    """A scorer that knows nothing."""

    fingerprint = "at-random/1"
    reads_question = False

    def score(self, texts: Sequence[str], questions: Sequence[str]) -> list[Units]:
        bounds = [words(text) for text in texts]
        return [Units(one, np.random.default_rng(len(one)).random(len(one))) for one in bounds]


SCORERS: dict[str, Scorer] = {
    "frequency word": Frequency(TABLE, Level.WORD),
    "frequency sentence": Frequency(TABLE, Level.SENTENCE),
    "random word": AtRandom(),
}


def check(strewn: Strewn, units: Units, target: Target, outcome: Outcome) -> None:
    """Hold an outcome against every part of the promise."""
    text = strewn.text
    assert outcome.tokens_before == COUNTER.count(text)
    assert outcome.tokens_after == COUNTER.count(outcome.text) <= outcome.tokens_before
    if outcome.reason:
        assert outcome.reason in LEFT_ALONE
        assert (outcome.text, outcome.kept) == (text, ())
        return
    kept = outcome.kept
    assert outcome.text == "".join(text[span.start : span.end] for span in kept)
    assert all(left.end < right.start for left, right in pairwise(kept))
    for start, end in (*strewn.planted, *((span.start, span.end) for span in find_spans(text))):
        whole = text[start:end].strip()
        at = text.index(whole, start)
        assert any(span.start <= at and at + len(whole) <= span.end for span in kept), whole
    check_budget(text, units, target.rate or 1.0, outcome)


def check_budget(text: str, units: Units, rate: float, outcome: Outcome) -> None:
    """Within one unit below the budget; above it only what is protected, and what it hangs on."""
    bounds = units.bounds
    budget = rate * outcome.tokens_before
    stays = np.asarray(
        [any(s.start <= a and b <= s.end for s in outcome.kept) for a, b in bounds.tolist()], np.bool_
    )
    forced = touching(bounds, find_spans(text))
    if outcome.tokens_after > budget + 1e-6:
        hangs = bounds[1:, 0] == bounds[:-1, 1]
        beside = np.append(hangs, False) & np.append(False, hangs)
        assert not (stays & ~forced & ~beside).any()
        return
    if not stays.all():
        cost, _ = unit_costs(bounds, COUNTER.starts(text))
        # A unit comes with the gap before it, a paragraph break at most.
        alone = [COUNTER.count(f"\n\n{text[a:b]}") for a, b in bounds[~stays].tolist()]
        assert outcome.tokens_after + max(*alone, int(cost[~stays].max())) + 1 > budget


def run(seeds: range, name: str) -> dict[str, int]:
    """Compress the texts of some seeds, check each, and return how many of each script were shortened."""
    extractive = Extractive(name, SCORERS[name], COUNTERS)
    shortened = dict.fromkeys(SCRIPTS, 0)
    for seed in seeds:
        strewn, target = strewn_text(seed), Target(rate=Random(seed).uniform(0.1, 0.95), model=MODEL)
        [outcome] = extractive.compress([strewn.text], [target])
        [units] = SCORERS[name].score([strewn.text], [""])
        check(strewn, units, target, outcome)
        shortened[strewn.script] += not outcome.reason
    return shortened


def test_what_is_planted_is_protected() -> None:
    """The generator plants only what the classes of protected spans find."""
    for seed in range(600):
        strewn = strewn_text(seed)
        spans = find_spans(strewn.text)
        for start, end in strewn.planted:
            assert any(s.start <= start and end <= s.end for s in spans), strewn.text[start:end]


@pytest.mark.parametrize("name", sorted(SCORERS))
def test_nothing_false_in_any_script(name: str) -> None:
    """Protected spans survive, slices in order, the budget to one unit, never more tokens."""
    assert min(run(range(600), name).values()) > 10


@pytest.mark.parametrize("tokens", [20, 200, 2_000, 20_000, 200_000])
@pytest.mark.parametrize("script", ["latin", "han", "thai", "emoji"])
def test_the_budget_is_met_from_twenty_tokens_to_two_hundred_thousand(script: str, tokens: int) -> None:
    """With nothing protected: at most one unit fewer than asked for, and never more."""
    words_, space = SCRIPTS[script].words, SCRIPTS[script].space
    page = space.join(Random(tokens).choices(words_, k=min(tokens, 5000))) + ". "
    text = page * (1 + tokens // COUNTER.count(page))
    target = Target(rate=Random(tokens).uniform(0.2, 0.8), model=MODEL, protect=())
    [outcome] = Extractive("at_random", AtRandom(), COUNTERS).compress([text], [target])
    budget = (target.rate or 1) * outcome.tokens_before
    largest = max(COUNTER.count(f" {word}") for word in words_) + 1
    assert outcome.reason == ""
    assert budget - largest <= outcome.tokens_after == COUNTER.count(outcome.text) <= budget + 1e-6


@pytest.mark.fuzz
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", sorted(SCORERS))
def test_nothing_false_in_ten_thousand_texts(name: str) -> None:
    """The same, for as long as it takes."""
    assert min(run(range(10_000), name).values()) > 200
