"""Texts are shortened once, counted anew, timed, and found again."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from elision.compressors.base import Outcome, Target, Units
from elision.compressors.extractive import Extractive
from elision.compressors.tokens import Counters
from elision.evaluation.baselines import Lead
from elision.evaluation.compression import Bench, Wanted, shorten
from elision.evaluation.store import Store

TARGET = Target(0.5, model="gpt-4o", protect=())


class Halving:
    """Keeps the first half of a text's characters, and claims what is not so."""

    def __init__(self, fingerprint: str = "half") -> None:
        self.fingerprint = fingerprint
        self.seen: list[list[str]] = []

    def compress(self, texts: Sequence[str], targets: Sequence[Target]) -> list[Outcome]:
        self.seen.append(list(texts))
        return [Outcome(text[: len(text) // 2], 1, 1, (), "half", self.fingerprint) for text in texts]


def wanted(count: int) -> list[Wanted]:
    return [Wanted(f"some words of text number {at}", TARGET) for at in range(count)]


def test_counts_are_ours_and_texts_are_done_once(tmp_path: Path) -> None:
    """A method's own figures are not believed; equal texts are one."""
    counter, compressor, ticks = Counters().counter_for("gpt-4o"), Halving(), [0]
    asked = [*wanted(2), *wanted(2)]
    with Store(tmp_path / "o.jsonl") as store:
        done = shorten(Bench(compressor, counter), asked, store, ticks.append)
    first = done[asked[0]]
    assert first.text == asked[0].text[: len(asked[0].text) // 2]
    assert (first.before, first.after) == (counter.count(asked[0].text), counter.count(first.text))
    assert first.seconds > 0
    # The first call loads and warms; then both texts in one batch.
    assert [len(batch) for batch in compressor.seen] == [1, 2]
    assert sum(ticks) == 2


def test_a_second_run_does_only_what_is_missing(tmp_path: Path) -> None:
    """In batches of eight; another fingerprint takes nothing of the first."""
    counter, compressor = Counters().counter_for("gpt-4o"), Halving()
    with Store(tmp_path / "o.jsonl") as store:
        before = shorten(Bench(compressor, counter), wanted(3), store, lambda more: None)
    with Store(tmp_path / "o.jsonl") as store:
        again = shorten(Bench(compressor, counter), wanted(3), store, lambda more: None)
        assert again == before
        assert len(compressor.seen) == 2
        shorten(Bench(compressor, counter), wanted(12), store, lambda more: None)
        assert [len(batch) for batch in compressor.seen[3:]] == [8, 1]
        other = Halving("another")
        shorten(Bench(other, counter), wanted(3), store, lambda more: None)
    assert [len(batch) for batch in other.seen] == [1, 3]


@pytest.mark.parametrize(
    "target",
    [
        Target(0.4, model="gpt-4o", protect=()),
        Target(tokens=5, model="gpt-4o", protect=()),
        Target(0.5, model="gpt-4", protect=()),
        Target(0.5, model="gpt-4o", protect=(), question="q"),
        Target(0.5, model="gpt-4o", protect=None),
    ],
)
def test_whatever_changes_an_outcome_changes_its_key(target: Target) -> None:
    """Nothing stale is ever taken."""
    keys = {Wanted("text", one).key("f", "o200k_base") for one in (TARGET, target)}
    assert len(keys) == 2


def test_another_tokenizer_is_another_outcome() -> None:
    """Counts are part of what is kept."""
    assert Wanted("text", TARGET).key("f", "a") != Wanted("text", TARGET).key("f", "b")


def test_a_row_that_is_no_outcome_is_refused(tmp_path: Path) -> None:
    """Someone has written into the file."""
    [one] = wanted(1)
    counter = Counters().counter_for("gpt-4o")
    with Store(tmp_path / "o.jsonl") as store:
        store.put(one.key("half", counter.name), {"text": 3})
        with pytest.raises(ValueError, match="is no outcome"):
            shorten(Bench(Halving(), counter), [one], store, lambda more: None)


class CountedLead:
    """Says how often it was asked."""

    fingerprint = Lead().fingerprint
    reads_question = False

    def __init__(self) -> None:
        self.asked: list[str] = []

    def score(self, texts: Sequence[str], questions: Sequence[str]) -> list[Units]:
        self.asked += texts
        return Lead().score(texts, questions)


def test_what_was_found_for_one_target_serves_the_next(tmp_path: Path) -> None:
    """A slow method reads each text once; only the first outcome is timed, and both are its own."""
    counters, scorer = Counters(), CountedLead()
    counter = counters.counter_for("gpt-4o")
    texts = [
        f"{at}. The keeper of the light came down to the shore and saw nobody there at all." for at in (1, 2)
    ]
    first, second = (
        [Wanted(text, Target(rate, model="gpt-4o", protect=())) for text in texts] for rate in (0.3, 0.6)
    )
    bench = Bench(Extractive("lead", scorer, counters), counter)
    with Store(tmp_path / "o.jsonl") as store:
        done = shorten(bench, first, store, lambda more: None) | shorten(
            bench, second, store, lambda more: None
        )
    assert [scorer.asked.count(text) for text in texts] == [1, 1]
    assert [done[one].timed for one in (*first, *second)] == [True, True, False, False]
    plain = Extractive("lead", Lead(), counters)
    for one in (*first, *second):
        assert done[one].text == plain.compress([one.text], [one.target])[0].text


def test_a_question_that_nobody_reads_makes_no_second_outcome() -> None:
    """Documents are asked about often; methods that know of no question shorten them once."""
    counters = Counters()
    counter = counters.counter_for("gpt-4o")
    asked = Target(0.5, model="gpt-4o", question="who?", protect=())
    assert Bench(Extractive("lead", Lead(), counters), counter).wanted("text", asked) == Wanted(
        "text", TARGET
    )
    assert Bench(Halving(), counter).wanted("text", asked) == Wanted("text", asked)
