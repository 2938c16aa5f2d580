"""A compressor in the test's own process that reads by a real engine, when told to go on."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from elision.compressors.base import Identity, Job, Method, Result
from elision.compressors.engine import Engine
from elision.proxy.patience import Patience
from elision.proxy.worker import CompressorUnavailableError


@dataclass
class CountingCompressor:
    """Counts how often it was asked and had to read; `failing` is why it does not, `slow_s` takes time."""

    engine: Engine = field(default_factory=Engine)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    asked: Counter[str] = field(default_factory=Counter)
    read: Counter[str] = field(default_factory=Counter)
    failing: str = ""
    slow_s: float = 0.0
    cancelled: int = 0

    def identity(self, method: Method) -> Identity:
        return self.engine.prepare(method)

    async def compress(
        self, job: Job, patience: Patience, *, beside: int = 0, scores: bytes = b"", whose: bytes = b""
    ) -> Result:
        self.asked[job.text] += 1
        await asyncio.sleep(self.slow_s)
        await self._wait(patience)
        if self.failing:
            raise CompressorUnavailableError(self.failing)
        [result] = self.engine.run_known([job], [scores])
        self.read[job.text] += bool(result.scores)
        return result

    async def _wait(self, patience: Patience) -> None:
        try:
            while not self.go_on.is_set():
                if patience.left_s <= 0:
                    raise CompressorUnavailableError("deadline")
                await asyncio.sleep(0.001)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
