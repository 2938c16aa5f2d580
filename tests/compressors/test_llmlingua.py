"""LLMLingua keeps every promise of an extractive method, and the paper's shape: contexts, then tokens."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elision.compressors.base import Demand, Identity, Job, Method, OptionValue, Span, Target, TargetedScorer
from elision.compressors.causal_lm import CausalLM
from elision.compressors.engine import Engine
from elision.compressors.errors import BadOption
from elision.compressors.extractive import Extractive
from elision.compressors.forced import Forced
from elision.compressors.itpc import Kv, Reading
from elision.compressors.llmlingua import NAME, Coarse, LLMLingua, Options, keep_contexts
from elision.compressors.protect import find_spans
from elision.compressors.sentence_filter import SentenceFilter
from elision.compressors.token_units import Grain
from elision.compressors.tokens import Counters
from elision.compressors.units import sentences
from elision.compressors.weights import resolve
from fakes.tiny_lm import save_tiny_lm

SENTENCES = (
    "The quick brown fox was late, he said to nobody in particular. ",
    "A witness thinks that meetings of 12 May 1987 were not held in Geneva. ",
    "日本語の文もあります。 ",
    "See https://example.org/a/b?c=1 and `code` for 3.5 percent of reports. ",
    "Ünïcödé 👩‍👩‍👧 and ภาษาไทย stand here.\n\n",
)
GONE = -1e5
PROSE = "".join(SENTENCES) * 3


@pytest.fixture(scope="module")
def lm(tmp_path_factory: pytest.TempPathFactory) -> CausalLM:
    folder = save_tiny_lm(tmp_path_factory.mktemp("lm"))
    return CausalLM.load(resolve(str(folder), tmp_path_factory.mktemp("cache")))


def options(filters: bool = False, budget: str = "*2", **reading: object) -> Options:
    return Options(Reading(**reading), filters, budget)  # type: ignore[arg-type]


def method(lm: CausalLM, told: Options, forced: Forced | None = None) -> Extractive:
    return Extractive(NAME, LLMLingua(lm, told), Counters(), forced)


@settings(max_examples=25)
@given(
    st.lists(st.sampled_from(SENTENCES), min_size=3, max_size=14),
    st.floats(0.1, 0.95),
    st.builds(
        options,
        st.booleans(),
        level=st.sampled_from(list(Grain)),
        kv=st.sampled_from(list(Kv)),
        iterative_size=st.just(24),
    ),
)
def test_the_promises_hold(lm: CausalLM, parts: list[str], rate: float, told: Options) -> None:
    """Slices of the original, what is protected whole, no more than asked but for that, counted exactly."""
    text = "".join(parts)
    [outcome] = method(lm, told).compress([text], [Target(rate=rate, model="gpt-4o")])
    counter = Counters().counter_for("gpt-4o")
    assert outcome.tokens_after == counter.count(outcome.text) <= outcome.tokens_before
    if outcome.reason:
        assert outcome.text == text
        return
    assert outcome.text == "".join(text[span.start : span.end] for span in outcome.kept)
    held = find_spans(text)
    for span in held:
        assert text[span.start : span.end].strip() in outcome.text
    least = sum(counter.count(text[span.start : span.end]) for span in held)
    # A unit costs at most what a cluster of emoji does.
    assert outcome.tokens_after <= max(rate * outcome.tokens_before, 2.5 * least + 8)


@pytest.mark.parametrize("rate", [0.2, 0.35, 0.5, 0.8])
@pytest.mark.parametrize("kv", list(Kv))
def test_the_share_is_exact_and_even_over_the_text(lm: CausalLM, rate: float, kv: Kv) -> None:
    """Within one unit of what was asked; each fifth of the text keeps about its share, the last too."""
    text = "A witness said that the meeting of late reports was held by anyone in Geneva, he said. " * 12
    made = method(lm, options(kv=kv, iterative_size=50))
    [outcome] = made.compress([text], [Target(rate=rate, model="gpt-4o", protect=())])
    assert rate * outcome.tokens_before - 2 <= outcome.tokens_after <= rate * outcome.tokens_before
    kept = np.zeros(len(text), bool)
    for span in outcome.kept:
        kept[span.start : span.end] = True
    shares = [part.mean() for part in np.array_split(kept, 5)]
    assert max(shares) - min(shares) < 0.25


def test_a_short_text_is_compressed_too(lm: CausalLM) -> None:
    """The reference leaves texts of less than a segment, and each text's tail, as they are."""
    text = "A witness said that the meeting of late reports was held by anyone in Geneva."
    [outcome] = method(lm, options()).compress([text], [Target(rate=0.5, model="gpt-4o")])
    assert outcome.reason == ""
    assert outcome.tokens_after <= 0.5 * outcome.tokens_before


def test_forced_tokens_and_digits_stay(lm: CausalLM) -> None:
    """They are known before tokens are chosen, and paid for."""
    made = method(lm, options(iterative_size=24), Forced(("fox", "\n\n"), digits=True))
    [outcome] = made.compress([PROSE], [Target(rate=0.5, model="gpt-4o", protect=())])
    assert outcome.text.count("fox") == PROSE.count("fox")
    assert outcome.text.count("\n\n") == PROSE.count("\n\n")
    assert outcome.text.count("1987") == PROSE.count("1987")
    assert outcome.tokens_after <= 0.5 * outcome.tokens_before


def test_texts_of_one_call_come_out_as_each_alone(lm: CausalLM) -> None:
    """Company changes nothing; equal texts with unlike targets are unlike."""
    made = method(lm, options(iterative_size=24))
    targets = [Target(rate=0.5), Target(rate=0.3), Target(rate=0.7), Target(tokens=140)]
    texts = [PROSE, PROSE, PROSE[:300], PROSE]
    together = made.compress(texts, targets)
    alone = [made.compress([text], [target])[0] for text, target in zip(texts, targets, strict=True)]
    assert together == alone
    assert len({outcome.text for outcome in together}) == 4


def test_scores_are_not_kept_for_another_rate(lm: CausalLM) -> None:
    """What a text keeps depends on its target: no scorer's name in the identity, no packed scores."""
    made = method(lm, options())
    assert isinstance(made.scorer, TargetedScorer)
    assert made.identity == Identity(made.fingerprint, "", reads_question=False)
    [result] = made.compress_known([PROSE], [Target(rate=0.5)], [b""])
    assert result.scores == b""
    assert result.outcome.reason == ""


def test_contexts_that_are_least_perplexing_go_first() -> None:
    """They stay until the budget is reached, the last may exceed it; the rest share the target."""
    nlls = [np.full(10, mean) for mean in (1.0, 3.0, 2.0, 4.0, 0.5)]
    assert keep_contexts(nlls, 0.2, "*2") == [0.0, 0.5, 0.0, 0.5, 0.0]
    assert keep_contexts(nlls, 0.25, "*2") == [0.0, 12.5 / 30, 12.5 / 30, 12.5 / 30, 0.0]
    assert keep_contexts(nlls, 0.2, "-50") == [0.0, 0.0, 0.0, 1.0, 0.0]
    assert keep_contexts(nlls, 0.2, "+100") == [0.2] * 5
    assert keep_contexts([np.zeros(0), np.ones(4)], 0.5, "*2") == [0.0, 0.5]


def test_whole_contexts_go_but_for_what_is_protected(lm: CausalLM) -> None:
    """At a low rate most contexts lose all, save numbers and links; at a half nothing is left out."""
    contexts = [
        f"Context about foxes and dogs {word} with report 12{i}.\n\n" for i, word in enumerate("abcdefgh")
    ]
    text = "".join(contexts)
    scorer = LLMLingua(lm, options(filters=True))
    means = [one.nll.mean() for one in lm.surprisal(contexts)]
    [units] = scorer.score_for([text], [""], [Demand(0.25)])
    kept = units.bounds[units.importance > GONE, 0]
    staying = {int(at) // len(contexts[0]) for at in kept}
    assert len(staying) in (4, 5)
    assert staying == set(np.argsort([-mean for mean in means], kind="stable")[: len(staying)].tolist())
    [half] = scorer.score_for([text], [""], [Demand(0.5)])
    assert {int(at) // len(contexts[0]) for at in half.bounds[half.importance > GONE, 0]} == set(range(8))
    [outcome] = method(lm, options(filters=True)).compress([text], [Target(rate=0.4, model="gpt-4o")])
    assert all(f"12{i}" in outcome.text for i in range(8))


def test_a_budget_in_tokens_is_one_of_tokens(lm: CausalLM) -> None:
    """`+100` leaves contexts out of a text that is longer than its target by more than that."""
    contexts = [f"Context {word} is about foxes, dogs and meetings of a witness.\n\n" for word in "abcdefgh"]
    text = "".join(contexts) * 4
    total = lm.count(text)
    assert total > 300
    [units] = LLMLingua(lm, options(filters=True, budget="+20")).score_for([text], [""], [Demand(0.3)])
    staying = {int(at) // len(contexts[0]) for at in units.bounds[units.importance > GONE, 0]}
    assert (0.3 * total + 20) / total * 32 - 1 <= len(staying) <= (0.3 * total + 20) / total * 32 + 2
    [units] = LLMLingua(lm, options(filters=True, budget=f"+{total}")).score_for([text], [""], [Demand(0.3)])
    assert len({int(at) // len(contexts[0]) for at in units.bounds[units.importance > GONE, 0]}) == 32


def test_whole_sentences_go_first_where_that_is_asked(lm: CausalLM) -> None:
    """Down to the ratio of the target, the least surprising first; the first one is preferred."""
    text = "".join(f"Sentence {word} is about a fox and a dog of some kind. " for word in "abcdefghijkl")
    told = SentenceFilter(keep_first_sentence=1, token_budget_ratio=1.2)
    scorer = LLMLingua(lm, replace(options(), sentences=told))
    [units] = scorer.score_for([text], [""], [Demand(0.3)])
    found = sentences(text)
    means = [one.nll.mean() for one in lm.surprisal([text[a:b] for a, b in found.tolist()])]
    wanted, left = set(), 0.36 * lm.count(text)
    for at in [0, *(int(at) for at in np.argsort([-one for one in means], kind="stable") if at)]:
        if left > 0:
            wanted.add(at)
            left -= lm.count(text[slice(*found[at])])
    kept = units.bounds[units.importance > GONE, 0]
    assert set((np.searchsorted(found[:, 0], kept, side="right") - 1).tolist()) == wanted
    assert scorer.fingerprint != LLMLingua(lm, options()).fingerprint
    [outcome] = method(lm, replace(options(filters=True), sentences=told)).compress(
        [PROSE], [Target(rate=0.4, model="gpt-4o")]
    )
    assert outcome.reason == ""
    assert all(PROSE[span.start : span.end].strip() in outcome.text for span in find_spans(PROSE))


def coarse(lm: CausalLM, told: Options, forced: Forced | None = None) -> Coarse:
    return Coarse(LLMLingua(lm, replace(told, words=False)), Counters(), forced)


def test_contexts_go_whole_and_words_never_where_that_is_asked(lm: CausalLM) -> None:
    """`use_token_level_filter: false`: the same contexts go as otherwise, of the others nothing does."""
    contexts = [f"Document [{at}]:\n{SENTENCES[at % 2] * 2}\n\n" for at in range(8)]
    text = "".join(contexts)
    told = options(filters=True, budget="+0")
    [pieces] = LLMLingua(lm, told).pieces([text], [Demand(0.5)])
    made = coarse(lm, told)
    [outcome] = made.compress([text], [Target(rate=0.5, protect=())])
    staying = [
        text[one.start : one.end] for one, rate in zip(pieces.spans, pieces.rates, strict=True) if rate > 0
    ]
    assert outcome.text.split() == "".join(staying).split()
    assert 0 < len(staying) < len(contexts)
    assert outcome.text == "".join(text[span.start : span.end] for span in outcome.kept)
    assert outcome.tokens_after == Counters().counter_for("").count(outcome.text) < outcome.tokens_before
    assert made.fingerprint != method(lm, told).fingerprint
    assert coarse(lm, replace(told, context_budget="*2")).fingerprint != made.fingerprint


def test_sentences_go_whole_and_words_never_where_that_is_asked(lm: CausalLM) -> None:
    """What is protected or forced stays of a sentence that goes."""
    told = replace(options(), sentences=SentenceFilter(token_budget_ratio=1.0))
    [outcome] = coarse(lm, told, Forced(("witness",))).compress([PROSE], [Target(rate=0.4, model="gpt-4o")])
    assert outcome.reason == ""
    assert outcome.text.count("witness") == PROSE.count("witness")
    assert all(PROSE[span.start : span.end].strip() in outcome.text for span in find_spans(PROSE))
    whole = [PROSE[a:b].strip() for a, b in sentences(PROSE).tolist()]
    [plain] = coarse(lm, told).compress(["".join(SENTENCES[:2]) * 3], [Target(rate=0.4, protect=())])
    left = plain.text
    for sentence in sorted(set(whole), key=len, reverse=True):
        left = left.replace(sentence, "")
    assert plain.reason == ""
    assert not left.strip()


def test_where_no_context_goes_the_original_does(lm: CausalLM) -> None:
    """Nor without a target, nor within it."""
    targets = [Target(rate=0.5), Target(), Target(tokens=10_000)]
    found = coarse(lm, options()).compress([PROSE] * 3, targets)
    assert [one.reason for one in found] == ["not_shorter", "no_target", "within_target"]
    assert all(one.text == PROSE for one in found)


def test_held_spans_come_first(lm: CausalLM) -> None:
    """Whatever the model thinks of them."""
    [units] = LLMLingua(lm, options()).score_for([PROSE], [""], [Demand(0.3, (Span(10, 40),))])
    touched = (units.bounds[:, 0] < 40) & (units.bounds[:, 1] > 10)
    assert (units.importance[touched] == 0).all()


def test_without_a_target_units_have_their_own_surprise(lm: CausalLM) -> None:
    """What ranks whole contexts: the mean of the units is near the mean of the tokens."""
    [units] = LLMLingua(lm, options()).score([SENTENCES[0]], [""])
    assert units.importance.mean() == pytest.approx(
        lm.surprisal_plain(SENTENCES[0].strip()).nll.mean(), rel=0.2
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"iterative_size": 0},
        {"context_budget": "__import__('os')"},
        {"context_budget": "100"},
        {"level": "phrase"},
        {"kv": "none"},
        {"iterativ_size": 100},
        {"rank_method": "bm25"},
        {"use_sentence_level_filter": True, "token_budget_ratio": 0.0},
    ],
)
def test_wrong_options_are_refused(tmp_path: Path, wrong: dict[str, OptionValue]) -> None:
    """By name and value; a budget is read, never run."""
    told = {"weights": str(save_tiny_lm(tmp_path)), **wrong}
    with pytest.raises(BadOption):
        Engine(Counters()).compressor(Method(NAME, tuple(sorted(told.items()))))


def test_it_is_a_method_of_the_engine(tmp_path: Path) -> None:
    """Fingerprints tell options apart; jobs of one call share the model."""
    weights = str(save_tiny_lm(tmp_path))
    engine = Engine(Counters())
    methods = [Method(NAME, (("kv", kv), ("weights", weights))) for kv in ("exact", "fast")]
    assert len({engine.prepare(one).fingerprint for one in methods}) == 2
    outcomes = engine.run([Job(PROSE, one, Target(rate=0.5)) for one in methods])
    assert [outcome.reason for outcome in outcomes] == ["", ""]


@pytest.mark.parametrize("budget", ["+1234567", "*1000000", "*0.000001", "/123456.789"])
def test_a_budget_of_any_size_is_read_as_it_was_written(lm: CausalLM, budget: str) -> None:
    """Not rounded, nor written so that nobody can read it again when a text comes."""
    told: dict[str, OptionValue] = {
        "level": "word",
        "iterative_size": 200,
        "kv": "exact",
        "use_context_level_filter": True,
        "use_sentence_level_filter": False,
        "use_token_level_filter": True,
        "context_budget": budget,
    }
    read = Options.read(told)
    assert read.context_budget == budget
    [outcome] = method(lm, read).compress([PROSE], [Target(rate=0.5, model="gpt-4o")])
    assert outcome.reason == ""
