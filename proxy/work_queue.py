"""What waits for the compressor, in which order, in which batches, and what is refused at once.

An order is one text with a deadline; those that one request of a client places together know of
one another's size. Texts of one method are taken together up to what is done in about a quarter of
a second, so that nothing runs long while something urgent waits. Who comes first: an order counts
from the moment at which it and those beside it would be done if they were alone, or from the last
chance to begin, whichever is sooner; so short requests pass long ones, long ones are not passed for
ever, and none that can still be met is missed for one that can wait. Equal jobs of one owner,
whichever worker sends them, are one piece of work: who comes later joins, and all hear the answer.
Another owner's is another piece: the time of an answer must not tell what others have sent.
`elision.proxy.pace` says how long things take. Nothing here runs anything. Safe for several threads.
"""

import threading
import time
from bisect import bisect_right, insort
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from elision.compressors.base import Job, Method, Result
from elision.proxy.pace import Pace, size_of
from elision.proxy.wire import Answer, Compress, Compressed, Failed, Prepare, Refusal

BATCH_S = 0.25
"""Seconds that a batch should take: long enough to fill a device, short enough to wait for."""
_LEAST_TOKENS, _MOST_TOKENS = 2048, 65_536
"""Bounds of a batch, whatever its pace; one text always fits."""
_MOST_JOBS = 256
GATHER_S = 0.002
"""Orders that arrive within so many seconds of one another wait so long for company."""
TRY_AGAIN_S = 10.0
"""So often an idle compressor takes what it expects to be too long, because it may be wrong."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may wait.

    Attributes:
        jobs: texts.
        tokens: of them all, as `elision.proxy.pace.size_of` estimates.
    """

    jobs: int
    tokens: int


class Work(NamedTuple):
    """What orders must have in common to share batches and a pace.

    Attributes:
        scored: scores come along, so that no text is read.
    """

    method: Method
    scored: bool = False


@dataclass(eq=False, slots=True)
class Order:
    """A text to shorten, for somebody who waits until `expires` (monotonic seconds).

    Attributes:
        reply: takes the answer; called once at most.
        size: of the text, in tokens as estimated.
        urgency: who comes first, in monotonic seconds; set by the queue.
        over: answered, or nobody waits any more.
        joined: orders of the same job, which came later and hear what this one hears.
    """

    question: Compress
    reply: Callable[[Answer], None]
    arrived: float
    expires: float
    size: int = 0
    urgency: float = 0.0
    over: bool = False
    joined: list["Order"] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Measure the text."""
        self.size = size_of(self.question.job.text)

    @property
    def name(self) -> tuple[bytes, Job]:
        """What equal orders have in common: the job, and whose it is."""
        return self.question.whose, self.question.job

    @property
    def work(self) -> Work:
        """What kind of work it is."""
        return Work(self.question.job.method, bool(self.question.scores))

    @property
    def everybody(self) -> tuple["Order", ...]:
        """This order and those that joined it."""
        return self, *self.joined

    def waits(self, now: float) -> bool:
        """Whether whoever placed this one still waits."""
        return not self.over and self.expires > now

    def wanted(self, now: float) -> bool:
        """Whether anybody waits for its outcome."""
        return any(order.waits(now) for order in self.everybody)

    def fail(self, reason: Refusal, detail: str = "") -> None:
        """Answer this one that there will be no outcome."""
        self._answer(Failed(self.question.id, reason, detail))

    def done(self, result: Result) -> None:
        """Answer this one with what became of the text."""
        self._answer(Compressed(self.question.id, result.outcome, result.scores))

    def _answer(self, answer: Answer) -> None:
        if not self.over:
            self.over = True
            self.reply(answer)


@dataclass(frozen=True, slots=True)
class Preparation:
    """Methods to prepare, whom to tell, and why some could not even be loaded."""

    question: Prepare
    reply: Callable[[Answer], None]
    failed: dict[Method, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Batch:
    """Orders of one kind of work, the most urgent first.

    Attributes:
        expected_s: how long it should take; 0.0 if nobody knows.
    """

    work: Work
    orders: tuple[Order, ...]
    tokens: int
    expected_s: float

    @property
    def jobs(self) -> tuple[Job, ...]:
        """The texts as jobs."""
        return tuple(order.question.job for order in self.orders)

    @property
    def scores(self) -> tuple[bytes, ...]:
        """What is known of each text, packed."""
        return tuple(order.question.scores for order in self.orders)

    @property
    def urgency(self) -> float:
        """Of the most urgent order."""
        return self.orders[0].urgency

    def wanted(self, now: float) -> bool:
        """Whether anybody still waits for any of it."""
        return any(order.wanted(now) for order in self.orders)


class WorkQueue:
    """Orders by their urgency, and preparations, which go first.

    Args:
        limits: beyond which orders are refused.
        clock: monotonic seconds.
    """

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._changed = threading.Condition()
        self._orders: list[Order] = []
        self._preparations: list[Preparation] = []
        self._leads: dict[tuple[bytes, Job], Order] = {}
        self._paces: dict[Work, Pace] = defaultdict(Pace)
        self._tried: dict[Work, float] = {}
        self._busy_until = 0.0
        self._running = 0
        self._underway: Batch | None = None
        self._passed_before = float("-inf")
        self._last_arrival = float("-inf")
        self._crowded = False

    def prepare(self, preparation: Preparation) -> None:
        """Add a preparation; it is never refused."""
        with self._changed:
            self._preparations.append(preparation)
            self._changed.notify()

    def put(self, order: Order) -> Refusal | None:
        """Add an order, or return why it is refused; a refused one is not answered here."""
        with self._changed:
            now = self._clock()
            self._crowded = now - self._last_arrival < GATHER_S
            self._last_arrival = now
            order.urgency = self._urgency(order)
            lead = self._leads.get(order.name)
            if lead is not None and lead.wanted(now):
                return self._join(lead, order, now)
            refusal = self._refusal(order, now)
            if refusal is None:
                self._insert(order)
            return refusal

    def drop(self, order: Order) -> None:
        """Forget an order whose sender has left; its work goes on while others wait for it."""
        with self._changed:
            order.over = True
            self._bury()

    def prolong(self, order: Order, expires: float) -> None:
        """Let an order wait longer than was said; its place stays."""
        with self._changed:
            order.expires = max(order.expires, expires)

    def done(self, order: Order, result: Result) -> None:
        """Answer an order that ran, and all that joined it."""
        for one in self._finished(order):
            # Scores for one who had them would say that his could not be read.
            spare = one.question.scores and not order.question.scores
            one.done(Result(result.outcome) if spare else result)

    def fail(self, order: Order, reason: Refusal, detail: str = "") -> None:
        """Answer an order that failed, and all that joined it."""
        for one in self._finished(order):
            one.fail(reason, detail)

    def expire(self, order: Order) -> None:
        """Answer an order that was given up; who joined it at that moment and has time, waits anew."""
        everybody, now = self._finished(order), self._clock()
        for one in everybody:
            if one.expires <= now:
                one.fail(Refusal.DEADLINE, "its time was over while it ran")
        for one in everybody:
            if one.waits(now) and (refusal := self.put(one)) is not None:
                one.fail(refusal)

    def take(self) -> Batch | Preparation:
        """Wait for something to do, and return it; whoever takes a batch must call `ran`."""
        while True:
            with self._changed:
                while not self._orders and not self._preparations:
                    self._changed.wait()
                if self._preparations:
                    return self._preparations.pop(0)
                self._gather()
                batch = self._batch()
                if batch is not None:
                    self._underway = batch
                    return batch

    def take_before(self, urgency: float) -> Batch | None:
        """Return a short batch that is more urgent than what runs, which thus gives way, if any."""
        with self._changed:
            self._passed_before = urgency
            self._bury()
            first = next(iter(self._orders), None)
            if first is None or not self._passes(first):
                return None
            return self._batch()

    def ran(self, batch: Batch, seconds: float, *, whole: bool) -> None:
        """Take note of what a batch took; of one that was broken off nothing is learned."""
        with self._changed:
            if whole:
                self._paces[batch.work].learn(batch.tokens, seconds)
            self._running -= 1
            if not self._running:
                self._underway, self._passed_before = None, float("-inf")
            # What was put aside for this batch ends as much later.
            self._busy_until = self._busy_until + seconds - batch.expected_s if self._running else 0.0

    def tokens_per_s(self) -> dict[Method, float]:
        """Return the pace at which each method reads texts, where it is known."""
        with self._changed:
            known = {work: pace.seconds_for(10_000) for work, pace in self._paces.items() if not work.scored}
            return {work.method: 10_000 / seconds for work, seconds in known.items() if seconds}

    def _insert(self, order: Order) -> None:
        self._leads[order.name] = order
        insort(self._orders, order, key=lambda waiting: waiting.urgency)
        self._changed.notify()

    def _join(self, lead: Order, order: Order, now: float) -> Refusal | None:
        """Let an order have what another is to have; where that waits and is later, it moves forward."""
        if order.expires <= now:
            return Refusal.DEADLINE
        refusal = None
        if lead in self._orders and order.urgency < lead.urgency:
            self._orders.remove(lead)
            refusal = self._refusal(order, now)
            if refusal is None:
                lead.urgency = order.urgency
            self._insert(lead)
        elif lead in self._orders:
            before = self._orders[: self._orders.index(lead) + 1]
            is_late = self._running_s(now) + self._seconds(_sizes(before)) > order.expires - now
            refusal = Refusal.OVERLOADED if is_late else None
        if refusal is None:
            lead.joined.append(order)
        return refusal

    def _finished(self, order: Order) -> tuple[Order, ...]:
        """Let nobody join an order any more; return it and those who have."""
        with self._changed:
            everybody = order.everybody
            order.joined = []
            self._forget(order)
            return everybody

    def _forget(self, order: Order) -> None:
        if self._leads.get(order.name) is order:
            del self._leads[order.name]

    def _urgency(self, order: Order) -> float:
        whole_s = self._seconds({order.work: order.size + order.question.beside})
        if order.arrived + whole_s > order.expires:
            return order.arrived + whole_s  # not all can be met, so that none of it is more urgent
        return min(order.arrived + whole_s, order.expires - whole_s)

    def _refusal(self, order: Order, now: float) -> Refusal | None:
        if order.expires <= now:
            return Refusal.DEADLINE
        tokens = sum(waiting.size for waiting in self._orders)
        is_full = len(self._orders) >= self._limits.jobs or tokens + order.size > self._limits.tokens
        if self._orders and is_full:
            return Refusal.QUEUE_FULL
        if self._seconds({order.work: order.size}) > order.expires - now:
            return None if self._may_try(order, now) else Refusal.TOO_LONG
        return None if self._is_met(order, now) else Refusal.OVERLOADED

    def _is_met(self, order: Order, now: float) -> bool:
        """Whether an order would be done in time, and take no other's time that is enough without it."""
        running_s = self._running_s(now)
        place = bisect_right(self._orders, order.urgency, key=lambda waiting: waiting.urgency)
        without = _sizes(self._orders[:place])
        within = defaultdict(int, without)
        within[order.work] += order.size
        whole_s = self._seconds(within)
        passes = all(map(self._passes, (*self._orders[:place], order)))
        if whole_s + (0.0 if passes else running_s) > order.expires - now:
            return False
        underway = self._underway.orders if passes and self._underway else ()
        if any(running_s <= other.expires - now < running_s + whole_s for other in underway):
            return False
        for other in self._orders[place:]:
            without[other.work] += other.size
            within[other.work] += other.size
            left_s = other.expires - now - running_s
            if self._seconds(without) <= left_s < self._seconds(within):
                return False
        return True

    def _passes(self, order: Order) -> bool:
        """Whether an order would be done in the next break of what runs, which is known to have some."""
        return order.urgency < self._passed_before and order.size <= self._room(order.work)

    def _running_s(self, now: float) -> float:
        """Return how long what runs will go on, as far as is known."""
        return max(self._busy_until - now, 0.0)

    def _may_try(self, order: Order, now: float) -> bool:
        """Whether an idle compressor may find out if it is faster than it thinks."""
        if self._orders or self._running or now - self._tried.get(order.work, float("-inf")) < TRY_AGAIN_S:
            return False
        self._tried[order.work] = now
        return True

    def _seconds(self, sizes: dict[Work, int]) -> float:
        return sum(
            self._paces[work].seconds_for(tokens) for work, tokens in sizes.items() if work in self._paces
        )

    def _gather(self) -> None:
        """Where orders arrive closely, wait a little for more; one that comes alone goes at once."""
        end = min((order.arrived for order in self._orders), default=0.0) + GATHER_S
        while self._crowded and self._orders and (left := end - self._clock()) > 0:
            work = self._orders[0].work
            if _sizes(self._orders)[work] >= self._room(work):
                return
            self._changed.wait(left)

    def _bury(self) -> None:
        """Take out what nobody waits for any more, and tell those who may still listen."""
        now = self._clock()
        for order in self._orders:
            for one in order.everybody:
                if one.expires <= now:
                    one.fail(Refusal.DEADLINE, "expired in the queue")
            if not order.wanted(now):
                self._forget(order)
        self._orders = [order for order in self._orders if order.wanted(now)]

    def _batch(self) -> Batch | None:
        """Take the most urgent order's kind of work, and all orders of it that fit, by their urgency."""
        self._bury()
        if not self._orders:
            return None
        work = self._orders[0].work
        room = self._room(work)
        orders: list[Order] = []
        tokens = 0
        for order in self._orders:
            if order.work != work:
                continue
            if orders and (tokens + order.size > room or len(orders) >= _MOST_JOBS):
                break
            orders.append(order)
            tokens += order.size
        taken = set(orders)
        self._orders = [order for order in self._orders if order not in taken]
        expected_s = self._paces[work].seconds_for(tokens)
        self._busy_until = max(self._busy_until, self._clock()) + expected_s
        self._running += 1
        return Batch(work, tuple(orders), tokens, expected_s)

    def _room(self, work: Work) -> float:
        return min(max(self._paces[work].tokens_in(BATCH_S), _LEAST_TOKENS), _MOST_TOKENS)


def _sizes(orders: Iterable[Order]) -> dict[Work, int]:
    """Return the tokens of each kind of work."""
    sizes: dict[Work, int] = defaultdict(int)
    for order in orders:
        sizes[order.work] += order.size
    return sizes
