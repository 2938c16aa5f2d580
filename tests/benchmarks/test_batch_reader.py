"""A reader of many prompts at once says what it would say to each of them alone.

The model is tiny and random, in full precision, where a batch's other rows change nothing.
"""

import json
from collections import Counter
from collections.abc import Collection
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from http.client import HTTPConnection
from http.server import ThreadingHTTPServer
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from benchmarks.batch_reader import BatchModel, Prompt, Reader, Wanted, batches, common, compare, handler
from fakes.tiny_lm import save_tiny_lm


@dataclass(frozen=True, slots=True)
class Tiny:
    """A folder of weights; the model that reads batches, and a plain one, both made of them."""

    folder: Path
    batched: BatchModel
    plain: Any

    def alone(self, prompt: Prompt, ends: Collection[int] = ()) -> list[int]:
        """Return the greedy answer, read from the beginning for each token: no cache, padding or mask."""
        said: list[int] = []
        with torch.inference_mode():
            while len(said) < prompt.limit:
                ids = torch.tensor([[*prompt.ids, *said]])
                token = int(self.plain(ids, use_cache=False).logits[0, -1].argmax())
                if token in (ends or self.batched.ends):
                    break
                said.append(token)
        return said


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """Qwen2's shape, with grouped heads."""
    folder = save_tiny_lm(tmp_path_factory.mktemp("tiny"), family="qwen2")
    plain = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    return Tiny(folder, BatchModel(folder, "float32"), plain.eval())


def drawn(count: int, seed: int, start: list[int]) -> list[Prompt]:
    """Return prompts of different lengths and limits that all begin alike."""
    draw = Random(seed)
    lengths = [draw.randrange(1, 60) for _ in range(count)]
    return [
        Prompt(start + [draw.randrange(3, 300) for _ in range(n)], draw.randrange(1, 12)) for n in lengths
    ]


@pytest.mark.parametrize("start", [[], [5, 6, 7, 8, 9]], ids=["nothing alike", "a common beginning"])
def test_a_batch_answers_as_each_prompt_alone(tiny: Tiny, start: list[int]) -> None:
    """Padding, masks, positions and the shared beginning change no answer, however long the others are."""
    prompts = drawn(12, 3, start)
    found = dict(tiny.batched.answers(prompts))
    assert [found[at] for at in range(12)] == [tiny.alone(one) for one in prompts]
    assert len({len(said) for said in found.values()}) > 2


def test_answers_end_early_and_late(tiny: Tiny) -> None:
    """Rows that end leave the batch, and those that go on are not disturbed."""
    prompts = drawn(30, 4, [5])
    often = Counter(token for _, said in tiny.batched.answers(prompts) for token in said)
    [(end, _)] = often.most_common(1)
    ending = BatchModel(tiny.folder, "float32", [str(tiny.batched.tokenizer.id_to_token(end))])
    found = dict(ending.answers(prompts))
    assert [found[at] for at in range(30)] == [tiny.alone(one, [end]) for one in prompts]
    ended = [at for at, one in enumerate(prompts) if len(found[at]) < one.limit]
    assert 0 < len(ended) < 30


def test_one_prompt_is_a_batch(tiny: Tiny) -> None:
    """A prompt by itself is its own beginning, but for the last token."""
    [prompt] = drawn(1, 5, [4, 4, 4])
    assert list(tiny.batched.answers([prompt])) == [(0, tiny.alone(prompt))]


@pytest.mark.parametrize(
    ("prompts", "alike"),
    [([[1, 2, 3], [1, 2, 4]], 2), ([[1, 2], [1, 2]], 1), ([[1], [1, 2]], 0), ([[2, 1], [1, 2]], 0)],
)
def test_what_prompts_begin_with(prompts: list[list[int]], alike: int) -> None:
    """Each prompt keeps at least one token of its own, from which its answer begins."""
    assert common(prompts) == alike


def test_batches_hold_what_is_of_like_length() -> None:
    """Nothing is lost, none is too large, and no batch holds longer prompts than the next."""
    wanted = [Wanted(one, Future()) for one in drawn(23, 6, [])]
    found = batches(wanted, 10)
    assert [len(batch) for batch in found] == [7, 8, 8]
    lengths = [len(one.prompt.ids) for batch in found for one in batch]
    assert lengths == sorted(len(one.prompt.ids) for one in wanted)


def test_sizes_of_batches_are_compared(tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    """In full precision every batch says what each prompt is answered alone."""
    compare(tiny.batched, 9)
    told = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in told] == ["batch 1", "batch 8", "batch 16", "batch 40"]
    assert all(line.endswith("9 of 9 as by themselves") for line in told)


def test_the_endpoint_answers_several_at_once(tiny: Tiny) -> None:
    """Each client gets the answer to its own question, whatever batch it was in."""
    reader = Reader(tiny.batched, batch=4)
    questions = [f"A witness said {word}." * n for n, word in enumerate(("fox", "dog", "May"), 1)]
    with ThreadingHTTPServer(("127.0.0.1", 0), handler(reader)) as server, ThreadPoolExecutor(6) as threads:
        working = [threads.submit(one) for one in (reader.work, reader.work, server.serve_forever)]
        try:
            found = list(threads.map(partial(_asked, server.server_port), questions))
        finally:
            server.shutdown()
            reader.stop()
        assert [one.result() for one in working] == [None, None, None]
    tell = tiny.batched
    assert found == [tell.tokenizer.decode(tiny.alone(tell.prompt(one, 5))) for one in questions]


def _asked(port: int, question: str) -> str:
    body = {"messages": [{"role": "user", "content": question}], "max_tokens": 5}
    with closing(HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("POST", "/v1/chat/completions", json.dumps(body))
        return str(json.load(connection.getresponse())["choices"][0]["message"]["content"])
