"""What Prometheus may ask: finished requests and the service's state, of all workers of this proxy.

Puts together who counts (`elision.accounts.meters`), who knows something else that is told (sources)
and, where there are several workers, what the others have counted. Labels are teams that have a
policy, policies, methods, statuses, reasons and a bounded number of models: never a text or a key.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from elision.accounts.counts import Counts, Labels, Numbers, expanded, joined
from elision.accounts.exposition import Exposition, exposed
from elision.accounts.meters import BY_REQUEST, Meters
from elision.accounts.records import RequestRecord
from elision.accounts.shared_counts import SharedCounts

Source = Callable[[], Mapping[str, Mapping[Labels, Numbers]]]
"""Returns counts by families of the catalogue; called on the event loop, about once a second."""

Asked = Callable[[], Awaitable[Mapping[str, Mapping[Labels, Numbers]]]]
"""The same, from who must be waited for; called when somebody wants to be told."""


@dataclass(frozen=True, slots=True)
class Post:
    """One worker's place among several.

    Attributes:
        folder: where they leave what they have counted; exists.
        place: the same for who replaces the worker.
    """

    folder: Path
    place: int


class Metrics:
    """Counts finished requests, and tells Prometheus."""

    def __init__(self) -> None:
        self._meters = Meters()
        self._sources: list[Source] = []
        self._asked: list[Asked] = []
        self._shared: SharedCounts | None = None

    def add(self, record: RequestRecord) -> None:
        """Count one request."""
        self._meters.add(record)

    def follow(self, source: Source) -> None:
        """Tell from now on what a source knows, too."""
        self._sources.append(source)

    async def share(self, post: Post, stack: AsyncExitStack) -> None:
        """Tell from now on what all workers count; to be called once, before sources are followed.

        Args:
            post: of this worker.
            stack: ends it, after all that still counts.
        """
        shared = SharedCounts(post.folder, post.place, self.counts)
        self._shared = await stack.enter_async_context(shared)
        self.follow(self._failures)

    def ask(self, about: Asked) -> None:
        """Tell from now on what somebody knows who must be asked each time, of all workers alike."""
        self._asked.append(about)

    def counts(self) -> Counts:
        """Return what this process has counted, wide rows among it."""
        return joined([self._meters.counts(), *(source() for source in self._sources)])

    async def text(self, accept: str = "") -> Exposition:
        """Return all figures as Prometheus reads them.

        Args:
            accept: the asking side's `Accept` header, for OpenMetrics.
        """
        counts = self.counts() if self._shared is None else await self._shared.all()
        counts = joined([counts, *[await about() for about in self._asked]])
        return await asyncio.to_thread(_told, counts, accept)

    def _failures(self) -> Counts:
        failures = self._shared.failures if self._shared is not None else 0
        return {"elision_shared_failures": {(): (failures,)}}


def _told(counts: Counts, accept: str) -> Exposition:
    return exposed(expanded(counts, BY_REQUEST), accept)
