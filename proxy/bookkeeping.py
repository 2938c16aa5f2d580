"""Who is told of finished requests, by the settings: log, metrics, what the dashboard reads; prices.

The only place that chooses them. Each takes a record in a few microseconds and does its own work
later, off the event loop.
"""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from elision.accounts.archive import Archive
from elision.accounts.money import Pricing, Unpriced
from elision.accounts.records import LogSink, RecordSink
from elision.config.settings import Settings
from elision.proxy.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Books:
    """Those who keep accounts of this process.

    Attributes:
        pricing: what tokens cost.
        sinks: who is told of each finished request, in this order.
        archive: answers the dashboard's questions; None where nothing is kept.
    """

    pricing: Pricing
    sinks: Sequence[RecordSink]
    archive: Archive | None = None


async def open_books(settings: Settings, metrics: Metrics, stack: AsyncExitStack) -> Books:
    """Put together and start what keeps accounts.

    Args:
        settings: everything that is set.
        metrics: of this process.
        stack: ends what is started.
    """
    return Books(Unpriced(), (LogSink(), metrics))
