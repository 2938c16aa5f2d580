"""Who is told of finished requests."""

from contextlib import AsyncExitStack

from elision.accounts.log_line import LogSink
from elision.config.settings import Settings
from elision.proxy.bookkeeping import open_books
from elision.proxy.metrics import Metrics


async def test_log_and_metrics_are_always_told() -> None:
    """Whatever is set."""
    metrics = Metrics()
    async with AsyncExitStack() as stack:
        books = await open_books(Settings(), metrics, stack)
        assert metrics in books.sinks
        assert any(isinstance(sink, LogSink) for sink in books.sinks)
