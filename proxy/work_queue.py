"""What waits for the compressor, in which order, in which batches, and what is refused at once.

A request is a few texts and a deadline. Texts of one method are taken together, across requests, up
to what is done in about a quarter of a second, so that nothing runs long while something urgent
waits. Who comes first: a request counts from the moment at which it would be done if it were alone,
or from its last chance to begin, whichever is sooner; so short requests pass long ones, long ones
are not passed for ever, and none that can still be met is missed for one that can wait.
`elision.proxy.pace` says how long things take. Nothing here runs anything. Safe for several threads.
"""

import threading
import time
from bisect import bisect_right, insort
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from elision.compressors.base import Job, Method, Outcome
from elision.proxy.pace import Pace, size_of
from elision.proxy.wire import Answer, Compress, Compressed, Failed, Prepare, Refusal

BATCH_S = 0.25
"""Seconds that a batch should take: long enough to fill a device, short enough to wait for."""
_LEAST_TOKENS, _MOST_TOKENS = 2048, 65_536
"""Bounds of a batch, whatever its pace; one text always fits."""
_MOST_JOBS = 256
GATHER_S = 0.002
"""Requests that arrive within so many seconds of one another wait so long for company."""
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


@dataclass(eq=False, slots=True)
class Request:
    """Texts to shorten, for somebody who waits until `expires` (monotonic seconds).

    Attributes:
        reply: takes the answer; called once at most.
        sizes: of the texts, in tokens as estimated.
        waiting: indices of the texts that were not taken yet.
        urgency: who comes first, in monotonic seconds; set by the queue.
        over: answered, or nobody waits any more.
    """

    question: Compress
    reply: Callable[[Answer], None]
    arrived: float
    expires: float
    sizes: tuple[int, ...] = ()
    waiting: list[int] = field(default_factory=list)
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    urgency: float = 0.0
    over: bool = False

    def __post_init__(self) -> None:
        """Measure the texts."""
        self.sizes = tuple(size_of(job.text) for job in self.question.jobs)
        self.waiting = list(range(len(self.sizes)))

    def fail(self, reason: Refusal, detail: str = "") -> None:
        """Answer that there will be no outcomes."""
        if not self.over:
            self.over = True
            self.reply(Failed(self.question.id, reason, detail))

    def done(self, index: int, outcome: Outcome) -> None:
        """Take one text's outcome; answer when all are there."""
        self.outcomes[index] = outcome
        if not self.over and len(self.outcomes) == len(self.sizes):
            self.over = True
            made = tuple(self.outcomes[at] for at in range(len(self.sizes)))
            self.reply(Compressed(self.question.id, made))


@dataclass(frozen=True, slots=True)
class Preparation:
    """Methods to prepare, whom to tell, and why some could not even be loaded."""

    question: Prepare
    reply: Callable[[Answer], None]
    failed: dict[Method, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Batch:
    """Texts of one method, each by its request and its index there.

    Attributes:
        expected_s: how long it should take; 0.0 if nobody knows.
    """

    method: Method
    tasks: tuple[tuple[Request, int], ...]
    tokens: int
    expected_s: float

    @property
    def jobs(self) -> tuple[Job, ...]:
        """The texts as jobs."""
        return tuple(request.question.jobs[index] for request, index in self.tasks)

    @property
    def requests(self) -> tuple[Request, ...]:
        """Whose texts they are, each once."""
        return tuple(dict.fromkeys(request for request, _ in self.tasks))

    @property
    def urgency(self) -> float:
        """Of the most urgent request."""
        return self.tasks[0][0].urgency

    def wanted(self, now: float) -> bool:
        """Whether anybody still waits for any of it."""
        return any(not request.over and request.expires > now for request, _ in self.tasks)


class WorkQueue:
    """Requests in the order of their urgency, and preparations, which go first.

    Args:
        limits: beyond which requests are refused.
        clock: monotonic seconds.
    """

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._changed = threading.Condition()
        self._requests: list[Request] = []
        self._preparations: list[Preparation] = []
        self._paces: dict[Method, Pace] = defaultdict(Pace)
        self._tried: dict[Method, float] = {}
        self._busy_until = 0.0
        self._running = 0
        self._last_arrival = float("-inf")
        self._crowded = False

    def prepare(self, preparation: Preparation) -> None:
        """Add a preparation; it is never refused."""
        with self._changed:
            self._preparations.append(preparation)
            self._changed.notify()

    def put(self, request: Request) -> Refusal | None:
        """Add a request, or return why it is refused; a refused one is not answered here."""
        with self._changed:
            now = self._clock()
            self._crowded = now - self._last_arrival < GATHER_S
            self._last_arrival = now
            alone_s = self._seconds(self._sizes((request,)))
            request.urgency = min(request.arrived + alone_s, request.expires - alone_s)
            refusal = self._refusal(request, alone_s, now)
            if refusal is None:
                insort(self._requests, request, key=lambda waiting: waiting.urgency)
                self._changed.notify()
            return refusal

    def drop(self, request: Request) -> None:
        """Forget a request that nobody waits for."""
        with self._changed:
            request.over = True
            if request in self._requests:
                self._requests.remove(request)

    def take(self) -> Batch | Preparation:
        """Wait for something to do, and return it; whoever takes a batch must call `ran`."""
        while True:
            with self._changed:
                while not self._requests and not self._preparations:
                    self._changed.wait()
                if self._preparations:
                    return self._preparations.pop(0)
                self._gather()
                batch = self._batch()
                if batch is not None:
                    return batch

    def take_before(self, urgency: float) -> Batch | None:
        """Return a short batch that is more urgent than what runs now, if there is one."""
        with self._changed:
            self._bury()
            first = next(iter(self._requests), None)
            if first is None or first.urgency >= urgency:
                return None
            if sum(first.sizes[index] for index in first.waiting) > self._room(self._next_method(first)):
                return None
            return self._batch()

    def share(self, outcomes: Mapping[Job, Outcome]) -> None:
        """Give what was made to those who wait for the same, so that it is made once."""
        with self._changed:
            for request in self._requests:
                jobs = request.question.jobs
                for index in [index for index in request.waiting if jobs[index] in outcomes]:
                    request.waiting.remove(index)
                    request.done(index, outcomes[jobs[index]])
            self._bury()

    def ran(self, batch: Batch, seconds: float, *, whole: bool) -> None:
        """Take note of what a batch took; of one that was broken off nothing is learned."""
        with self._changed:
            if whole:
                self._paces[batch.method].learn(batch.tokens, seconds)
            self._running -= 1
            # What was put aside for this batch ends as much later.
            self._busy_until = self._busy_until + seconds - batch.expected_s if self._running else 0.0

    def tokens_per_s(self) -> dict[Method, float]:
        """Return each method's pace, where it is known."""
        with self._changed:
            known = {method: pace.seconds_for(10_000) for method, pace in self._paces.items()}
            return {method: 10_000 / seconds for method, seconds in known.items() if seconds}

    def _refusal(self, request: Request, alone_s: float, now: float) -> Refusal | None:
        left_s = request.expires - now
        if left_s <= 0:
            return Refusal.DEADLINE
        jobs = sum(len(waiting.waiting) for waiting in self._requests)
        tokens = sum(waiting.sizes[index] for waiting in self._requests for index in waiting.waiting)
        is_full = (
            jobs + len(request.sizes) > self._limits.jobs or tokens + sum(request.sizes) > self._limits.tokens
        )
        if jobs and is_full:
            return Refusal.QUEUE_FULL
        if alone_s > left_s:
            return None if self._may_try(request, now) else Refusal.TOO_LONG
        return None if self._is_met(request, now) else Refusal.OVERLOADED

    def _is_met(self, request: Request, now: float) -> bool:
        """Whether a request would be done in time, and take no other's time that is enough without it."""
        running_s = max(self._busy_until - now, 0.0)
        place = bisect_right(self._requests, request.urgency, key=lambda waiting: waiting.urgency)
        before, behind = self._requests[:place], self._requests[place:]
        without = self._sizes(before)
        within = self._sizes((*before, request))
        if running_s + self._seconds(within) > request.expires - now:
            return False
        for other in behind:
            for method, size in self._sizes((other,)).items():
                without[method] += size
                within[method] += size
            left_s = other.expires - now - running_s
            if self._seconds(without) <= left_s < self._seconds(within):
                return False
        return True

    def _may_try(self, request: Request, now: float) -> bool:
        """Whether an idle compressor may find out if it is faster than it thinks."""
        if self._requests or self._running:
            return False
        methods = {job.method for job in request.question.jobs}
        due = any(now - self._tried.get(method, float("-inf")) >= TRY_AGAIN_S for method in methods)
        if due:
            self._tried.update(dict.fromkeys(methods, now))
        return due

    def _sizes(self, requests: Sequence[Request]) -> dict[Method, int]:
        """Return the tokens of each method that the requests still wait for."""
        sizes: dict[Method, int] = defaultdict(int)
        for request in requests:
            for index in request.waiting:
                sizes[request.question.jobs[index].method] += request.sizes[index]
        return sizes

    def _seconds(self, sizes: dict[Method, int]) -> float:
        return sum(
            self._paces[method].seconds_for(tokens)
            for method, tokens in sizes.items()
            if method in self._paces
        )

    def _gather(self) -> None:
        """Where requests arrive closely, wait a little for more; one that comes alone goes at once."""
        end = min((request.arrived for request in self._requests), default=0.0) + GATHER_S
        while self._crowded and self._requests and (left := end - self._clock()) > 0:
            method = self._next_method(self._requests[0])
            if self._sizes(self._requests)[method] >= self._room(method):
                return
            self._changed.wait(left)

    def _bury(self) -> None:
        """Take out what nobody waits for any more, and tell those who may still listen."""
        now = self._clock()
        for request in self._requests:
            if request.expires <= now:
                request.fail(Refusal.DEADLINE, "expired in the queue")
        self._requests = [request for request in self._requests if not request.over and request.waiting]

    def _batch(self) -> Batch | None:
        """Take the most urgent request's method, and all texts of it that fit."""
        self._bury()
        if not self._requests:
            return None
        method = self._next_method(self._requests[0])
        room = self._room(method)
        tasks: list[tuple[Request, int]] = []
        tokens = 0
        for request, index in self._waiting(method):
            size = request.sizes[index]
            if tasks and (tokens + size > room or len(tasks) >= _MOST_JOBS):
                break
            tasks.append((request, index))
            tokens += size
        for request, index in tasks:
            request.waiting.remove(index)
        self._bury()
        expected_s = self._paces[method].seconds_for(tokens)
        self._busy_until = max(self._busy_until, self._clock()) + expected_s
        self._running += 1
        return Batch(method, tuple(tasks), tokens, expected_s)

    def _waiting(self, method: Method) -> Iterator[tuple[Request, int]]:
        for request in self._requests:
            for index in request.waiting:
                if request.question.jobs[index].method == method:
                    yield request, index

    def _next_method(self, request: Request) -> Method:
        return request.question.jobs[request.waiting[0]].method

    def _room(self, method: Method) -> float:
        return min(max(self._paces[method].tokens_in(BATCH_S), _LEAST_TOKENS), _MOST_TOKENS)
