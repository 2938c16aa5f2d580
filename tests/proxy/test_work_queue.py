"""Who comes first, what shares a batch, what is refused at once: all by a clock that tests move."""

import threading

import pytest
from msgspec.structs import replace

from elision.compressors.base import Method, Outcome, Result
from elision.proxy.wire import Compressed, Prepare, Refusal
from elision.proxy.work_queue import GATHER_S, TRY_AGAIN_S, Batch, Limits, Order, Preparation, WorkQueue
from fakes.works import HALVE, Works

OTHER = Method("other")
ROOMY = Limits(jobs=1000, tokens=10**9)
RESULT = Result(Outcome("aa", 10, 1, (), "halve", "f"), b"scores")


def taken(queue: WorkQueue) -> list[int]:
    """Take a batch; return the numbers of its orders."""
    batch = queue.take()
    assert isinstance(batch, Batch)
    return [order.question.id for order in batch.orders]


def known_pace(queue: WorkQueue, works: Works, tokens_per_s: float) -> None:
    """Let the queue see three batches of that pace."""
    for number in range(9000, 9003):
        queue.put(works.order(number, 1000))
        batch = queue.take()
        assert isinstance(batch, Batch)
        queue.ran(batch, 1000 / tokens_per_s, whole=True)


def put(queue: WorkQueue, works: Works, *tokens: int, beside: int = 0) -> None:
    """Place orders of so many tokens, numbered from 1."""
    for number, size in enumerate(tokens, 1):
        assert queue.put(works.order(number, size, beside=beside)) is None


def test_what_waits_is_taken_together() -> None:
    """So that requests share a batch, in the order in which they came."""
    works = Works()
    queue = WorkQueue(ROOMY, works.clock)
    put(queue, works, 10, 10, 10)
    assert taken(queue) == [1, 2, 3]


def test_a_batch_has_one_method() -> None:
    """That of the most urgent order; the others' follow."""
    works = Works()
    queue = WorkQueue(ROOMY, works.clock)
    for number, method in enumerate((HALVE, OTHER, HALVE)):
        queue.put(works.order(number, 10, method=method))
    assert [taken(queue), taken(queue)] == [[0, 2], [1]]


def test_a_batch_is_bounded_in_tokens_but_one_text_always_fits() -> None:
    """2,048 tokens while nobody knows the pace."""
    works = Works()
    queue = WorkQueue(ROOMY, works.clock)
    put(queue, works, 5000, 1500, 500, 100)
    assert [taken(queue) for _ in range(3)] == [[1], [2, 3], [4]]


def test_a_batch_is_bounded_in_texts() -> None:
    """256 of them, however short."""
    works = Works()
    queue = WorkQueue(ROOMY, works.clock)
    put(queue, works, *[1] * 300)
    assert [len(taken(queue)) for _ in range(2)] == [256, 44]


def test_a_batch_grows_to_what_a_quarter_of_a_second_does() -> None:
    """Once the pace is known: 40,000 tokens a second make 10,000 tokens a batch."""
    works = Works()
    queue = WorkQueue(ROOMY, works.clock)
    known_pace(queue, works, 40_000)
    put(queue, works, *[1000] * 12)
    assert [len(taken(queue)) for _ in range(2)] == [10, 2]


def test_short_requests_pass_long_ones_but_not_for_ever() -> None:
    """A text of ten seconds' work lets those pass that arrive within its first ten seconds."""
    works = Works()
    queue = WorkQueue(ROOMY, works.clock)
    known_pace(queue, works, 1000)
    queue.put(works.order(1, 10_000))
    works.now += 5
    queue.put(works.order(2, 100))
    works.now += 6
    queue.put(works.order(3, 3000))
    assert [taken(queue)[0] for _ in range(3)] == [2, 1, 3]


def test_many_short_texts_of_one_request_are_a_long_one() -> None:
    """A conversation of a hundred texts does not hold up a question asked after it."""
    works = Works()
    queue = WorkQueue(ROOMY, works.clock)
    known_pace(queue, works, 1000)
    put(queue, works, *[100] * 100, beside=9900)
    works.now += 1
    queue.put(works.order(999, 100))
    assert taken(queue)[0] == 999


def test_of_a_request_that_cannot_be_met_whole_some_texts_are_taken() -> None:
    """As many as there is time for; the others are told at once."""
    works = Works()
    queue = WorkQueue(ROOMY, works.clock)
    known_pace(queue, works, 1000)
    told = [queue.put(works.order(number, 1000, beside=4000, patience_s=3.5)) for number in range(5)]
    assert told == [None] * 3 + [Refusal.OVERLOADED] * 2


def test_what_must_begin_now_goes_before_what_can_wait() -> None:
    """A long text whose deadline is near is not missed for a short one that has time."""
    works = Works()
    queue = WorkQueue(ROOMY, works.clock)
    known_pace(queue, works, 1000)
    queue.put(works.order(1, 10_000, patience_s=10.5))
    works.now += 0.4
    queue.put(works.order(2, 1000))
    assert taken(queue)[0] == 1


def test_what_cannot_be_done_in_time_is_refused_at_once() -> None:
    """Alone it takes too long, or what is before it does; each has its own word."""
    works = Works()
    queue = WorkQueue(ROOMY, works.clock)
    known_pace(queue, works, 1000)
    assert queue.put(works.order(1, 3000)) is None
    assert queue.put(works.order(2, 5000, patience_s=4)) is Refusal.TOO_LONG
    works.now += 1
    assert queue.put(works.order(3, 2500, patience_s=5)) is Refusal.OVERLOADED
    assert queue.put(works.order(4, 900, patience_s=4)) is None, "it passes the long one"
    assert queue.put(works.order(5, 1, patience_s=0)) is Refusal.DEADLINE


def test_nothing_is_taken_that_would_make_another_late() -> None:
    """What was taken can be relied on; what can wait may be passed."""
    works = Works()
    queue = WorkQueue(ROOMY, works.clock)
    known_pace(queue, works, 1000)
    assert queue.put(works.order(1, 3000, patience_s=4)) is None
    assert queue.put(works.order(2, 3500, patience_s=4)) is Refusal.OVERLOADED, "it would pass the first"
    assert queue.put(works.order(3, 500, patience_s=4)) is None
    assert queue.put(works.order(4, 900, patience_s=4)) is Refusal.OVERLOADED


def test_what_runs_counts_as_being_before() -> None:
    """And no longer once it has run."""
    works = Works()
    queue = WorkQueue(ROOMY, works.clock)
    known_pace(queue, works, 1000)
    queue.put(works.order(1, 3000))
    batch = queue.take()
    assert isinstance(batch, Batch)
    works.now += 1
    assert queue.put(works.order(2, 1000, patience_s=2.5)) is Refusal.OVERLOADED
    assert queue.put(works.order(3, 1000, patience_s=3.5)) is None
    queue.ran(batch, 3, whole=True)
    assert queue.put(works.order(4, 1000, patience_s=2.5)) is None


def test_what_runs_and_gives_way_is_before_nothing_that_passes_it() -> None:
    """Once it has made a break: a short request need not wait for the end of a text of five seconds."""
    works = Works()
    queue = WorkQueue(ROOMY, works.clock)
    known_pace(queue, works, 10_000)
    queue.put(works.order(1, 50_000))
    running = queue.take()
    assert isinstance(running, Batch)
    assert queue.put(works.order(2, 1000, patience_s=1)) is Refusal.OVERLOADED
    assert queue.take_before(running.urgency) is None
    assert queue.put(works.order(3, 1000, patience_s=1)) is None
    assert queue.put(works.order(4, 20_000, patience_s=4)) is Refusal.OVERLOADED, "it fits into no break"
    urgent = queue.take_before(running.urgency)
    assert urgent is not None
    queue.ran(urgent, 0.1, whole=True)
    order = works.order(5, 1000, patience_s=1)
    assert queue.put(order) is None
    queue.drop(order)
    queue.ran(running, 5, whole=True)
    queue.put(works.order(7, 50_000))
    queue.take()
    assert queue.put(works.order(8, 1000, patience_s=1)) is Refusal.OVERLOADED, "this one never gave way"


def test_nothing_passes_what_it_would_make_late() -> None:
    """What runs was taken, and is met."""
    works = Works()
    queue = WorkQueue(ROOMY, works.clock)
    known_pace(queue, works, 10_000)
    queue.put(works.order(1, 50_000, patience_s=5.2))
    running = queue.take()
    assert isinstance(running, Batch)
    queue.take_before(running.urgency)
    assert queue.put(works.order(2, 2400, patience_s=1)) is Refusal.OVERLOADED
    assert queue.put(works.order(3, 100, patience_s=1)) is None


def test_a_pace_that_is_not_known_refuses_nothing() -> None:
    """The first requests are how it is learned."""
    works = Works()
    queue = WorkQueue(ROOMY, works.clock)
    assert queue.put(works.order(1, 10**6, patience_s=0.1)) is None


def test_an_idle_compressor_tries_now_and_then_what_it_thinks_too_long() -> None:
    """What was learned from small batches, or on a busy machine, may be wrong of large ones."""
    works = Works()
    queue = WorkQueue(ROOMY, works.clock)
    known_pace(queue, works, 1000)
    told = []
    for _ in range(2):
        for _ in range(2):
            told.append(queue.put(order := works.order(1, 5000, patience_s=1)))
            queue.drop(order)
        works.now += TRY_AGAIN_S
    assert told == [None, Refusal.TOO_LONG] * 2


def test_a_full_queue_refuses_but_never_the_first() -> None:
    """In texts and in tokens; a text that is larger than the limits is taken where nothing waits."""
    works = Works()
    by_jobs = WorkQueue(Limits(jobs=2, tokens=10**9), works.clock)
    assert [by_jobs.put(works.order(number, 1)) for number in range(3)] == [None, None, Refusal.QUEUE_FULL]
    by_tokens = WorkQueue(Limits(jobs=100, tokens=100), works.clock)
    assert [by_tokens.put(works.order(number, 160)) for number in range(2)] == [None, Refusal.QUEUE_FULL]


def equal(order: Order, number: int, *, patience_s: float = 60.0) -> Order:
    """Return an order of somebody else for the same job, who comes at the same time."""
    question = replace(order.question, id=number)
    return Order(question, order.reply, order.arrived, order.arrived + patience_s)


@pytest.mark.parametrize("is_running", [False, True])
def test_equal_jobs_are_run_once_and_all_hear_of_it(is_running: bool) -> None:
    """A document that many ask about at once is read once, whether the first one waits or runs."""
    works = Works()
    queue = WorkQueue(Limits(jobs=2, tokens=20), works.clock)
    first, other = works.order(1, 10), works.order(2, 10)
    queue.put(first)
    if is_running:
        assert taken(queue) == [1]
    queue.put(other)
    assert queue.put(equal(first, 3)) is None, "it takes no room"
    assert taken(queue) == ([2] if is_running else [1, 2])
    queue.done(first, RESULT)
    assert works.listener.told == [(1, ""), (3, "")]
    assert {a.scores for a in works.listener.answers if isinstance(a, Compressed)} == {b"scores"}


def test_equal_jobs_of_two_teams_are_two_pieces_of_work() -> None:
    """The time of an answer must not tell one team that another has sent the same text."""
    works = Works()
    queue = WorkQueue(ROOMY, works.clock)
    first = works.order(1, 10)
    first.question = replace(first.question, whose=b"a")
    others = [equal(first, number) for number in (2, 3)]
    others[0].question = replace(others[0].question, whose=b"b")
    queue.put(first)
    assert taken(queue) == [1]
    for order in others:
        queue.put(order)
    assert taken(queue) == [2]
    queue.done(first, RESULT)
    assert works.listener.told == [(1, ""), (3, "")]


def test_who_had_scores_is_not_given_those_of_one_who_had_none() -> None:
    """It would take its own for damaged."""
    works = Works()
    queue = WorkQueue(ROOMY, works.clock)
    first = works.order(1, 10)
    knowing = equal(first, 2)
    knowing.question = replace(knowing.question, scores=b"known")
    queue.put(first)
    queue.put(knowing)
    assert taken(queue) == [1]
    queue.done(first, RESULT)
    assert [a.scores for a in works.listener.answers if isinstance(a, Compressed)] == [b"scores", b""]


def test_what_came_too_late_to_join_is_run_by_itself() -> None:
    """An answer is given once, and nobody waits for one that has been given."""
    works = Works()
    queue = WorkQueue(ROOMY, works.clock)
    queue.put(first := works.order(1, 10))
    assert taken(queue) == [1]
    queue.fail(first, Refusal.COMPRESSOR_ERROR)
    queue.put(equal(first, 2))
    assert taken(queue) == [2]
    assert works.listener.told == [(1, "compressor_error")]


def test_work_goes_on_while_anybody_waits_for_it() -> None:
    """Who left or whose time is over hears nothing more, or why; the others hear the outcome."""
    works = Works()
    queue = WorkQueue(ROOMY, works.clock)
    first = works.order(1, 10, patience_s=1)
    queue.put(first)
    queue.put(equal(first, 2))
    queue.put(left := equal(first, 3))
    queue.drop(left)
    works.now += 2
    assert taken(queue) == [1]
    assert first.wanted(works.now)
    queue.done(first, RESULT)
    assert works.listener.told == [(1, "deadline"), (2, "")]


def test_what_all_have_left_is_not_done() -> None:
    """Neither the one that came first nor those that joined it."""
    works = Works()
    queue = WorkQueue(ROOMY, works.clock)
    first, other = works.order(1, 10), works.order(9, 10)
    queue.put(first)
    queue.put(joined := equal(first, 2))
    queue.put(other)
    queue.drop(first)
    queue.drop(joined)
    assert taken(queue) == [9]
    assert works.listener.told == []


def test_who_joins_what_is_being_given_up_waits_anew() -> None:
    """At the moment when the first one's time is over, another's may have begun."""
    works = Works()
    queue = WorkQueue(ROOMY, works.clock)
    queue.put(first := works.order(1, 10, patience_s=1))
    assert taken(queue) == [1]
    queue.put(equal(first, 2))
    works.now += 2
    queue.expire(first)
    assert works.listener.told == [(1, "deadline")]
    assert taken(queue) == [2]


def test_who_is_in_a_hurry_moves_the_work_forward() -> None:
    """If it makes nobody late; who cannot be met is told at once, and takes nothing from the first."""
    works = Works()
    queue = WorkQueue(ROOMY, works.clock)
    known_pace(queue, works, 1000)
    long = works.order(1, 10_000)
    for order in (long, works.order(2, 1000), works.order(3, 1000)):
        assert queue.put(order) is None
    assert queue.put(equal(long, 4, patience_s=10.5)) is None
    assert queue.put(equal(long, 5, patience_s=4)) is Refusal.OVERLOADED
    assert taken(queue) == [1]
    queue.done(long, RESULT)
    assert works.listener.told == [(1, ""), (4, "")]


def test_who_cannot_be_met_where_the_work_stands_is_told_at_once() -> None:
    """Though another waits for the same, who has more time."""
    works = Works()
    queue = WorkQueue(ROOMY, works.clock)
    known_pace(queue, works, 1000)
    put(queue, works, 3900, 3900, 3900)
    queue.put(last := works.order(4, 4000))
    works.now += 0.5
    hasty = Order(replace(last.question, id=5), last.reply, works.now, works.now + 10)
    assert queue.put(hasty) is Refusal.OVERLOADED


def test_an_order_may_wait_longer_than_it_said() -> None:
    """Somebody else of its sender's waits for it too."""
    works = Works()
    queue = WorkQueue(ROOMY, works.clock)
    queue.put(order := works.order(1, 10, patience_s=1))
    queue.prolong(order, works.now + 5)
    queue.prolong(order, works.now + 3)
    works.now += 4
    assert taken(queue) == [1]


def test_texts_whose_scores_are_known_have_a_batch_and_a_pace_of_their_own() -> None:
    """Selecting is many times faster than reading: neither is to be mistaken for the other."""
    works = Works()
    queue = WorkQueue(ROOMY, works.clock)
    known_pace(queue, works, 1000)
    cold, known = works.order(1, 5000, patience_s=4), works.order(2, 5000, patience_s=4)
    known.question = replace(known.question, scores=b"scores")
    queue.put(works.order(3, 10))
    assert queue.put(cold) is Refusal.TOO_LONG
    assert queue.put(known) is None
    batches = [queue.take(), queue.take()]
    assert [batch.scores for batch in batches if isinstance(batch, Batch)] == [(b"scores",), (b"",)]


def test_what_expired_or_was_dropped_is_not_taken() -> None:
    """The late one is told, nobody listens for the dropped one; what waits no longer fills no queue."""
    works = Works()
    queue = WorkQueue(Limits(jobs=3, tokens=10**9), works.clock)
    late, dropped, live = works.order(1, 1, patience_s=1), works.order(2, 1), works.order(3, 1)
    for order in (late, dropped, live):
        queue.put(order)
    queue.drop(dropped)
    works.now += 2
    assert taken(queue) == [3]
    assert works.listener.told == [(1, "deadline")]
    assert queue.put(works.order(4, 1)) is None


def test_a_preparation_goes_first_and_is_never_refused() -> None:
    """Whoever waits for a new method waits for what runs, not for what waits."""
    works = Works()
    queue = WorkQueue(Limits(jobs=1, tokens=1), works.clock)
    queue.put(works.order(1, 1))
    preparation = Preparation(Prepare(2, (HALVE,)), works.listener.answers.append)
    queue.prepare(preparation)
    assert queue.take() is preparation
    assert taken(queue) == [1]


def test_only_what_is_short_and_more_urgent_is_done_in_between() -> None:
    """In the breaks of a long batch: not what is as long, nor what came in its turn."""
    works = Works()
    queue = WorkQueue(ROOMY, works.clock)
    known_pace(queue, works, 10_000)
    queue.put(works.order(1, 50_000))
    running = queue.take()
    assert isinstance(running, Batch)
    assert queue.take_before(running.urgency) is None
    queue.put(works.order(2, 20_000))
    assert queue.take_before(running.urgency) is None, "too long"
    queue.put(works.order(3, 1000))
    urgent = queue.take_before(running.urgency)
    assert urgent is not None
    assert [order.question.id for order in urgent.orders] == [3]
    works.now += 10
    queue.put(works.order(4, 1000))
    assert queue.take_before(running.urgency) is None, "it came too late to pass"


@pytest.mark.parametrize(("others", "waits"), [(0, False), (1, True)])
def test_a_lone_request_does_not_wait_for_company(others: int, waits: bool) -> None:
    """Only where requests arrive together does a batch wait a moment for more of them."""
    works = Works(tick=0.0)
    queue = WorkQueue(ROOMY, works.clock)
    for number in range(1 + others):
        queue.put(works.order(number, 1))
    got: list[list[int]] = []
    thread = threading.Thread(target=lambda: got.append(taken(queue)))
    thread.start()
    # The clock of the test stands still, so that only a wait that never began can be over.
    thread.join(0.2 if waits else 5)
    assert thread.is_alive() == waits
    works.now += GATHER_S
    queue.put(works.order(9, 1))
    thread.join(5)
    assert len(got[0]) == 1 + (others + 1 if waits else 0)


def test_the_pace_is_told_where_it_is_known() -> None:
    """For logs and benchmarks; a batch that was broken off teaches nothing."""
    works = Works()
    queue = WorkQueue(ROOMY, works.clock)
    assert queue.tokens_per_s() == {}
    known_pace(queue, works, 5000)
    queue.put(works.order(1, 1000))
    batch = queue.take()
    assert isinstance(batch, Batch)
    queue.ran(batch, 100, whole=False)
    assert queue.tokens_per_s() == pytest.approx({HALVE: 5000})
