"""What is generated is the model's own, in whole characters, and ends where it should."""

from pathlib import Path

import pytest

from elision.compressors.causal_lm import CausalLM
from elision.compressors.errors import PromptTooLong
from elision.compressors.generation import Sampling, Writer
from elision.compressors.weights import resolve
from fakes.tiny_lm import save_tiny_lm

HELLO = [{"role": "user", "content": "Hello, what is this?"}]


@pytest.fixture(scope="module")
def lm(tmp_path_factory: pytest.TempPathFactory) -> CausalLM:
    folder = save_tiny_lm(tmp_path_factory.mktemp("lm"))
    return CausalLM.load(resolve(str(folder), tmp_path_factory.mktemp("cache")))


def test_greedy_generation_follows_the_likeliest_tokens(lm: CausalLM) -> None:
    """The cached, streamed answer is what repeated full passes give."""
    answer = Writer(lm).generate(HELLO, Sampling(max_tokens=12))
    text = "".join(answer)
    ids = lm.encode_prompt(HELLO)
    start = len(ids)
    while len(ids) < start + answer.completion_tokens:
        logits, _ = lm.step(ids, None)
        ids.append(int(logits.argmax()))
    assert lm.decode(ids[start:]) == text
    assert answer.finish_reason in ("stop", "length")
    assert answer.prompt_tokens == Writer(lm).count_prompt(HELLO) == start


def test_equal_seeds_give_equal_texts(lm: CausalLM) -> None:
    """Sampling has its own source of chance; two seeds differ, one does not."""

    def sample(seed: int) -> str:
        return "".join(Writer(lm).generate(HELLO, Sampling(30, temperature=1.0, top_p=0.9, seed=seed)))

    assert sample(1) == sample(1)
    assert sample(1) != sample(2)


def test_streamed_pieces_are_whole_characters(lm: CausalLM) -> None:
    """Random bytes from a random model never show half a character before the end."""
    for seed in range(5):
        pieces = list(Writer(lm).generate(HELLO, Sampling(40, temperature=3.0, seed=seed)))
        whole = "".join(pieces)
        assert all(not piece.endswith("\ufffd") for piece in pieces[:-1])
        again = Writer(lm).generate(HELLO, Sampling(40, temperature=3.0, seed=seed))
        list(again)
        assert whole == lm.decode(again.ids)


def test_a_stop_string_ends_the_answer_before_itself(lm: CausalLM) -> None:
    """Nothing of the stop string is given out, even where it comes in several pieces."""
    whole = "".join(Writer(lm).generate(HELLO, Sampling(30)))
    stop = whole[5:9]
    answer = Writer(lm).generate(HELLO, Sampling(30, stop=(stop,)))
    assert "".join(answer) == whole[: whole.find(stop)]
    assert answer.finish_reason == "stop"


def test_closing_stops_generation(lm: CausalLM) -> None:
    """A client that leaves costs no further tokens."""
    answer = Writer(lm).generate(HELLO, Sampling(200))
    next(answer)
    done = answer.completion_tokens
    answer.close()
    assert list(answer) == []
    assert answer.completion_tokens == done
    assert answer.finish_reason == ""


def test_max_tokens_ends_with_length(lm: CausalLM) -> None:
    """The budget is kept to the token."""
    answer = Writer(lm).generate(HELLO, Sampling(max_tokens=1))
    list(answer)
    assert answer.completion_tokens == 1
    assert answer.finish_reason in ("length", "stop")


def test_a_prompt_that_fills_the_window_is_refused(tmp_path: Path) -> None:
    """The message says how long the prompt is and how long it may be."""
    lm = CausalLM.load(resolve(str(save_tiny_lm(tmp_path / "m", window=16)), tmp_path / "c"))
    with pytest.raises(PromptTooLong, match="reads 16"):
        Writer(lm).generate([{"role": "user", "content": "fox " * 50}])
