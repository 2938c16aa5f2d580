"""A compressor in the test's own process: halves texts, or refuses with a reason."""

import asyncio
from dataclasses import dataclass, field

from elision.compressors.base import Job, Method, Outcome
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

    def fingerprint(self, method: Method) -> str:
        if self.unavailable:
            raise CompressorUnavailableError(self.unavailable)
        return f"{method.name}:{self.version}"

    async def compress(self, job: Job, deadline_s: float, beside: int = 0) -> Outcome:
        self.asked.append(job)
        if self.slow_s > deadline_s:
            await asyncio.sleep(deadline_s)
            raise CompressorUnavailableError("deadline")
        if self.failing:
            raise CompressorUnavailableError(self.failing)
        return self._halved(job)

    def _halved(self, job: Job) -> Outcome:
        words = job.text.split(" ")
        if self.growing:
            return Outcome(job.text * 2, len(words), len(words) * 2, (), job.method.name, "f")
        half = " ".join(words[: len(words) // 2])
        reason = "too_short" if len(words) < 2 else ""
        return Outcome(
            job.text if reason else half, len(words), len(half.split(" ")), (), job.method.name, "f", reason
        )
