"""The readers of `benchmarks.reader` for many questions at once: the same weights in bf16, in PyTorch.

    python -m benchmarks.batch_reader --port 8099 --batch 40
    python -m benchmarks.batch_reader --port 8099 --model 1.5b --batch 40

serves chat completions, the likeliest token each time. What comes within a second or two is answered
together, those of like length in one batch, and what all of a batch's prompts begin with is read
once. On a machine with other work `--workers 2 --threads 1` is better than one batch on two threads,
which wait for each other at every product. Weights are those of the GGUF file, made bf16, so that a
batch's other rows can change what is nearly a tie: `python -m benchmarks.batch_reader --model 1.5b
--compare 40` reads prompts of lengths drawn by a seed in batches of several sizes and one by one, and
says how fast and how many alike.
"""

import argparse
import itertools
import json
import os
import queue
import random
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from benchmarks.reader import MODELS, environment, model
from elision.compressors.weights import resolve

_GATHERS_S = 1.5
# So many batches' prompts are looked over for those of like length.
_POOL = 2
_TEMPLATE = (
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
    "<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n"
)
_ENDS = ("<|im_end|>", "<|endoftext|>")


@dataclass(frozen=True, slots=True)
class Prompt:
    """What one answer is made from: tokens of the prompt, how many the answer has at most."""

    ids: Sequence[int]
    limit: int


class BatchModel:
    """A causal model that answers several prompts at once.

    Args:
        folder: holds `config.json`, safetensors and `tokenizer.json`.
        dtype: PyTorch's name of the precision.
        ends: tokens that end an answer.
    """

    def __init__(self, folder: Path, dtype: str = "bfloat16", ends: Sequence[str] = _ENDS) -> None:
        import torch
        from tokenizers import Tokenizer
        from transformers import AttentionInterface, AttentionMaskInterface, AutoModelForCausalLM
        from transformers.masking_utils import sdpa_mask

        AttentionInterface.register("grouped", grouped_attention)
        AttentionMaskInterface.register("grouped", sdpa_mask)
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._model: Any = AutoModelForCausalLM.from_pretrained(
            folder, dtype=getattr(torch, dtype), attn_implementation="grouped"
        ).eval()
        self.ends = {self.tokenizer.token_to_id(one) for one in ends}

    def prompt(self, message: str, limit: int) -> Prompt:
        """Return a user's message as the model reads it."""
        ids = self.tokenizer.encode(_TEMPLATE.format(prompt=message), add_special_tokens=False).ids
        return Prompt(ids, limit)

    def answers(self, batch: Sequence[Prompt]) -> Iterator[tuple[int, list[int]]]:
        """Yield each prompt's place and the tokens of its answer, as they are finished.

        What all prompts begin with is read once, in one row. Then each row has its own rest, padded
        on the left: no token sees padding, and positions count real tokens alone.
        """
        import torch

        prefix = common([one.ids for one in batch])
        rest = [list(one.ids[prefix:]) for one in batch]
        width = max(map(len, rest))
        rows = list(range(len(batch)))
        said: list[list[int]] = [[] for _ in batch]
        with torch.inference_mode():
            cache: Any = (
                self._model(torch.tensor([batch[0].ids[:prefix]])).past_key_values if prefix else None
            )
            if cache is not None:
                cache.batch_repeat_interleave(len(batch))
            ids = torch.tensor([[0] * (width - len(one)) + one for one in rest])
            seen = torch.tensor([[1] * prefix + [0] * (width - len(one)) + [1] * len(one) for one in rest])
            while rows:
                chosen, cache = self._step(ids, seen, cache)
                going = []
                for at, (row, token) in enumerate(zip(rows, chosen, strict=True)):
                    ended = token in self.ends
                    if not ended:
                        said[row].append(token)
                    if ended or len(said[row]) >= batch[row].limit:
                        yield row, said[row]
                    else:
                        going.append(at)
                if len(going) < len(rows) and going:
                    cache.batch_select_indices(torch.tensor(going))
                rows = [rows[at] for at in going]
                ids = torch.tensor([[chosen[at]] for at in going])
                seen = torch.cat((seen[going], torch.ones(len(going), 1, dtype=torch.long)), -1)

    def _step(self, ids: Any, seen: Any, cache: Any) -> tuple[list[int], Any]:
        """Return the likeliest next token of each row, and what is remembered by then.

        Args:
            ids: (B, S) the tokens that follow what is remembered.
            seen: (B, L) 1 where a token is real, of everything until now, L >= S.
        """
        places = (seen.cumsum(-1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        out = self._model(
            ids, attention_mask=seen, position_ids=places, past_key_values=cache, logits_to_keep=1
        )
        return out.logits[:, -1].argmax(-1).tolist(), out.past_key_values


@dataclass(slots=True)
class Wanted:
    """One answer that somebody waits for."""

    prompt: Prompt
    answer: "Future[list[int]]"


class Reader:
    """A model and a line of what is wanted of it."""

    def __init__(self, read_by: BatchModel, batch: int) -> None:
        self._model, self._batch = read_by, batch
        self._line: queue.Queue[Wanted | None] = queue.Queue()

    def ask(self, message: str, limit: int) -> dict[str, Any]:
        """Return the answer to a user's message, with how many tokens both have; waits for it."""
        prompt = self._model.prompt(message, limit)
        wanted = Wanted(prompt, Future())
        self._line.put(wanted)
        found = wanted.answer.result()
        text = self._model.tokenizer.decode(found)
        return {"text": text, "prompt": len(prompt.ids), "completion": len(found)}

    def work(self) -> None:
        """Answer whatever comes, until it is stopped; several threads may work at once."""
        while wanted := self._gathered():
            for batch in batches(wanted, self._batch):
                for row, said in self._model.answers([one.prompt for one in batch]):
                    batch[row].answer.set_result(said)

    def stop(self) -> None:
        """Let `work` return once everything that was asked before is answered."""
        self._line.put(None)

    def _gathered(self) -> list[Wanted]:
        """Return what comes within a moment of the first; nothing where the line has ended."""
        found: list[Wanted] = []
        until = None
        while len(found) < _POOL * self._batch:
            try:
                one = self._line.get(timeout=until and max(0.0, until - time.monotonic()))
            except queue.Empty:
                break
            if one is None:
                # It stays in the line, for whoever else works and for when these are answered.
                self.stop()
                break
            until = until or time.monotonic() + _GATHERS_S
            found.append(one)
        return found


def batches(wanted: Sequence[Wanted], most: int) -> list[list[Wanted]]:
    """Return what is wanted in batches of like length, of one size as nearly as can be."""
    ordered = sorted(wanted, key=lambda one: len(one.prompt.ids))
    count = -(-len(ordered) // most)
    cuts = [len(ordered) * at // count for at in range(count + 1)]
    return [ordered[start:end] for start, end in itertools.pairwise(cuts)]


def grouped_attention(
    _module: Any, query: Any, key: Any, value: Any, attention_mask: Any, *, scaling: float, **_: Any
) -> tuple[Any, None]:
    """Attend without a copy of the keys for each of the heads that share them.

    Args:
        query: (B, heads, S, D).
        key, value: (B, shared heads, L, D).
        attention_mask: (B, 1, S, L) true where a token is seen, or None, which is causal.
    Returns: (B, S, heads, D), no weights.
    """
    import torch

    rows, heads, steps, width = query.shape
    shared, length = key.shape[1], key.shape[2]
    if attention_mask is None:
        attention_mask = torch.ones(steps, length, dtype=torch.bool).tril(length - steps)[None, None]
    grouped = query.reshape(rows, shared, heads // shared * steps, width)
    scores = (grouped @ key.transpose(2, 3)).float().mul_(scaling)
    scores = scores.view(rows, shared, heads // shared, steps, length)
    hidden = (
        ~attention_mask[:, :, None] if attention_mask.dtype == torch.bool else attention_mask[:, :, None] < 0
    )
    weights = scores.masked_fill_(hidden, -1e9).softmax(-1).to(value.dtype)
    found = weights.view(rows, shared, -1, length) @ value
    return found.reshape(rows, heads, steps, width).transpose(1, 2).contiguous(), None


def common(prompts: Sequence[Sequence[int]]) -> int:
    """Return how many first tokens all prompts have alike, at least one less than the shortest has."""
    least = min(map(len, prompts)) - 1
    return next((at for at in range(least) if len({one[at] for one in prompts}) > 1), least)


def compare(read_by: BatchModel, count: int) -> None:
    """Print how fast batches of several sizes are read, and how many answers are those of one by one.

    Seconds are of processor time, by all threads: other work on the machine takes none of it.
    """
    draw = random.Random(0)
    words = (Path(__file__).parent.parent / "docs" / "evaluation.md").read_text("utf-8").split()
    prompts = []
    for _ in range(count):
        start = draw.randrange(len(words) - 100)
        text = " ".join(words[start : start + draw.randrange(30, 100)])
        prompts.append(read_by.prompt(f"Say in a few words what this is about.\n\nText: {text}\nAnswer:", 16))
    tokens = sum(len(one.ids) for one in prompts)
    alone: list[list[int]] = []
    for size in (1, 8, 16, 40):
        wanted = [Wanted(one, Future()) for one in prompts]
        began = time.process_time()
        for batch in batches(wanted, size):
            for row, said in read_by.answers([one.prompt for one in batch]):
                batch[row].answer.set_result(said)
        seconds = time.process_time() - began
        found = [one.answer.result() for one in wanted]
        alone = alone or found
        alike = sum(one == other for one, other in zip(alone, found, strict=True))
        sys.stdout.write(
            f"batch {size}: {tokens / seconds:.0f} prompt tokens/s, {seconds / count:.2f} s an answer, "
            f"{alike} of {count} as by themselves\n"
        )


def handler(reader: Reader) -> type[BaseHTTPRequestHandler]:
    """Return what answers chat completions by a reader."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            found = reader.ask(str(asked["messages"][-1]["content"]), int(asked.get("max_tokens", 400)))
            usage = {"prompt_tokens": found["prompt"], "completion_tokens": found["completion"]}
            message = {"role": "assistant", "content": found["text"]}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            body = json.dumps({"object": "chat.completion", "choices": [choice], "usage": usage}).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing of each request."""

    return Handler


def main() -> None:
    """Serve until the process is ended, or compare."""
    import torch

    parser = argparse.ArgumentParser(prog="python -m benchmarks.batch_reader", description=__doc__)
    parser.add_argument("--port", type=int, default=8099)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--workers", type=int, default=1, help="batches at once, each with so many threads")
    parser.add_argument("--batch", type=int, default=40)
    parser.add_argument("--model", choices=MODELS, default="0.5b")
    parser.add_argument("--compare", type=int, metavar="PROMPTS", default=0)
    told = parser.parse_args()
    torch.set_num_threads(told.threads)
    read_by = BatchModel(resolve(str(model(environment(), told.model))).directory)
    if told.compare:
        compare(read_by, told.compare)
        return
    reader = Reader(read_by, told.batch)
    server = ThreadingHTTPServer(("127.0.0.1", told.port), handler(reader))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with ThreadPoolExecutor(told.workers) as threads:
        working = [threads.submit(reader.work) for _ in range(told.workers)]
        # What fails here ends the process, so that nobody waits for ever.
        failed = next(as_completed(working)).exception()
        sys.stderr.write(f"{failed!r}\n")
        os._exit(1)


if __name__ == "__main__":
    main()
