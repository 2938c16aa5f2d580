"""Writes that wait for Redis."""

from hypothesis import given
from hypothesis import strategies as st

from elision.proxy.redis_connection import Reason
from elision.proxy.redis_writes import BESIDE_BYTES, FULL, Write, WriteBudget, WriteQueue

SIZE = 10 + BESIDE_BYTES


def write(number: int, size: int = SIZE) -> Write:
    return Write(number, b"." * (size - BESIDE_BYTES))


async def test_writes_leave_in_their_order_in_batches() -> None:
    """Bounded by number and by bytes, and never empty while something waits."""
    queue = WriteQueue(WriteBudget(10_000))
    for number in range(5):
        queue.put(write(number))
    assert [w.slot for w in queue.take(2, 10_000)] == [0, 1]
    assert [w.slot for w in queue.take(9, 2 * SIZE)] == [2, 3]
    assert [w.slot for w in queue.take(9, 1)] == [4]
    assert queue.take(9, 1) == []


async def test_the_oldest_make_room_and_are_counted() -> None:
    """What is new is wanted sooner."""
    budget = WriteBudget(3 * SIZE)
    queue = WriteQueue(budget)
    for number in range(5):
        queue.put(write(number))
    assert [w.slot for w in queue.take(9, 10_000)] == [2, 3, 4]
    assert budget.dropped == {FULL: 2}
    assert budget.held_bytes == 0


async def test_what_was_not_made_waits_before_all_others() -> None:
    """Of two writes to one key the later one must come later."""
    queue = WriteQueue(WriteBudget(10_000))
    queue.put(write(0))
    queue.put(write(1))
    taken = queue.take(9, 10_000)
    queue.put(write(2))
    queue.put_back(taken)
    assert [w.slot for w in queue.take(9, 10_000)] == [0, 1, 2]


async def test_a_write_larger_than_the_room_is_dropped_alone() -> None:
    """And whatever waited had to go first: memory is bounded, whatever comes."""
    budget = WriteBudget(3 * SIZE)
    queue = WriteQueue(budget)
    queue.put(write(0, 3 * SIZE + 1))
    assert (len(queue), budget.held_bytes, budget.dropped) == (0, 0, {FULL: 1})


async def test_what_waits_in_vain_costs_no_other_server_its_writes() -> None:
    """One node of a cluster is away, and its writes fill the memory: the others' are made."""
    budget = WriteBudget(4 * SIZE)
    dead, well = WriteQueue(budget), WriteQueue(budget)
    for number in range(6):
        dead.put(write(number))
    for number in range(6, 9):
        well.put(write(number))
        assert [w.slot for w in well.take(9, 10_000)] == [number]
    assert [w.slot for w in dead.take(9, 10_000)] == [3, 4, 5]
    assert (budget.dropped, budget.held_bytes) == ({FULL: 3}, 0)


async def test_the_event_tells_whether_anything_waits() -> None:
    """Whoever sends them sleeps until then."""
    queue = WriteQueue(WriteBudget(10_000))
    assert not queue.filled.is_set()
    queue.put(write(0))
    assert queue.filled.is_set()
    queue.take(9, 10_000)
    assert not queue.filled.is_set()


def test_drops_are_counted_by_reason() -> None:
    """In the words of metrics."""
    budget = WriteBudget(1)
    budget.drop((write(0), write(1)), Reason.OOM)
    budget.drop((write(0),), FULL)
    assert budget.dropped == {"oom": 2, "full": 1}


@given(st.lists(st.tuples(st.booleans(), st.integers(BESIDE_BYTES, 3 * SIZE)), max_size=60))
async def test_queues_of_one_budget_never_hold_more_than_it(steps: list[tuple[bool, int]]) -> None:
    """One waits in vain for a dead server, the other goes on."""
    budget = WriteBudget(5 * SIZE)
    queues = (WriteQueue(budget), WriteQueue(budget))
    for number, (first, size) in enumerate(steps):
        queues[first].put(write(number, size))
        assert budget.held_bytes <= budget.limit_bytes
    left = [w for queue in queues for w in queue.take(99, 10_000)]
    assert len(left) + budget.dropped[FULL] == len(steps)
    assert budget.held_bytes == 0
