"""Runs our methods that read with a causal model in a process of its own, driven by lines of JSON.

    PYTHON -m benchmarks.causal_worker FOLDER PRECISION THREADS

The mirror of `benchmarks/reference_causal.py`, so that time and memory are measured alike: it holds one
model, in one precision. Contexts are one text with empty lines between them; `tokens` or `rate` says
how far; nothing is protected.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.reference_causal import memory_mib
from elision.compressors.base import Compressor, Method, Target
from elision.compressors.errors import CompressionError
from elision.compressors.registry import Resources, make_compressor
from elision.compressors.tokens import Counters

MODEL = "gpt-3.5-turbo"
"""Whose tokens are counted: those that `llmlingua` tells of its results."""


class Methods:
    """Our compressors by name and options, made when first asked for."""

    def __init__(self, folder: str, precision: str, threads: int) -> None:
        self._resources = Resources(Counters(), threads=threads)
        self._same = {"weights": folder, "precision": precision}
        self._made: dict[str, Compressor] = {}

    def of(self, name: str, options: dict[str, Any]) -> Compressor:
        """Return a method's compressor."""
        key = json.dumps([name, options], sort_keys=True)
        if key not in self._made:
            told = tuple(sorted({**options, **self._same}.items()))
            self._made[key] = make_compressor(Method(name, told), self._resources)
        return self._made[key]


def main(folder: str, precision: str, threads: int) -> None:
    """Answer requests until standard input ends."""
    methods = Methods(folder, precision, threads)
    for line in sys.stdin:
        told = json.loads(line)
        compressor = methods.of(told["method"], told["options"])
        text = "\n\n".join(told["contexts"])
        target = Target(told.get("rate"), told.get("tokens"), MODEL, told.get("question") or "", ())
        Path("/proc/self/clear_refs").write_text("5", "ascii")
        rest, wall, cpu = memory_mib("VmRSS"), time.perf_counter(), time.process_time()
        try:
            [outcome] = compressor.compress([text], [target])
            answer: dict[str, Any] = {"text": outcome.text, "reason": outcome.reason}
        except CompressionError as error:
            answer = {"crash": str(error)}
        answer |= {"seconds": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
        answer |= {"rest_mib": rest, "peak_mib": memory_mib("VmHWM")}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
