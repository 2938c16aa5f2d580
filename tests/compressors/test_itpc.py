"""ITPC keeps the most surprising of each segment, given what stayed before: as a slow oracle says it."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elision.compressors.base import Span, Units
from elision.compressors.causal_lm import CausalLM
from elision.compressors.itpc import Itpc, Kv, Parcel, Reading, choose, parcels, quotas
from elision.compressors.token_units import Grain, cut_units
from elision.compressors.weights import resolve
from fakes.tiny_lm import FAMILIES, save_tiny_lm
from fakes.watched_lm import WatchedLM

PROSE = (
    "A witness said that the meeting of 12 May 1987 was not held in Geneva. Reports may be filed by "
    "anyone; some of them were late, he said. The quick brown fox jumps over the lazy dog, and nobody "
    "saw it happen there.\n\nIt was the best of times, it was the worst of times, it was late. "
)
# Of words that the tiny tokenizer knows, each with its space: every token is a unit.
WORDS = " " + " ".join(
    f"{one} {other} of the {third}"
    for one in ("fox", "meeting", "dog", "witness")
    for other, third in (
        ("was", "lazy"),
        ("that", "best"),
        ("by", "quick"),
        ("were", "times"),
        ("said", "late"),
    )
)
SCRIPTS = "né 🎉👩‍👩‍👧 日本語の文。 fox\n\n\tภาษาไทย नमस्ते  end. "


@pytest.fixture(scope="module", params=FAMILIES)
def lm(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> CausalLM:
    folder = save_tiny_lm(tmp_path_factory.mktemp("lm"), family=request.param)
    return CausalLM.load(resolve(str(folder), tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> CausalLM:
    folder = save_tiny_lm(tmp_path_factory.mktemp("lm"))
    return CausalLM.load(resolve(str(folder), tmp_path_factory.mktemp("cache")))


def plain_nll(lm: CausalLM, before: list[int], ids: list[int]) -> list[float]:
    """Read everything anew, from BOS."""
    whole = np.asarray([before + ids], np.int64)
    hidden = lm.run(whole, np.arange(whole.shape[1])[None], None, None)[0]
    return [float(one) for one in lm.nll(hidden[len(before) - 1 : -1], np.asarray(ids, np.int64))]


def oracle(
    lm: CausalLM, text: str, rate: float, size: int, *, prefix: str = "", contrast: bool = False
) -> list[bool]:
    """LLMLingua's algorithm 2, for texts of which each token is a unit of its own."""
    [tokens] = lm.tokenise([text])
    kept: list[int] = []
    flags: list[bool] = []
    for at in range(0, len(tokens.ids), size):
        segment = tokens.ids[at : at + size]
        nll = plain_nll(lm, lm.head(prefix) + kept, segment)
        if contrast:
            bare = plain_nll(lm, lm.head("") + kept, segment)
            nll = [without - with_ for without, with_ in zip(bare, nll, strict=True)]
        quota = int(rate * (at + len(segment)) + 0.5 + 1e-9) - len(kept)
        best = sorted(range(len(segment)), key=lambda i: (-nll[i], i))[:quota]
        flags += [i in best for i in range(len(segment))]
        kept += [segment[i] for i in sorted(best)]
    return flags


def kept_of(units: Units) -> list[bool]:
    return [bool(one >= -1) for one in units.importance]


@pytest.mark.parametrize(("rate", "prefix"), [(0.2, ""), (0.77, ""), (0.5, "Who was late?")])
def test_what_stays_is_what_the_paper_says(lm: CausalLM, rate: float, prefix: str) -> None:
    """Exact memory: every segment after what stayed before it, as if all of that were read anew."""
    [units] = Itpc(lm, Reading(iterative_size=16)).weigh([WORDS], [prefix], [[rate]])
    assert len(units.bounds) == lm.count(WORDS)
    assert kept_of(units) == oracle(lm, WORDS, rate, 16, prefix=prefix)


def test_what_stays_after_a_question_is_what_the_question_makes_likelier(lm: CausalLM) -> None:
    """Contrast: nll without the prefix less nll with it, both after what stayed by contrast."""
    [units] = Itpc(lm, Reading(iterative_size=16)).weigh([WORDS], ["Who was late?"], [[0.5]], contrast=True)
    assert kept_of(units) == oracle(lm, WORDS, 0.5, 16, prefix="Who was late?", contrast=True)


def test_the_mask_follows_each_tokens_own_surprisal(lm: CausalLM) -> None:
    """What stays is what was surprising itself, not what stands before it (the reference's off-by-one)."""
    [units] = Itpc(lm, Reading(iterative_size=len(WORDS))).weigh([WORDS], [""], [[0.5]])
    surprise = lm.surprisal_plain(WORDS).nll
    kept = np.asarray(kept_of(units), float)
    own = np.corrcoef(kept, surprise)[0, 1]
    next_ = np.corrcoef(kept[:-1], surprise[1:])[0, 1]
    assert own > 0.6
    assert abs(next_) < 0.4


def test_fast_memory_keeps_what_was_read_where_it_was_read(lm: CausalLM) -> None:
    """The first segment is chosen alike; the second after cells that have seen the whole first."""
    [tokens] = lm.tokenise([WORDS])
    [units] = Itpc(lm, Reading(iterative_size=16, kv=Kv.FAST)).weigh([WORDS], [""], [[0.5]])
    expected = oracle(lm, WORDS, 0.5, 16)
    assert kept_of(units)[:16] == expected[:16]
    assert sum(kept_of(units)) == sum(expected)
    [whole] = Itpc(lm, Reading(iterative_size=16, kv=Kv.FAST)).weigh([WORDS], [""], [[1.0]])
    assert kept_of(whole) == [True] * len(tokens.ids)


@pytest.mark.parametrize(("kv", "contrast"), [(Kv.EXACT, False), (Kv.EXACT, True), (Kv.FAST, True)])
def test_company_does_not_change_the_choice(lm: CausalLM, kv: Kv, contrast: bool) -> None:
    """Texts of unlike lengths read together, some with a prefix: each as alone."""
    texts = [WORDS, SCRIPTS * 3, "A fox.", "", PROSE, " ", WORDS[:90]]
    prefixes = ["", "Who?", "Who was late?", "", "Where?", "x", "Who was late?"]
    rates = [[0.3], [0.5], [0.9], [0.5], [0.4], [0.5], [0.5]]
    reading = Reading(iterative_size=16, kv=kv)
    together = Itpc(lm, reading, batch_rows=4).weigh(texts, prefixes, rates, contrast=contrast)
    for i, units in enumerate(together):
        [alone] = Itpc(lm, reading, batch_rows=1).weigh(
            texts[i : i + 1], prefixes[i : i + 1], rates[i : i + 1], contrast=contrast
        )
        assert np.array_equal(alone.bounds, units.bounds)
        assert kept_of(alone) == kept_of(units)


@pytest.mark.parametrize("kv", list(Kv))
def test_texts_beyond_the_models_positions_are_read_to_their_end(tmp_path: Path, kv: Kv) -> None:
    """What stayed first is forgotten, BOS and prefix are not; quotas are kept all the same."""
    folder = save_tiny_lm(tmp_path / "m", window=64, family="gpt2")
    lm = CausalLM.load(resolve(str(folder), tmp_path / "c"))
    text = WORDS * 6
    [units] = Itpc(lm, Reading(kv=kv)).weigh([text], ["Who was late?"], [[0.6]])
    kept = np.asarray(kept_of(units))
    assert len(kept) == lm.count(text) > 256
    assert kept.sum() == int(0.6 * len(kept) + 0.5)
    for at in range(0, len(kept) - 16, 16):
        assert abs(kept[at : at + 16].sum() - 9.6) <= 1


@pytest.mark.parametrize("kv", list(Kv))
@pytest.mark.parametrize(
    "text",
    [
        WORDS * 2,
        WORDS * 12,
        # One unit each, longer than all that the model reads.
        f"{WORDS}e{chr(0x301) * 300}{WORDS}",
        WORDS + " \t" * 300 + WORDS,
    ],
    ids=["long", "longer", "marks", "blanks"],
)
def test_memory_does_not_grow_with_the_text(tmp_path: Path, kv: Kv, text: str) -> None:
    """What is remembered and read at once is within the limit, however long a text or a unit is."""
    folder = save_tiny_lm(tmp_path / "m", window=64, family="gpt2")
    lm = WatchedLM.load(resolve(str(folder), tmp_path / "c"))
    assert isinstance(lm, WatchedLM)
    assert lm.count(text) > 2 * 64
    [units] = Itpc(lm, Reading(kv=kv)).weigh([text], ["Who was late?"], [[0.6]], contrast=True)
    assert max(lm.sights) <= 64
    assert max(lm.logits) <= 128
    assert 0 < sum(kept_of(units)) < len(units.importance)


@given(
    st.lists(st.tuples(st.integers(1, 40), st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=12),
)
def test_quotas_add_up_to_what_was_asked(shape: list[tuple[int, float, float]]) -> None:
    """Nobody gets less than is held, nobody more than its own rate unless that is held."""
    sizes = np.asarray([size for size, _, _ in shape])
    rates = np.asarray([rate for _, rate, _ in shape])
    held = np.asarray([int(size * share) for size, _, share in shape])
    found = quotas(sizes, rates, held)
    asked = sizes * rates
    assert (found >= held).all()
    assert (found <= np.maximum(held, asked) + 1e-9).all()
    assert found.sum() == pytest.approx(max(asked.sum(), held.sum()))


@given(
    st.lists(st.tuples(st.floats(0, 9), st.integers(1, 4), st.booleans()), min_size=1, max_size=20),
    st.integers(0, 50),
)
def test_a_choice_keeps_what_is_held_and_the_best(units: list[tuple[float, int, bool]], quota: int) -> None:
    """Within half a unit of the quota; places rise with rank; what stays has a place of at most 1."""
    scores = np.asarray([score for score, _, _ in units])
    costs = np.asarray([cost for _, cost, _ in units])
    held = np.asarray([flag for _, _, flag in units])
    found = choose(scores, costs, held, quota)
    assert found.keep[held].all()
    assert ((found.place <= 1) == found.keep).all()
    free = ~held
    if (found.keep & free).any() and (~found.keep).any():
        assert scores[found.keep & free].min() >= scores[~found.keep].max()
        spent = costs[found.keep].sum()
        assert abs(spent - quota) <= costs.max() / 2 + 0.5 or spent < quota == costs.sum()


def test_segments_end_at_their_size_and_quotas_at_pieces(llama: CausalLM) -> None:
    """A unit of more tokens than a segment is one by itself; pieces part a segment's quota."""
    [tokens] = llama.tokenise([WORDS])
    cut = cut_units(WORDS, tokens.offsets, Grain.TOKEN)
    middle = int(cut.bounds[20, 0])
    pieces = [Span(0, middle), Span(middle, len(WORDS))]
    found = parcels(cut, 16, pieces, [0.2, 0.8])
    assert found[:4] == [
        Parcel(0, 0, 16, 0.2),
        Parcel(1, 16, 20, 0.2),
        Parcel(1, 20, 32, 0.8),
        Parcel(2, 32, 48, 0.8),
    ]
    assert [one.start for one in found[1:]] == [one.end for one in found[:-1]]
    assert found[-1].end == len(cut.bounds)
    assert [one.segment for one in parcels(cut, 1, pieces, [0.2, 0.8])] == list(range(len(cut.bounds)))


def test_pieces_have_their_rates_and_what_is_held_is_paid_for(llama: CausalLM) -> None:
    """A piece of rate 0 goes but for what is held in it; the sum stays what was asked."""
    [tokens] = llama.tokenise([WORDS])
    cut = cut_units(WORDS, tokens.offsets, Grain.TOKEN).bounds
    middle, end = int(cut[40, 0]), len(WORDS)
    held = [Span(int(cut[3, 0]), int(cut[5, 1])), Span(int(cut[60, 0]), int(cut[69, 1]))]
    [units] = Itpc(llama, Reading(iterative_size=16)).weigh(
        [WORDS], [""], [[0.0, 0.5]], pieces=[[Span(0, middle), Span(middle, end)]], held=[held]
    )
    kept = np.asarray(kept_of(units))
    assert kept[:40].tolist() == [3 <= i <= 5 for i in range(40)]
    assert kept[60:70].all()
    assert kept.sum() == int(0.5 * (len(cut) - 40) + 0.5)
    assert units.importance[:3].max() < units.importance[40:].min()
