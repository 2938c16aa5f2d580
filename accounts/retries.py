"""Which requests repeat one that was answered well a moment ago, as people do whom an answer did not please.

Found once for each request, and told alike to all who keep accounts. Knows its own process alone.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace

from elision.accounts.labels import DEFAULT_TEAM
from elision.accounts.records import RecordSink, RequestRecord

RETRY_S = 60.0
"""A request that comes so soon after the same one was answered well repeats it."""
_REMEMBERED = 10_000


class Retries:
    """Remembers which requests were answered well a moment ago, to tell those that repeat them.

    Args:
        most: requests that are remembered.
    """

    def __init__(self, most: int = _REMEMBERED) -> None:
        self._most = most
        self._ended: OrderedDict[tuple[str, int], float] = OrderedDict()

    def is_retry(self, record: RequestRecord) -> bool:
        """Return whether a request repeats one; remember it where it was answered well itself."""
        if not record.body_hash:
            return False
        key = (record.report.team or DEFAULT_TEAM, record.body_hash)
        ended = self._ended.get(key)
        found = ended is not None and 0 <= record.at - ended <= RETRY_S
        if 200 <= record.status < 300 and not record.error:
            self._ended[key] = record.at + record.total_ms / 1000
            self._ended.move_to_end(key)
            if len(self._ended) > self._most:
                self._ended.popitem(last=False)
        return found


class RetriesMarked:
    """A `RecordSink` that marks requests which repeat others, and hands each on.

    Attributes:
        sinks: to whom, in this order.
    """

    def __init__(self, sinks: Sequence[RecordSink], retries: Retries | None = None) -> None:
        self.sinks = tuple(sinks)
        self._retries = retries or Retries()

    def add(self, record: RequestRecord) -> None:
        """Take one finished request."""
        if self._retries.is_retry(record):
            record = replace(record, is_retry=True)
        for sink in self.sinks:
            sink.add(record)
