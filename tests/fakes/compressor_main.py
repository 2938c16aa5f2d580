"""A compressor process whose engine does what the text says; started as a script.

Started with the number of a socket, it is a nursery in which such processes are born.

`sleep N` takes N seconds, `hold PATH` as long as there is that file, after making one beside it that
says that it began; `raise` throws, `exit` ends the process, `fewer` gets no result, which no engine may
do; anything else is halved. The method
`broken` cannot be prepared; one with the option `heavy` takes as long to load as there is the file that
it names; one with the option `counts` adds how often a text was run.
"""

import os
import socket
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from elision.compressors.base import Identity, Job, Method, Outcome, Result
from elision.compressors.errors import CompressionError
from elision.proxy.nursery import tend
from elision.proxy.worker_process import JobRunner, WorkerOptions, serve_process


class ObedientEngine:
    """Does what the text says."""

    def __init__(self) -> None:
        self._runs: Counter[Job] = Counter()

    def load(self, method: Method) -> None:
        if path := dict(method.options).get("heavy"):
            _hold(str(path))

    def prepare(self, method: Method) -> Identity:
        if method.name == "broken":
            raise CompressionError("no weights here")
        return Identity(f"{method.name}:1", f"{method.name}:scorer")

    def run_known(self, jobs: Sequence[Job], known: Sequence[bytes]) -> list[Result]:
        jobs = [job for job in jobs if job.text != "fewer"]
        return [
            Result(self._one(job), b"" if scores else job.text.encode())
            for job, scores in zip(jobs, known, strict=False)
        ]

    def _one(self, job: Job) -> Outcome:
        if job.text.startswith("sleep "):
            time.sleep(float(job.text.removeprefix("sleep ")))
        if job.text.startswith("hold "):
            _hold(job.text.removeprefix("hold "))
        if job.text == "raise":
            raise ValueError("a text that must not be told")
        if job.text == "exit":
            os._exit(9)
        half = job.text[: len(job.text) // 2]
        if dict(job.method.options).get("counts"):
            self._runs[job] += 1
            half += str(self._runs[job])
        return Outcome(half, len(job.text), len(half), (), job.method.name, f"{job.method.name}:1")


def _hold(path: str) -> None:
    Path(f"{path}.begun").touch()
    while Path(path).exists():
        time.sleep(0.005)


def make(options: WorkerOptions) -> JobRunner:
    return ObedientEngine()


def be(argument: str) -> None:
    serve_process(argument, make)


if __name__ == "__main__":
    if sys.argv[1].isdecimal():
        tend(socket.socket(fileno=int(sys.argv[1])), be)
    be(sys.argv[1])
