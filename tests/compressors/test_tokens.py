"""Tokens are counted as the target model does, offline, or marked as an estimate."""

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiktoken
from hypothesis import given, settings
from hypothesis import strategies as st
from tiktoken_ext import openai_public  # type: ignore[import-untyped]

from elision.compressors.errors import WeightsMissing
from elision.compressors.tokens import Counters, OpenAICounter, load_default, read_ranks
from fakes.tiny_lm import save_tiny_lm

# What tiktoken expects of the files that it downloads.
PUBLISHED = {
    "o200k_base": "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
    "cl100k_base": "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
}
COUNTERS = Counters()


@pytest.mark.parametrize("encoding", PUBLISHED)
def test_rank_files_are_those_that_openai_publishes(encoding: str) -> None:
    """Byte for byte, by SHA-256."""
    assert hashlib.sha256(b"".join(read_ranks(encoding))).hexdigest() == PUBLISHED[encoding]


@pytest.mark.parametrize("encoding", PUBLISHED)
def test_splitting_patterns_are_those_of_tiktoken(
    encoding: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """tiktoken, given the same ranks through its own offline cache, gives the same tokens."""
    url = f"https://openaipublic.blob.core.windows.net/encodings/{encoding}.tiktoken"
    (tmp_path / hashlib.sha1(url.encode()).hexdigest()).write_bytes(b"".join(read_ranks(encoding)))
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    theirs = tiktoken.Encoding(**getattr(openai_public, encoding)())
    ours = OpenAICounter(encoding)
    for text in (
        "Hello, WORLD's 12345 tests!\r\n\r\n  x",
        "日本語と emoji 🎉 don't",
        " \t\n a",
        "<|endoftext|>",
    ):
        ids = theirs.encode_ordinary(text)
        assert ours.count(text) == len(ids)
        lead = [len(text.encode()[:k].decode(errors="ignore")) for k in _byte_starts(theirs, ids)]
        assert ours.starts(text).tolist() == lead


def _byte_starts(encoding: tiktoken.Encoding, ids: list[int]) -> list[int]:
    lengths = [len(token) for token in encoding.decode_tokens_bytes(ids)]
    return [sum(lengths[:i]) for i in range(len(lengths))]


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("gpt-4o-mini", "o200k_base"),
        ("gpt-4.1", "o200k_base"),
        ("gpt-5.2-codex", "o200k_base"),
        ("gpt-6", "o200k_base"),
        ("o1", "o200k_base"),
        ("o3-mini", "o200k_base"),
        ("o4-mini-2025-04-16", "o200k_base"),
        ("chatgpt-4o-latest", "o200k_base"),
        ("openai/gpt-4o", "o200k_base"),
        ("ft:gpt-4o:acme::1", "o200k_base"),
        ("gpt-4-turbo", "cl100k_base"),
        ("gpt-4", "cl100k_base"),
        ("gpt-3.5-turbo", "cl100k_base"),
        ("text-embedding-3-small", "cl100k_base"),
        ("claude-opus", "~o200k_base"),
        ("olmo-2", "~o200k_base"),
        ("", "~o200k_base"),
    ],
)
def test_the_model_name_chooses_the_counter(model: str, name: str) -> None:
    """What is not known to be exact is marked as an estimate."""
    assert COUNTERS.counter_for(model).name == name


def test_counters_are_made_once() -> None:
    """Loading 200,000 ranks is not repeated, and nothing is shared between two Counters."""
    assert COUNTERS.counter_for("gpt-4o") is COUNTERS.counter_for("gpt-5")


def test_an_operators_tokenizer_comes_first(tmp_path: Path) -> None:
    """A glob of model names wins over what we know."""
    path = save_tiny_lm(tmp_path / "llama") / "tokenizer.json"
    counter = Counters({"gpt-4o*": str(path)}).counter_for("gpt-4o-local")
    assert counter.name == "llama/tokenizer.json"
    assert counter.count("<|im_end|>") > 1
    assert counter.starts("").shape == (0,)
    text = "né 🎉 fox"
    starts = counter.starts(text)
    assert len(starts) == counter.count(text)
    assert (np.diff(starts) >= 0).all()
    assert starts[-1] < len(text)


@pytest.mark.parametrize("content", [None, "not json", "[]", "{}"])
def test_a_wrong_tokenizer_file_is_named(content: str | None, tmp_path: Path) -> None:
    """The message has the path, whatever is wrong with the file."""
    path = tmp_path / "tokenizer.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(WeightsMissing, match=r"tokenizer\.json"):
        Counters({"*": str(path)}).counter_for("x")


def test_without_converted_weights_smollm_is_an_estimate(tmp_path: Path) -> None:
    """Counting converts nothing."""
    assert Counters(cache_dir=tmp_path).counter_for("SmolLM2-135M").name == "~o200k_base"


@settings(max_examples=200, deadline=None)
@given(st.text())
@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4", "other"])
def test_starts_agree_with_count(model: str, text: str) -> None:
    """One start per token, ascending, within the text, the first at 0; lone surrogates too."""
    counter = COUNTERS.counter_for(model)
    for one in (text, text + "\ud800 x"):
        starts = counter.starts(one)
        assert len(starts) == counter.count(one)
        assert (np.diff(starts) >= 0).all()
        assert not one or (starts[0] == 0 and starts[-1] < len(one))


def test_counting_does_without_numpy() -> None:
    """The proxy counts and never asks where tokens start: numpy's memory is not for it."""
    program = (
        "import sys; from elision.compressors.tokens import Counters; "
        "print(Counters().counter_for('gpt-4o').count('one two'), 'numpy' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == ["2", "False"]


def test_a_million_spaces_are_counted() -> None:
    """A text that makes the engine's regular expressions panic is cut before they see it."""
    text = " " * 2_000_000 + "a"
    counter = COUNTERS.counter_for("gpt-4o")
    assert counter.count(text) == len(counter.starts(text)) > 10_000


def test_a_counter_that_was_loaded_before_is_used() -> None:
    """By every `Counters` that is given it, for known models and estimates."""
    loaded = load_default()
    for counters in (Counters(loaded=loaded), Counters(loaded=loaded)):
        assert counters.counter_for("gpt-4o") is loaded["o200k_base"]
        assert counters.counter_for("some-model").name == "~o200k_base"
    assert set(loaded) == {"o200k_base"}
