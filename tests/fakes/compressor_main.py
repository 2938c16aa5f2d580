"""A compressor process whose engine does what the text says; started as a script.

`sleep N` takes N seconds, `raise` throws, `exit` ends the process, anything else is halved.
The method `broken` cannot be prepared.
"""

import os
import time
from collections.abc import Sequence

from elision.compressors.base import Job, Method, Outcome
from elision.compressors.errors import CompressionError
from elision.proxy.worker_process import JobRunner, WorkerOptions, serve_process


class ObedientEngine:
    """Does what the text says."""

    def load(self, method: Method) -> None:
        if dict(method.options).get("heavy"):
            time.sleep(0.5)

    def prepare(self, method: Method) -> str:
        if method.name == "broken":
            raise CompressionError("no weights here")
        return f"{method.name}:1"

    def run(self, jobs: Sequence[Job]) -> list[Outcome]:
        return [self._one(job) for job in jobs]

    def _one(self, job: Job) -> Outcome:
        if job.text.startswith("sleep "):
            time.sleep(float(job.text.removeprefix("sleep ")))
        if job.text == "raise":
            raise ValueError("a text that must not be told")
        if job.text == "exit":
            os._exit(9)
        half = job.text[: len(job.text) // 2]
        return Outcome(half, len(job.text), len(half), (), job.method.name, f"{job.method.name}:1")


def make(options: WorkerOptions) -> JobRunner:
    return ObedientEngine()


if __name__ == "__main__":
    serve_process(make)
