"""The queue and the service of the compressor process; the process itself is in test_worker."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from elision.compressors.base import Job, Method, Outcome, Target
from elision.proxy.wire import Answer, Compress, Prepare
from elision.proxy.worker_process import Service, Work, WorkerOptions, WorkQueue

JOB = Job("abcd", Method("m"), Target(rate=0.5))


@dataclass
class Batches:
    """An engine that remembers the sizes of its batches, and can be told to wait."""

    sizes: list[int] = field(default_factory=list)
    wait: Callable[[], None] = lambda: None

    def prepare(self, method: Method) -> str:
        return method.name

    def run(self, jobs: Sequence[Job]) -> list[Outcome]:
        self.sizes.append(len(jobs))
        self.wait()
        return [Outcome(job.text[:2], 4, 2, (), "m", "f") for job in jobs]


def work(number: int, jobs: int = 1, *, replies: list[Answer] | None = None, expires_s: float = 60.0) -> Work:
    told: list[Answer] = [] if replies is None else replies
    question = Compress(number, (JOB,) * jobs, expires_s)
    return Work(question, told.append, time.monotonic() + expires_s)


def ids(works: Sequence[Work]) -> list[int]:
    return [item.question.id for item in works]


def test_what_waits_is_taken_together() -> None:
    """So that requests share a batch."""
    queue = WorkQueue(limit=9)
    for number in range(3):
        assert queue.put(work(number))
    assert ids(queue.take()) == [0, 1, 2]


def test_a_batch_is_bounded_and_order_is_kept() -> None:
    """256 jobs, but one request always fits."""
    queue = WorkQueue(limit=9)
    for number, jobs in enumerate((200, 57, 1, 999)):
        queue.put(work(number, jobs))
    assert [ids(queue.take()) for _ in range(3)] == [[0], [1, 2], [3]]


def test_a_preparation_is_taken_alone_and_never_refused() -> None:
    """Weights load between batches."""
    queue = WorkQueue(limit=1)
    queue.put(work(1))
    assert not queue.put(work(2))
    assert queue.put(Work(Prepare(3, ()), lambda _: None, float("inf")))
    assert [ids(queue.take()) for _ in range(2)] == [[1], [3]]


def test_expired_and_cancelled_work_is_not_done() -> None:
    """The late one is told so, nobody listens for the cancelled one."""
    engine = Batches()
    service = Service(engine, WorkerOptions(socket=""))
    replies: list[Answer] = []
    late, live, cancelled = (
        work(1, replies=replies, expires_s=-1),
        work(2, replies=replies),
        work(3, replies=replies),
    )
    cancelled.cancelled = True
    service.do([late, live, cancelled])
    assert engine.sizes == [1]
    assert [(type(answer).__name__, answer.id) for answer in replies] == [("Failed", 1), ("Compressed", 2)]


def test_a_service_is_stuck_only_while_a_batch_runs_too_long() -> None:
    """Idle is not stuck."""
    engine = Batches()
    service = Service(engine, WorkerOptions(socket="", stuck_after_s=-1.0))
    seen: list[bool] = []
    engine.wait = lambda: seen.append(service.stuck)
    assert not service.stuck
    service.do([work(1)])
    assert (seen, service.stuck) == ([True], False)
