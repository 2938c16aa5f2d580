"""The reader of `benchmarks.reader` for many questions at once: the same weights in bf16, in PyTorch.

    python -m benchmarks.batch_reader --port 8099 --batch 40

serves chat completions, the likeliest token each time. What comes within a second or two is answered
together, and what all of these prompts begin with is read once. Weights are those of the GGUF file,
made bf16.
"""

import argparse
import json
import queue
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from benchmarks.reader import environment, model
from elision.compressors.weights import resolve

_GATHERS_S = 1.5
_TEMPLATE = (
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
    "<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n"
)
_ENDS = ("<|im_end|>", "<|endoftext|>")


@dataclass(slots=True)
class Wanted:
    """One answer that somebody waits for: tokens of the prompt, of the answer at most."""

    ids: list[int]
    limit: int
    answer: "Future[list[int]]"


class Reader:
    """Weights, tokenizer, and a line of what is wanted."""

    def __init__(self, threads: int, batch: int) -> None:
        import torch
        from tokenizers import Tokenizer
        from transformers import AttentionInterface, AttentionMaskInterface, AutoModelForCausalLM
        from transformers.masking_utils import sdpa_mask

        AttentionInterface.register("grouped", grouped_attention)
        AttentionMaskInterface.register("grouped", sdpa_mask)
        torch.set_num_threads(threads)
        folder = resolve(str(model(environment()))).directory
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._model: Any = AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.bfloat16, attn_implementation="grouped"
        ).eval()
        self._ends = [self._tokenizer.token_to_id(one) for one in _ENDS]
        self._batch = batch
        self._line: queue.Queue[Wanted] = queue.Queue()

    def ask(self, prompt: str, limit: int) -> dict[str, Any]:
        """Return the answer to a user's message, with how many tokens both have; waits for it."""
        ids = self._tokenizer.encode(_TEMPLATE.format(prompt=prompt), add_special_tokens=False).ids
        wanted = Wanted(ids, limit, Future())
        self._line.put(wanted)
        found = wanted.answer.result()
        text = self._tokenizer.decode(found)
        return {"text": text, "prompt": len(ids), "completion": len(found)}

    def work(self) -> None:
        """Answer whatever comes, for ever."""
        while True:
            batch = [self._line.get()]
            until = time.monotonic() + _GATHERS_S
            while len(batch) < self._batch and (left := until - time.monotonic()) > 0:
                try:
                    batch.append(self._line.get(timeout=left))
                except queue.Empty:
                    break
            self._answer(batch)

    def _answer(self, batch: list[Wanted]) -> None:
        import torch

        prefix = _common([one.ids for one in batch])
        rows = list(range(len(batch)))
        said: list[list[int]] = [[] for _ in batch]
        with torch.inference_mode():
            cache = self._model(torch.tensor([batch[0].ids[:prefix]])).past_key_values
            cache.batch_repeat_interleave(len(batch))
            rest = [one.ids[prefix:] for one in batch]
            width = max(map(len, rest))
            ids = torch.tensor([[0] * (width - len(one)) + one for one in rest])
            seen = torch.tensor([[1] * prefix + [0] * (width - len(one)) + [1] * len(one) for one in rest])
            while rows:
                places = (seen.cumsum(-1) - 1).clamp(min=0)[:, -ids.shape[1] :]
                out = self._model(
                    ids, attention_mask=seen, position_ids=places, past_key_values=cache, logits_to_keep=1
                )
                chosen = out.logits[:, -1].argmax(-1).tolist()
                going = []
                for at, (row, token) in enumerate(zip(rows, chosen, strict=True)):
                    if token not in self._ends:
                        said[row].append(token)
                    if token in self._ends or len(said[row]) >= batch[row].limit:
                        batch[row].answer.set_result(said[row])
                    else:
                        going.append(at)
                cache = out.past_key_values
                if len(going) < len(rows) and going:
                    cache.batch_select_indices(torch.tensor(going))
                rows = [rows[at] for at in going]
                ids = torch.tensor([[chosen[at]] for at in going])
                seen = torch.cat((seen[going], torch.ones(len(going), 1, dtype=torch.long)), -1)


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


def _common(prompts: list[list[int]]) -> int:
    """Return how many first tokens all prompts have alike, at least one less than the shortest has."""
    least = min(map(len, prompts)) - 1
    return next((at for at in range(least) if len({one[at] for one in prompts}) > 1), least)


def main() -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.batch_reader", description=__doc__)
    parser.add_argument("--port", type=int, default=8099)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=40)
    told = parser.parse_args()
    reader = Reader(told.threads, told.batch)
    threading.Thread(target=reader.work, daemon=True).start()

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

    ThreadingHTTPServer(("127.0.0.1", told.port), Handler).serve_forever()


if __name__ == "__main__":
    main()
