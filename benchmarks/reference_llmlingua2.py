"""Runs inside the reference's own environment: `llmlingua` 0.2.2, driven by lines of JSON.

    .cache/reference/venv/bin/python benchmarks/reference_llmlingua2.py FOLDER THREADS

reads one request a line, `{"contexts": [...], "options": {...}}`, and answers each with a line: what
`compress_prompt_llmlingua2` returned, or `{"crash": "..."}`, with the seconds it took. It imports
nothing of ours; `benchmarks/reference.py` starts it.
"""

import json
import sys
import time
from typing import Any


def tell(answer: dict[str, Any]) -> None:
    """Write one line."""
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def main(folder: str, threads: int) -> None:
    """Answer requests until standard input ends."""
    import torch
    from llmlingua import PromptCompressor  # type: ignore[import-not-found]

    torch.set_num_threads(threads)
    compressor = PromptCompressor(folder, device_map="cpu", use_llmlingua2=True)
    tell({"ready": folder})
    for line in sys.stdin:
        told = json.loads(line)
        started = time.perf_counter()
        try:
            answer: dict[str, Any] = compressor.compress_prompt_llmlingua2(
                told["contexts"], return_word_label=True, **told["options"]
            )
        # Which exception it dies of is what is asked.
        except Exception as error:  # noqa: BLE001
            answer = {"crash": f"{type(error).__name__}: {error}"}
        answer["seconds"] = time.perf_counter() - started
        tell(answer)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
