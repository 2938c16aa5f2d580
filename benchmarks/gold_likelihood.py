"""How likely a reader finds right solutions after worked examples, before and after they are shortened.

    python -m benchmarks.gold_likelihood --data DIR --questions 30

What `benchmarks.few_shot` asks, told by one pass over each question instead of an answer of hundreds of
tokens: nats per token of GSM8K's own solution, after the prompt as it is, without examples, and as
`/v1/compress` of a real proxy makes it by the policies of `benchmarks.few_shot`. It is not how often
answers are right. The same command goes on where it stopped.
"""

import argparse
import random
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.few_shot import POLICIES, PORT, proxy
from benchmarks.machine import description
from benchmarks.reader import environment, model
from elision.compressors.weights import resolve
from elision.evaluation import bootstrap
from elision.evaluation.files import read_rows, text_of
from elision.evaluation.forms import prompt_of
from elision.evaluation.model import Item
from elision.evaluation.store import Store, key_of
from elision.evaluation.tasks import read_dataset

_WHOLE, _NONE = "as it is", "no examples"
_TEMPLATE = (
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
    "<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n"
)


class Judge:
    """The reader's weights, and what it remembers of the last prompt."""

    def __init__(self, threads: int) -> None:
        import torch
        from tokenizers import Tokenizer
        from transformers import AutoModelForCausalLM

        torch.set_num_threads(threads)
        folder = resolve(str(model(environment()))).directory
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).eval()
        self._head: list[int] = []
        self._cache: Any = None

    def nats(self, before: str, prompt: str, solution: str) -> tuple[float, int]:
        """Return nats per token of a solution, and how many tokens the prompt has.

        Args:
            before: how the prompt begins; read once for all prompts that begin so.
        """
        import torch

        asked, told = self._ids(_TEMPLATE.format(prompt=prompt)), self._ids(solution)
        # The last few tokens may be others where more text follows.
        head = self._ids(_TEMPLATE.format(prompt=before).partition("<|im_end|>\n<|im_start|>assistant")[0])[
            :-8
        ]
        with torch.inference_mode():
            if head != self._head:
                self._head, self._cache = head, self._model(torch.tensor([head])).past_key_values
            over = self._cache.get_seq_length() - len(head)
            if over:
                self._cache.crop(-over)
            ids = torch.tensor([[*asked, *told][len(head) :]])
            out = self._model(ids, past_key_values=self._cache, logits_to_keep=len(told) + 1)
            spread = torch.log_softmax(out.logits[0, :-1].float(), -1)
            chosen = spread.gather(1, torch.tensor(told)[:, None])
        return -float(chosen.mean()), len(asked)

    def _ids(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)


def shortened(way: str, item: Item) -> str:
    """Return a question's prompt as a way has it. Raises: RuntimeError where nothing was shortened."""
    import httpx

    if way in (_WHOLE, _NONE):
        return prompt_of(item, item.text if way == _WHOLE else "")
    team, _ = POLICIES[way]
    body = {"model": "a-reader", "messages": [{"role": "user", "content": prompt_of(item, item.text)}]}
    url = f"http://127.0.0.1:{PORT}/t/{team}/v1/compress"
    told = httpx.post(url, json=body, timeout=900).raise_for_status().json()
    if "compression_skipped" in told:
        raise RuntimeError(f"{way}: nothing was shortened: {told.get('skip_reason')}")
    return str(told["messages"][0]["content"])


def solutions(data: Path) -> list[str]:
    """Return GSM8K's own solutions in the examples' words, by question."""
    found = []
    for row in read_rows(data / "gsm8k" / "test.jsonl"):
        reasons, _, number = text_of(row, "answer", "gsm8k").rpartition("####")
        found.append(f"{re.sub('<<.*?>>', '', reasons).strip()}\nThe answer is {number.strip()}")
    return found


def table(items: Sequence[Item], store: Store) -> str:
    """Return means and paired differences to the whole prompt, with 95 % intervals."""
    lines = ["| prompt | n | reader's tokens | nats per token | against the whole prompt |", "|---" * 5 + "|"]
    for way in (_WHOLE, _NONE, *POLICIES):
        pairs = [(store.get(_key(way, item)), store.get(_key(_WHOLE, item)), item.id) for item in items]
        both = [(own, whole, name) for own, whole, name in pairs if own and whole]
        if not both:
            continue
        nats = [float(str(own["nats"])) for own, _, _ in both]
        gains = [float(str(own["nats"])) - float(str(whole["nats"])) for own, whole, _ in both]
        size = sum(int(str(own["prompt"])) for own, _, _ in both) / len(both)
        told = bootstrap.mean(gains, [name for _, _, name in both], 0)
        gain = f"{told.value:+.3f}" + (
            f" ({told.low:+.3f} to {told.high:+.3f})" if told.low is not None else ""
        )
        lines.append(
            f"| {way} | {len(both)} | {size:,.0f} | {sum(nats) / len(nats):.3f} | "
            f"{'' if way == _WHOLE else gain} |"
        )
    return "\n".join(lines)


def _key(way: str, item: Item) -> str:
    return key_of("gold", way, item.id)


def main() -> None:
    """Read, and write the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gold_likelihood", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder that has gsm8k/")
    parser.add_argument("--questions", type=int, default=30)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path(".cache/bench/few_shot"))
    told = parser.parse_args()
    # As benchmarks.few_shot draws them.
    items = list(read_dataset("gsm8k", told.data, None, 80).items)
    random.Random(0).shuffle(items)
    items, gold = items[: told.questions], solutions(told.data)
    judge = Judge(told.threads)
    with Store(told.out / "likelihood.jsonl") as store, proxy("http://127.0.0.1:9", told.out):
        for way in (_WHOLE, _NONE, *POLICIES):
            for item in items:
                if store.get(_key(way, item)) is None:
                    prompt = shortened(way, item)
                    before = prompt.partition(item.question)[0]
                    nats, size = judge.nats(before, prompt, gold[int(item.id) - 1])
                    store.put(_key(way, item), {"way": way, "item": item.id, "nats": nats, "prompt": size})
                    sys.stderr.write(".")
        head = "\n".join(f"- {k}: {v}" for k, v in description().items())
        sys.stdout.write(f"{head}\n\n{table(items, store)}\n")


if __name__ == "__main__":
    main()
