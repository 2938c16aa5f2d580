"""Who comes first, what shares a batch, what is refused at once: all by a clock that tests move."""

import threading

import pytest

from elision.compressors.base import Method, Outcome
from elision.proxy.wire import Prepare, Refusal
from elision.proxy.work_queue import GATHER_S, TRY_AGAIN_S, Batch, Limits, Preparation, WorkQueue
from fakes.works import HALVE, Works

OTHER = Method("other")
ROOMY = Limits(jobs=1000, tokens=10**9)


def taken(queue: WorkQueue) -> list[tuple[int, int]]:
    """Take a batch; return its texts as (request, index)."""
    batch = queue.take()
    assert isinstance(batch, Batch)
    return [(request.question.id, index) for request, index in batch.tasks]


def known_pace(queue: WorkQueue, works: Works, tokens_per_s: float) -> None:
    """Let the queue see three batches of that pace."""
    for _ in range(3):
        queue.put(works.request(0, 1000))
        batch = queue.take()
        assert isinstance(batch, Batch)
        queue.ran(batch, 1000 / tokens_per_s, whole=True)


def test_what_waits_is_taken_together() -> None:
    """So that requests share a batch, in the order in which they came."""
    works = Works()
    queue = WorkQueue(ROOMY, works.clock)
    for number in range(3):
        assert queue.put(works.request(number, 10, 10)) is None
        works.now += 1
    assert taken(queue) == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)]


def test_a_batch_has_one_method() -> None:
    """That of the most urgent request; the others' texts follow."""
    works = Works()
    queue = WorkQueue(ROOMY, works.clock)
    queue.put(works.request(1, 10, 10, methods=(HALVE, OTHER)))
    queue.put(works.request(2, 10, methods=(OTHER,)))
    assert [taken(queue), taken(queue)] == [[(1, 0)], [(1, 1), (2, 0)]]


def test_a_batch_is_bounded_in_tokens_but_one_text_always_fits() -> None:
    """2,048 tokens while nobody knows the pace; a long request is taken in slices."""
    works = Works()
    queue = WorkQueue(ROOMY, works.clock)
    queue.put(works.request(1, 5000, 1500, 500, 100))
    assert [taken(queue) for _ in range(3)] == [[(1, 0)], [(1, 1), (1, 2)], [(1, 3)]]


def test_a_batch_is_bounded_in_texts() -> None:
    """256 of them, however short."""
    works = Works()
    queue = WorkQueue(ROOMY, works.clock)
    queue.put(works.request(1, *[1] * 300))
    assert [len(taken(queue)) for _ in range(2)] == [256, 44]


def test_a_batch_grows_to_what_a_quarter_of_a_second_does() -> None:
    """Once the pace is known: 40,000 tokens a second make 10,000 tokens a batch."""
    works = Works()
    queue = WorkQueue(ROOMY, works.clock)
    known_pace(queue, works, 40_000)
    queue.put(works.request(1, *[1000] * 12))
    assert [len(taken(queue)) for _ in range(2)] == [10, 2]


def test_short_requests_pass_long_ones_but_not_for_ever() -> None:
    """A request of ten seconds' work lets those pass that arrive within its first ten seconds."""
    works = Works()
    queue = WorkQueue(ROOMY, works.clock)
    known_pace(queue, works, 1000)
    queue.put(works.request(1, 10_000))
    works.now += 5
    queue.put(works.request(2, 100))
    works.now += 6
    queue.put(works.request(3, 3000))
    assert [taken(queue)[0][0] for _ in range(3)] == [2, 1, 3]


def test_what_must_begin_now_goes_before_what_can_wait() -> None:
    """A long request whose deadline is near is not missed for a short one that has time."""
    works = Works()
    queue = WorkQueue(ROOMY, works.clock)
    known_pace(queue, works, 1000)
    queue.put(works.request(1, 10_000, patience_s=10.5))
    works.now += 0.4
    queue.put(works.request(2, 1000))
    assert taken(queue)[0][0] == 1


def test_what_cannot_be_done_in_time_is_refused_at_once() -> None:
    """Alone it takes too long, or what is before it does; each has its own word."""
    works = Works()
    queue = WorkQueue(ROOMY, works.clock)
    known_pace(queue, works, 1000)
    assert queue.put(works.request(1, 3000)) is None
    assert queue.put(works.request(2, 5000, patience_s=4)) is Refusal.TOO_LONG
    works.now += 1
    assert queue.put(works.request(3, 2500, patience_s=5)) is Refusal.OVERLOADED
    assert queue.put(works.request(4, 900, patience_s=4)) is None, "it passes the long one"
    assert queue.put(works.request(5, 1, patience_s=0)) is Refusal.DEADLINE


def test_nothing_is_taken_that_would_make_another_late() -> None:
    """What was taken can be relied on; what can wait may be passed."""
    works = Works()
    queue = WorkQueue(ROOMY, works.clock)
    known_pace(queue, works, 1000)
    assert queue.put(works.request(1, 3000, patience_s=4)) is None
    assert queue.put(works.request(2, 3500, patience_s=4)) is Refusal.OVERLOADED, "it would pass the first"
    assert queue.put(works.request(3, 500, patience_s=4)) is None
    assert queue.put(works.request(4, 900, patience_s=4)) is Refusal.OVERLOADED


def test_what_runs_counts_as_being_before() -> None:
    """And no longer once it has run."""
    works = Works()
    queue = WorkQueue(ROOMY, works.clock)
    known_pace(queue, works, 1000)
    queue.put(works.request(1, 3000))
    batch = queue.take()
    assert isinstance(batch, Batch)
    works.now += 1
    assert queue.put(works.request(2, 1000, patience_s=2.5)) is Refusal.OVERLOADED
    assert queue.put(works.request(3, 1000, patience_s=3.5)) is None
    queue.ran(batch, 3, whole=True)
    assert queue.put(works.request(4, 1000, patience_s=2.5)) is None


def test_a_pace_that_is_not_known_refuses_nothing() -> None:
    """The first requests are how it is learned."""
    works = Works()
    queue = WorkQueue(ROOMY, works.clock)
    assert queue.put(works.request(1, 10**6, patience_s=0.1)) is None


def test_an_idle_compressor_tries_now_and_then_what_it_thinks_too_long() -> None:
    """What was learned from small batches, or on a busy machine, may be wrong of large ones."""
    works = Works()
    queue = WorkQueue(ROOMY, works.clock)
    known_pace(queue, works, 1000)
    told = []
    for _ in range(2):
        for _ in range(2):
            refusal = queue.put(request := works.request(1, 5000, patience_s=1))
            told.append(refusal)
            queue.drop(request)
        works.now += TRY_AGAIN_S
    assert told == [None, Refusal.TOO_LONG] * 2


def test_a_full_queue_refuses_but_never_the_first() -> None:
    """In texts and in tokens; a request that is larger than the limits is taken where nothing waits."""
    works = Works()
    by_jobs = WorkQueue(Limits(jobs=2, tokens=10**9), works.clock)
    assert by_jobs.put(works.request(1, 1, 1, 1)) is None
    assert by_jobs.put(works.request(2, 1)) is Refusal.QUEUE_FULL
    by_tokens = WorkQueue(Limits(jobs=100, tokens=100), works.clock)
    told = [by_tokens.put(works.request(number, 60)) for number in range(2)]
    assert told == [None, Refusal.QUEUE_FULL]


def test_what_was_made_is_given_to_all_who_wait_for_the_same() -> None:
    """A document that many ask about at once is read once; what else they ask for is still to do."""
    works = Works()
    queue = WorkQueue(ROOMY, works.clock)
    first, same, more = works.request(1, 10), works.request(2, 10), works.request(3, 10, 10)
    for request in (first, same, more):
        queue.put(request)
    [job] = first.question.jobs
    queue.drop(first)
    queue.share({job: Outcome("aa", 10, 1, (), "halve", "f")})
    assert works.listener.told == [(2, "")]
    assert taken(queue) == [(3, 1)]


def test_what_expired_or_was_dropped_is_not_taken() -> None:
    """The late one is told, nobody listens for the dropped one; what waits no longer fills no queue."""
    works = Works()
    queue = WorkQueue(Limits(jobs=3, tokens=10**9), works.clock)
    late, dropped, live = works.request(1, 1, patience_s=1), works.request(2, 1), works.request(3, 1)
    for request in (late, dropped, live):
        queue.put(request)
    queue.drop(dropped)
    works.now += 2
    assert taken(queue) == [(3, 0)]
    assert works.listener.told == [(1, "deadline")]
    assert queue.put(works.request(4, 1)) is None


def test_a_preparation_goes_first_and_is_never_refused() -> None:
    """Whoever waits for a new method waits for what runs, not for what waits."""
    works = Works()
    queue = WorkQueue(Limits(jobs=1, tokens=1), works.clock)
    queue.put(works.request(1, 1))
    preparation = Preparation(Prepare(2, (HALVE,)), works.listener.answers.append)
    queue.prepare(preparation)
    assert queue.take() is preparation
    assert taken(queue) == [(1, 0)]


def test_only_what_is_short_and_more_urgent_is_done_in_between() -> None:
    """In the breaks of a long batch: not what is as long, nor what came in its turn."""
    works = Works()
    queue = WorkQueue(ROOMY, works.clock)
    known_pace(queue, works, 10_000)
    queue.put(works.request(1, 50_000))
    running = queue.take()
    assert isinstance(running, Batch)
    assert queue.take_before(running.urgency) is None
    queue.put(works.request(2, 20_000))
    assert queue.take_before(running.urgency) is None, "too long"
    queue.put(works.request(3, 1000))
    urgent = queue.take_before(running.urgency)
    assert urgent is not None
    assert [request.question.id for request in urgent.requests] == [3]
    works.now += 10
    queue.put(works.request(4, 1000))
    assert queue.take_before(running.urgency) is None, "it came too late to pass"


@pytest.mark.parametrize(("others", "waits"), [(0, False), (1, True)])
def test_a_lone_request_does_not_wait_for_company(others: int, waits: bool) -> None:
    """Only where requests arrive together does a batch wait a moment for more of them."""
    works = Works(tick=0.0)
    queue = WorkQueue(ROOMY, works.clock)
    for number in range(1 + others):
        queue.put(works.request(number, 1))
    got: list[list[tuple[int, int]]] = []
    thread = threading.Thread(target=lambda: got.append(taken(queue)))
    thread.start()
    # The clock of the test stands still, so that only a wait that never began can be over.
    thread.join(0.2 if waits else 5)
    assert thread.is_alive() == waits
    works.now += GATHER_S
    queue.put(works.request(9, 1))
    thread.join(5)
    assert len(got[0]) == 1 + (others + 1 if waits else 0)


def test_the_pace_is_told_where_it_is_known() -> None:
    """For logs and benchmarks; a batch that was broken off teaches nothing."""
    works = Works()
    queue = WorkQueue(ROOMY, works.clock)
    assert queue.tokens_per_s() == {}
    known_pace(queue, works, 5000)
    queue.put(works.request(1, 1000))
    batch = queue.take()
    assert isinstance(batch, Batch)
    queue.ran(batch, 100, whole=False)
    assert queue.tokens_per_s() == pytest.approx({HALVE: 5000})
