"""Of several documents what bears on the question stays: by the paper's equations, within the budget."""

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elision.compressors import document_ranking as ranking
from elision.compressors.base import Outcome, Span, Target
from elision.compressors.causal_lm import CausalLM
from elision.compressors.document_ranking import RESTRICTION, Reorder
from elision.compressors.documents import cut
from elision.compressors.forced import Forced
from elision.compressors.itpc import Reading
from elision.compressors.llmlingua2 import word_bounds
from elision.compressors.longllmlingua import Asked, LongLLMLingua
from elision.compressors.longllmlingua_options import Options
from elision.compressors.protect import find_spans
from elision.compressors.sentence_filter import SentenceFilter
from elision.compressors.shares import Part
from elision.compressors.token_units import Grain
from elision.compressors.tokens import Counters
from elision.compressors.weights import resolve
from fakes.tiny_lm import save_tiny_lm

QUESTION = "Who jumps over the lazy dog?"
DOCUMENTS = [
    "A witness said that the meeting was held late and that reports may be filed by anyone who was there.",
    "The quick brown fox jumps over the lazy dog and it was the best of times for all of them that day.",
    "Weather in the north is cold and dark in winter but the lights of the town are warm and bright too.",
    "He said of the dogs that they jump over foxes when times are best and meetings are held in May.",
    "Anyone may file reports of what the lazy witness said over and over, and most of them were late.",
]
TEXT = "\n\n".join(DOCUMENTS)
MODEL = "gpt-4o"
COUNTERS = Counters()
COUNTER = COUNTERS.counter_for(MODEL)
WORDS = Reading(Grain.WORD, 1000)


@pytest.fixture(scope="module")
def lm(tmp_path_factory: pytest.TempPathFactory) -> CausalLM:
    folder = save_tiny_lm(tmp_path_factory.mktemp("lm"))
    return CausalLM.load(resolve(str(folder), tmp_path_factory.mktemp("cache")))


def bare(text: str) -> set[str]:
    """Return a text's words without marks."""
    return set(re.findall(r"\w+", text))


def target(rate: float, question: str = QUESTION) -> Target:
    return Target(rate=rate, model=MODEL, question=question)


def compressed(lm: CausalLM, options: Options, text: str, rate: float, question: str = QUESTION) -> Outcome:
    [outcome] = LongLLMLingua(lm, options, COUNTERS).compress([text], [target(rate, question)])
    assert outcome.text == "".join(text[span.start : span.end] for span in outcome.kept) or outcome.reason
    return outcome


def plain_order(lm: CausalLM, documents: Sequence[str]) -> list[int]:
    """Return the documents by mean -ln p(question + restriction | document), one at a time."""
    asked = [float(lm.surprisal_plain(QUESTION + RESTRICTION, one).nll.mean()) for one in documents]
    return sorted(range(len(documents)), key=lambda at: asked[at])


def kept_of(text: str, document: str, kept: Sequence[Span]) -> tuple[list[int], list[int]]:
    """Return the numbers of a document's words that stayed, and of those that did not."""
    start = text.index(document)
    flags = [
        any(span.start <= start + a and start + b <= span.end for span in kept)
        for a, b in word_bounds(document).tolist()
    ]
    return [i for i, stays in enumerate(flags) if stays], [i for i, stays in enumerate(flags) if not stays]


def test_documents_stay_and_go_in_the_order_of_the_paper(lm: CausalLM) -> None:
    """Ranked by the question's surprise, those beyond the budget left out, the best first."""
    options = Options(reorder_context=Reorder.SORT, context_budget="+10", reading=WORDS)
    outcome = compressed(lm, options, TEXT, 0.5)
    order = plain_order(lm, DOCUMENTS)
    sizes = [COUNTER.count(one + "\n\n") for one in DOCUMENTS]
    # The one that exceeds the budget stays, those after it do not.
    left, stays = 0.5 * COUNTER.count(TEXT) + 10, []
    for at in order:
        if left > 0:
            stays.append(at)
        left -= sizes[at]
    assert 1 < len(stays) < len(DOCUMENTS)
    found = [one for one in outcome.text.split("\n\n") if one]
    assert len(found) == len(stays)
    for part, at in zip(found, stays, strict=True):
        assert bare(part) <= bare(DOCUMENTS[at])


def test_of_each_document_the_most_contrastive_words_stay(lm: CausalLM) -> None:
    """nll(x | before) - nll(x | question, before), by two whole softmaxes over one segment."""
    options = Options(use_context_level_filter=False, dynamic_context_compression_ratio=0.0, reading=WORDS)
    outcome = compressed(lm, options, TEXT, 0.5)
    alone, after = lm.surprisal_plain(TEXT), lm.surprisal_plain(TEXT, QUESTION + "\n\n")
    contrast = alone.nll - after.nll
    held = find_spans(TEXT)
    compared = 0
    for document in DOCUMENTS:
        start = TEXT.index(document)
        scores = []
        for a, b in (word_bounds(document) + start).tolist():
            own = (alone.offsets[:, 1] > a) & (alone.offsets[:, 0] < b)
            is_held = any(span.start < b and a < span.end for span in held)
            scores.append(np.inf if is_held else float(contrast[own].mean()))
        stays, goes = kept_of(TEXT, document, outcome.kept)
        free = [scores[i] for i in stays if np.isfinite(scores[i])]
        assert goes
        assert min(free) >= max(scores[i] for i in goes) - 1e-3
        compared += len(free)
    assert compared > 20


def test_without_comparison_the_most_surprising_words_stay(lm: CausalLM) -> None:
    """After the question (`_condition`), or by themselves."""
    for condition, prefix in (("none_condition", QUESTION + "\n\n"), ("none", "")):
        options = Options(
            condition_in_question=condition,
            condition_compare=condition == "none",
            use_context_level_filter=False,
            dynamic_context_compression_ratio=0.0,
            reading=WORDS,
        )
        [document] = DOCUMENTS[1:2]
        outcome = compressed(lm, options, document, 0.5)
        told = lm.surprisal_plain(document, prefix)
        scores = [
            float(told.nll[(told.offsets[:, 1] > a) & (told.offsets[:, 0] < b)].mean())
            for a, b in word_bounds(document).tolist()
        ]
        stays, goes = kept_of(document, document, outcome.kept)
        assert min(scores[i] for i in stays) >= max(scores[i] for i in goes) - 1e-3


@pytest.mark.parametrize("delta", [0.0, 0.3, -0.3])
def test_every_document_is_at_its_dynamic_rate(lm: CausalLM, delta: float) -> None:
    """tau + delta (1 - 2 r / (n - 1)), in the model's tokens, to a few words; all keep the budget."""
    texts = [f"{one} {one} {one}" for one in DOCUMENTS]
    text = "\n\n".join(texts)
    options = Options(
        use_context_level_filter=False,
        dynamic_context_compression_ratio=delta,
        reading=WORDS,
    )
    outcome = compressed(lm, options, text, 0.5)
    order = plain_order(lm, texts)
    sizes = [COUNTER.count(one + "\n\n") for one in texts]
    budget = 0.5 * COUNTER.count(text)
    rates = ranking.dynamic_rates([sizes[at] for at in order], budget, ranking.slopes(len(order), delta))
    parts = outcome.text.split("\n\n")
    assert len(parts) == len(texts)
    shares = [lm.count(parts[at]) / lm.count(texts[at]) for at in order]
    assert shares == pytest.approx(rates, abs=0.08)
    assert budget - 4 <= outcome.tokens_after <= budget


@pytest.mark.parametrize("grain", list(Grain))
@pytest.mark.parametrize("reorder", list(Reorder))
@pytest.mark.parametrize("rate", [0.15, 0.33, 0.7])
def test_the_budget_is_exact_in_any_order(lm: CausalLM, grain: Grain, reorder: Reorder, rate: float) -> None:
    """Counted anew in the text that goes, whatever changed places; at most one unit below."""
    options = Options(reorder_context=reorder, reading=Reading(grain, 40))
    outcome = compressed(lm, options, TEXT, rate)
    budget = rate * outcome.tokens_before
    assert outcome.reason == ""
    assert outcome.tokens_before == COUNTER.count(TEXT)
    assert budget - 5 <= outcome.tokens_after <= budget + 1e-9
    assert outcome.tokens_after == COUNTER.count(outcome.text)
    if reorder is Reorder.ORIGINAL:
        assert list(outcome.kept) == sorted(outcome.kept)


def test_what_is_protected_stays_in_every_document_that_stays(lm: CausalLM) -> None:
    """Numbers, addresses and marks of documents; those of documents that are left out go with them."""
    told = [f"Document [{n}]: {one} It cost {n + 3},500 EUR." for n, one in enumerate(DOCUMENTS, 1)]
    text = "Use these documents:\n\n" + "\n\n".join(told) + "\n\nSee https://a.example/b?c=1 for more."
    options = Options(use_context_level_filter=False, reorder_context=Reorder.TWO_STAGE)
    outcome = compressed(lm, options, text, 0.6)
    assert outcome.reason == ""
    for span in find_spans(text):
        assert any(k.start <= span.start and span.end <= k.end for k in outcome.kept)
    for number in range(1, 6):
        assert outcome.text.count(f"Document [{number}]:") == 1
    assert outcome.text.startswith("Use these documents:\n\n")
    filtered = compressed(lm, replace(options, use_context_level_filter=True, context_budget="+0"), text, 0.3)
    stays = [n for n in range(1, 6) if f"Document [{n}]:" in filtered.text]
    assert 0 < len(stays) < 5
    assert [n for n in range(1, 6) if f"{n + 3},500 EUR" in filtered.text] == stays


def test_forced_tokens_stay(lm: CausalLM) -> None:
    """As with every method."""
    method = LongLLMLingua(lm, Options(reading=WORDS), COUNTERS, Forced(("said",), digits=True))
    [outcome] = method.compress([TEXT], [target(0.5)])
    assert outcome.reason == ""
    stay = [one for one in DOCUMENTS if set(one.split()) & set(outcome.text.split("\n\n")[0].split())]
    assert stay
    whole = LongLLMLingua(
        lm, Options(use_context_level_filter=False, reading=WORDS), COUNTERS, Forced(("said",))
    )
    [every] = whole.compress([TEXT], [target(0.4)])
    assert every.text.count("said") == TEXT.count("said")
    assert method.fingerprint != whole.fingerprint


def test_without_a_question_documents_and_words_go_by_their_own_surprise(lm: CausalLM) -> None:
    """As LLMLingua does, in their own order, whatever the options ask for."""
    asking = Options(reorder_context=Reorder.SORT, reading=WORDS)
    outcome = compressed(lm, asking, TEXT, 0.5, question=" ")
    plain = Options("llmlingua", "none", condition_compare=False, reading=WORDS)
    assert outcome.text == compressed(lm, plain, TEXT, 0.5, question="").text
    by_words = replace(asking, rank_method="bm25")
    assert compressed(lm, by_words, TEXT, 0.5, question="").text == outcome.text


def test_documents_can_be_ranked_by_words_alone(lm: CausalLM) -> None:
    """BM25 asks no model; the document that shares most words with the question is first."""
    options = Options("bm25", reorder_context=Reorder.SORT, context_budget="+0", reading=WORDS)
    outcome = compressed(lm, options, TEXT, 0.4)
    assert bare(outcome.text.split("\n\n")[0]) <= bare(DOCUMENTS[1])


def test_whole_documents_can_be_all_that_is_chosen(lm: CausalLM) -> None:
    """`use_token_level_filter: false`."""
    options = Options(use_token_level_filter=False, context_budget="+0")
    outcome = compressed(lm, options, TEXT, 0.4)
    found = outcome.text.split("\n\n")
    assert 0 < len(found) < len(DOCUMENTS)
    assert set(found) <= set(DOCUMENTS)
    assert (outcome.tokens_before, outcome.tokens_after) == (COUNTER.count(TEXT), COUNTER.count(outcome.text))


def test_sentences_can_be_left_out_before_words(lm: CausalLM) -> None:
    """Whole ones alone, or first; what is protected in one that goes stays."""
    one = "The fox was late. It jumps over 14 dogs. He said so. Reports are filed. Nobody came. It rained."
    two = "Anyone may ask. The dog sleeps. Nothing else was said. The night fell over them all in peace."
    text = f"{one}\n\n{two}"
    whole = Options(
        use_token_level_filter=False, sentences=SentenceFilter(token_budget_ratio=1.0), reading=WORDS
    )
    outcome = compressed(lm, replace(whole, use_context_level_filter=False), text, 0.5)
    assert 0 < outcome.tokens_after < 0.8 * outcome.tokens_before
    pieces = [piece.strip(" .") for piece in re.split(r"[.\n]", text) if piece.strip(" .")]
    assert sum(piece in outcome.text for piece in pieces) in range(3, len(pieces))
    torn = [piece for piece in re.split(r"[.\n]", outcome.text) if piece.strip(" .") not in [*pieces, ""]]
    # Of a sentence that goes a number stays, and what says no.
    assert all(re.fullmatch(r" ?(14|Nothing|Nobody)[ \w]*", piece) for piece in torn)
    first = replace(whole, use_token_level_filter=True, use_context_level_filter=False)
    shorter = compressed(lm, first, text, 0.3)
    assert shorter.tokens_after <= 0.3 * shorter.tokens_before
    assert "14" in shorter.text


def test_a_caller_may_say_which_documents_stay_and_how_far_parts_go(lm: CausalLM) -> None:
    """By number, by count, by rates of stretches."""
    method = LongLLMLingua(lm, Options(dynamic_context_compression_ratio=0.0, reading=WORDS), COUNTERS)
    found = cut(TEXT)
    forced = Asked(TEXT, target(0.9), found, force_context_ids=(0,), force_context_number=2, arranges=True)
    [outcome] = method.shorten([forced])
    assert DOCUMENTS[0].split()[0] == outcome.text.split()[0]
    assert len(outcome.text.split("\n\n")) == 2
    parts = (Part(found.documents[0], 1.0), Part(found.documents[1], 0.0))
    asked = Asked(TEXT, target(0.6), found, force_context_ids=tuple(range(5)), parts=parts)
    [told] = method.shorten([asked])
    assert told.text.startswith(DOCUMENTS[0] + "\n\n")
    assert not set(kept_of(TEXT, DOCUMENTS[1], told.kept)[0])
    assert 0.6 * told.tokens_before - 5 <= told.tokens_after <= 0.6 * told.tokens_before


def test_a_text_that_is_short_enough_can_be_put_in_order(lm: CausalLM) -> None:
    """Where the caller says so; in a policy it stays as it is."""
    method = LongLLMLingua(lm, Options(reorder_context=Reorder.SORT), COUNTERS)
    order = plain_order(lm, DOCUMENTS)
    [moved, left] = method.shorten(
        [Asked(TEXT, target(1.0), arranges=True), Asked(TEXT, target(1.0), arranges=False)]
    )
    assert moved.text == "\n\n".join(DOCUMENTS[at] for at in order)
    assert "".join(TEXT[span.start : span.end] for span in moved.kept) == moved.text
    assert (left.text, left.reason) == (TEXT, "within_target")


def test_the_instruction_is_read_with_the_question(lm: CausalLM) -> None:
    """By words that are read after it, and by none that are not."""
    for condition, differs in (("after_condition", True), ("after", False)):
        method = LongLLMLingua(lm, Options(condition_in_question=condition, reading=WORDS), COUNTERS)
        plain, told = method.shorten(
            [Asked(TEXT, target(0.5)), Asked(TEXT, target(0.5), instruction="Answer in one word, he said.")]
        )
        assert (plain.text != told.text) is differs


def test_texts_compressed_together_are_as_alone(lm: CausalLM) -> None:
    """Those with a question, those without, those that are left as they are."""
    method = LongLLMLingua(
        lm, Options(reorder_context=Reorder.SORT, reading=Reading(Grain.WORD, 30)), COUNTERS
    )
    texts = [TEXT, DOCUMENTS[2], "short", TEXT + "\n\n" + DOCUMENTS[0], TEXT]
    targets = [target(0.5), target(0.4), target(0.5), target(0.3), target(0.5, "")]
    together = method.compress(texts, targets)
    alone = [method.compress([text], [one])[0] for text, one in zip(texts, targets, strict=True)]
    assert [one.text for one in together] == [one.text for one in alone]
    assert together[0].text != together[4].text


@pytest.mark.parametrize(
    ("text", "told", "reason"),
    [
        ("A fox.", Target(rate=0.5), "too_short"),
        (TEXT, Target(rate=1.0), "within_target"),
        (TEXT, Target(), "no_target"),
        ("", Target(rate=0.5), "too_short"),
        ("`" + "a" * 300 + "`\n", Target(tokens=5), "not_shorter"),
    ],
)
def test_what_cannot_be_shortened_stays_with_a_reason(
    lm: CausalLM, text: str, told: Target, reason: str
) -> None:
    """The words that every method says."""
    [outcome] = LongLLMLingua(lm, Options(), COUNTERS).compress([text], [told])
    assert (outcome.text, outcome.kept, outcome.reason) == (text, (), reason)


PIECES = st.lists(
    st.sampled_from(
        [
            "\n\n",
            "fox 14 km. ",
            "[1] ",
            "[2] ",
            "漢字かな。",
            "not late ",
            "{x: 1}",
            "👩‍👩‍👧 ",
            "the dog jumps ",
            "\n",
        ]
    ),
    min_size=12,
    max_size=40,
).map("".join)


@settings(max_examples=30)
@given(PIECES, st.sampled_from([0.2, 0.5, 0.8]), st.sampled_from(list(Reorder)))
def test_any_text_comes_out_as_slices_of_itself(lm: CausalLM, text: str, rate: float, how: Reorder) -> None:
    """Never longer, each stretch at most once, nothing protected torn."""
    outcome = compressed(
        lm, Options(reorder_context=how, context_budget="+5"), text, rate, "Which dog is it?"
    )
    assert outcome.tokens_after <= outcome.tokens_before
    if outcome.reason:
        assert outcome.text == text
        return
    taken = sorted(outcome.kept)
    assert all(a.end <= b.start for a, b in pairwise(taken))
    for span in find_spans(text):
        touched = [k for k in taken if k.start < span.end and span.start < k.end]
        inner = text[span.start : span.end].strip()
        assert not touched or any(inner in text[k.start : k.end] for k in touched) or not inner


def test_options_are_read_and_told_apart(lm: CausalLM) -> None:
    """A cache key that forgot an option would answer with another's outcome."""
    every = [
        Options(),
        Options("bm25"),
        Options(condition_in_question="before"),
        Options(condition_compare=False),
        Options(reorder_context=Reorder.SORT),
        Options(dynamic_context_compression_ratio=0.4),
        Options(context_budget="*2"),
        Options(use_context_level_filter=False),
        Options(use_token_level_filter=False),
        Options(sentences=SentenceFilter()),
        Options(reading=Reading(Grain.WORD, 100)),
        Options(reading=Reading(Grain.TOKEN)),
    ]
    prints = {LongLLMLingua(lm, one, COUNTERS).fingerprint for one in every}
    assert len(prints) == len(every)
    assert all(lm.checksum[:16] in one for one in prints)
