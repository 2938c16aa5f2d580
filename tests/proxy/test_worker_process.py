"""The service of the compressor process, without its process and threads; those are in test_worker."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

from elision.compressors.base import Identity, Job, Method, Outcome, Result
from elision.compressors.breaks import give_way
from elision.compressors.errors import OutOfMemory, WeightsMissing
from elision.proxy.wire import Answer, Compressed, Prepare, Prepared
from elision.proxy.work_queue import Batch, Order, Preparation
from elision.proxy.worker_process import Service, WorkerOptions
from fakes.works import HALVE, Works

BROKEN = Method("broken")


@dataclass
class Recorder:
    """An engine that remembers its batches, and calls `during` in each, which may give way or fail."""

    during: Callable[[Sequence[Job]], None] = lambda _: None
    batches: list[list[str]] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)

    def load(self, method: Method) -> None:
        self.steps.append(f"load {method.name}")
        if method == BROKEN:
            raise WeightsMissing("no weights here")

    def prepare(self, method: Method) -> Identity:
        self.steps.append(f"wake {method.name}")
        return Identity(f"{method.name}:1")

    def run_known(self, jobs: Sequence[Job], known: Sequence[bytes]) -> list[Result]:
        self.batches.append([job.text[:1] for job in jobs])
        self.during(jobs)
        outcomes = [Outcome(job.text[:2], 4, 2, (), "m", "f") for job in jobs]
        return [Result(outcome, scores * 2) for outcome, scores in zip(outcomes, known, strict=True)]


def service(engine: Recorder, *, stuck_after_s: float = 60.0) -> Service:
    return Service(engine, WorkerOptions(socket="", stuck_after_s=stuck_after_s))


def works() -> Works:
    return Works(now=time.monotonic())


def batch(*orders: Order) -> Batch:
    return Batch(orders[0].work, orders, sum(order.size for order in orders), 0.0)


def test_every_order_is_answered_with_its_own_outcome() -> None:
    """In one batch; who left hears nothing."""
    made, done = works(), service(Recorder())
    orders = [made.order(number, 1) for number in (1, 2, 3)]
    orders[1].over = True
    done.do(batch(*orders))
    told = [
        (answer.id, answer.outcome.text) for answer in made.listener.answers if isinstance(answer, Compressed)
    ]
    assert told == [(1, "00"), (3, "00")]


def test_a_failing_text_fails_alone() -> None:
    """The batch's orders are run again one by one; a lack of memory has its own word."""

    def fail(jobs: Sequence[Job]) -> None:
        if any(len(job.text) == 8 for job in jobs):
            raise ValueError("a text that must not be told")
        if any(len(job.text) == 12 for job in jobs):
            raise OutOfMemory("no memory for a text of 12 characters")

    made = works()
    service(Recorder(fail)).do(batch(made.order(1, 1), made.order(2, 2), made.order(3, 3)))
    assert made.listener.told == [(1, ""), (2, "compressor_error"), (3, "out_of_memory")]
    assert "must not be told" not in str(made.listener.answers)


def test_work_that_nobody_waits_for_is_given_up_between_its_steps() -> None:
    """A long text is not read to its end once its request expired; the rest of it is not begun."""
    made = works()
    order = made.order(1, 1)
    steps: list[str] = []

    def read(jobs: Sequence[Job]) -> None:
        for step in "abc":
            give_way()
            steps.append(step)
            order.expires = 0.0

    service(Recorder(read)).do(batch(order))
    assert (steps, made.listener.told) == (["a"], [(1, "deadline")])


def test_a_batch_goes_on_while_anybody_waits_for_part_of_it() -> None:
    """And answers those; nobody hears an answer twice."""
    made = works()
    left, stays = made.order(1, 1), made.order(2, 1)
    left.over = True
    service(Recorder(lambda _: give_way())).do(batch(left, stays))
    assert made.listener.told == [(2, "")]


def test_what_is_short_and_urgent_is_done_in_the_breaks_of_what_is_long() -> None:
    """By the same engine, before the long one ends; and no third within that."""
    made = works()
    long, short = made.order(1, 5000), made.order(2, 1)
    done = service(Recorder())
    begun: list[int] = []

    def read(jobs: Sequence[Job]) -> None:
        begun.append(len(jobs[0].text))
        if len(begun) == 1:
            done.submit(short)
        give_way()

    engine = Recorder(read)
    done = service(engine)
    long.urgency = time.monotonic() + 60
    done.do(batch(long))
    assert begun == [20_000, 4]
    assert made.listener.told == [(2, ""), (1, "")]


def test_weights_are_loaded_apart_and_woken_between_batches() -> None:
    """What cannot be loaded is not tried again on the thread that computes."""
    engine = Recorder()
    done = service(engine)
    answers: list[Answer] = []
    done.load(Preparation(Prepare(1, (BROKEN, HALVE)), answers.append))
    assert (engine.steps, answers) == (["load broken", "load halve"], [])
    done.do(done.next_work())
    assert engine.steps[2:] == ["wake halve"]
    assert answers == [Prepared(1, (None, Identity("halve:1")), ("no weights here", ""))]


@pytest.mark.parametrize(("patience_s", "seen"), [(-1.0, True), (60.0, False)])
def test_a_service_is_stuck_only_while_a_batch_runs_too_long(patience_s: float, seen: bool) -> None:
    """Idle is not stuck."""
    states: list[bool] = []
    done = service(Recorder(lambda _: states.append(done.stuck)), stuck_after_s=patience_s)
    assert not done.stuck
    done.do(batch(works().order(1, 1)))
    assert (states, done.stuck) == ([seen], False)


def test_memory_is_given_back_once_after_work_and_never_during_it() -> None:
    """Idle gives nothing back; neither does a batch that still runs."""
    given: list[str] = []
    engine = Recorder(lambda _: done.rest())
    done = Service(engine, WorkerOptions(socket=""), lambda: given.append("back"))
    done.rest()
    done.do(batch(works().order(1, 1)))
    assert (engine.batches, given) == ([["0"]], [])
    done.rest()
    done.rest()
    assert given == ["back"]


def test_a_long_text_that_goes_on_is_not_stuck() -> None:
    """Patience begins anew with every step."""
    states: list[bool] = []

    def read(jobs: Sequence[Job]) -> None:
        time.sleep(0.06)
        states.append(done.stuck)
        give_way()
        states.append(done.stuck)

    done = service(Recorder(read), stuck_after_s=0.05)
    done.do(batch(works().order(1, 1)))
    assert states == [True, False]
