"""A compressor in the test's own process: halves texts, or refuses with a reason."""

import asyncio
from dataclasses import dataclass, field

from elision.compressors.base import Identity, Job, Method, Outcome, Result, Span
from elision.proxy.patience import Patience
from elision.proxy.worker import CompressorUnavailableError


@dataclass
class Halving:
    """`unavailable` refuses before, `failing` the work; `slow_s` takes time, `growing` lengthens."""

    unavailable: str = ""
    failing: str = ""
    slow_s: float = 0.0
    growing: bool = False
    version: str = "1"
    asked: list[Job] = field(default_factory=list)

    def identity(self, method: Method) -> Identity:
        if self.unavailable:
            raise CompressorUnavailableError(self.unavailable)
        return Identity(f"{method.name}:{self.version}")

    async def compress(
        self, job: Job, patience: Patience, *, beside: int = 0, scores: bytes = b"", whose: bytes = b""
    ) -> Result:
        self.asked.append(job)
        if self.slow_s > patience.left_s:
            await asyncio.sleep(patience.left_s)
            raise CompressorUnavailableError("deadline")
        if self.failing:
            raise CompressorUnavailableError(self.failing)
        return Result(self._halved(job))

    def _halved(self, job: Job) -> Outcome:
        words, (name, fingerprint) = (
            job.text.split(" "),
            (job.method.name, f"{job.method.name}:{self.version}"),
        )
        if self.growing:
            return Outcome(job.text * 2, len(words), len(words) * 2, (), name, fingerprint)
        half = " ".join(words[: len(words) // 2])
        if len(words) < 2:
            return Outcome(job.text, len(words), len(words), (), name, fingerprint, "too_short")
        return Outcome(half, len(words), len(half.split(" ")), (Span(0, len(half)),), name, fingerprint)
