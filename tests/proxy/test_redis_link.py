"""Keeping up with one server, whatever it does; each bound is a count, not a clock."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from elision.config.redis import Address, Login
from elision.proxy.breaker import BreakerLimits, BreakerState
from elision.proxy.redis_connection import Dialer, Reason, RedisTrouble, pack
from elision.proxy.redis_link import BATCH_WRITES, Link, LinkSetting
from elision.proxy.redis_writes import Write, WriteBudget
from fakes.redis_server import free_port
from fakes.scripted_redis import scripted_redis, well

GET = pack("GET", "a")


@dataclass
class Watch:
    """A link, and all that it said of itself."""

    link: Link
    budget: WriteBudget
    setting: LinkSetting
    told: list[tuple[str, Reason | None]] = field(default_factory=list)
    strayed: list[tuple[Write, Address | None]] = field(default_factory=list)

    async def until(self, reason: Reason | None) -> None:
        await until(lambda: self.link.reason is reason)

    async def fail(self) -> Reason:
        with pytest.raises(RedisTrouble) as error:
            await self.link.ask(GET, 1)
        return error.value.reason


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.001)


@asynccontextmanager
async def linked(
    port: int, *, timeout_s: float = 5.0, connect_s: float = 5.0, look_in_s: float = 60.0
) -> AsyncIterator[Watch]:
    budget = WriteBudget(1 << 20)
    told: list[tuple[str, Reason | None]] = []
    strayed: list[tuple[Write, Address | None]] = []
    setting = LinkSetting(
        dialer=Dialer(Login(), 0, None, connect_s),
        timeout_s=timeout_s,
        limits=BreakerLimits(3, 0.001, 0.01),
        budget=budget,
        changed=lambda link, what, reason: told.append((what, reason)),
        strayed=strayed.extend,
        look_in_s=look_in_s,
    )

    async def find() -> Address:
        return Address("127.0.0.1", port)

    link = Link(find, setting)
    link.start()
    try:
        yield Watch(link, budget, setting, told, strayed)
    finally:
        await link.aclose()


def saying(name: bytes, answer: bytes | None) -> Callable[[list[bytes]], bytes | None]:
    """Return a server that is well but for one command."""
    return lambda words: answer if words[0].upper() == name else well(words)


async def test_no_request_waits_for_a_connection() -> None:
    """It is told at once why there is none, first at the start, then while nothing listens."""
    async with linked(free_port()) as watch:
        assert await watch.fail() is Reason.CONNECTING
        await watch.until(Reason.DOWN)
        assert await watch.fail() is Reason.DOWN
        assert watch.link.state is not BreakerState.CLOSED
    assert watch.told == [("requests", Reason.DOWN)]


async def test_two_connections_so_that_answers_wait_for_no_batch() -> None:
    """Requests on one, writes on the other."""
    async with scripted_redis(saying(b"SET", None)) as server, linked(server.port) as watch:
        await watch.until(None)
        watch.link.queue.put(Write(0, pack("SET", "a", "b")))
        await until(lambda: server.count(b"SET") == 1)
        assert await watch.link.ask(GET, 1) == [None]
        assert server.greetings == 2


async def test_so_many_slow_answers_and_nobody_asks_any_more() -> None:
    """Exactly that many requests wait; all others are told at once, until a probe is answered in time."""
    async with scripted_redis() as server, linked(server.port, timeout_s=0.1, connect_s=0.1) as watch:
        await watch.until(None)
        server.answer = lambda words: None
        heard = server.count(b"GET")
        assert [await watch.fail() for _ in range(3)] == [Reason.TIMEOUT] * 3
        assert server.count(b"GET") <= heard + 3
        for _ in range(50):
            step = watch.link.ask(GET, 1)
            with pytest.raises(RedisTrouble):
                step.send(None)  # it ends without ever waiting
        server.answer = well
        await watch.until(None)
    reasons = [reason for _, reason in watch.told]
    assert reasons[-2:] == [Reason.TIMEOUT, None]
    assert all(one is not other for one, other in pairwise(reasons))


async def test_an_answer_in_time_between_slow_ones_is_a_new_beginning() -> None:
    """Only failures in a row count."""

    late: list[bytes] = []

    def forgetful(words: list[bytes]) -> bytes | None:
        if words[-1] == b"slow":
            late.append(b"$-1\r\n")
            return None
        answer = b"".join(late) + (well(words) or b"")
        late.clear()
        return answer

    async with scripted_redis(forgetful) as server, linked(server.port) as watch:
        await watch.until(None)
        for _ in range(4):
            for _ in range(2):
                with pytest.raises(RedisTrouble):
                    await watch.link.ask(pack("GET", "slow"), 1, 0.01)
            assert await watch.link.ask(GET, 1) == [None]
        assert watch.link.state is BreakerState.CLOSED
    assert watch.told == [("requests", None)]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"-LOADING Redis is loading the dataset in memory\r\n", Reason.LOADING),
        (b"-NOPERM no permissions\r\n", Reason.AUTH),
        (b"-MASTERDOWN Link with MASTER is down\r\n", Reason.DOWN),
    ],
)
async def test_what_the_next_request_would_hear_too_is_asked_once(answer: bytes, reason: Reason) -> None:
    """One request hears it, the background asks on."""
    async with scripted_redis() as server, linked(server.port) as watch:
        await watch.until(None)
        server.answer = saying(b"GET", answer)
        assert [await watch.fail(), await watch.fail()] == [reason, reason]
        server.answer = well
        await watch.until(None)
    assert watch.told == [("requests", None), ("requests", reason), ("requests", None)]


async def test_an_error_of_one_command_is_its_own() -> None:
    """The server is as good as before."""
    async with scripted_redis(saying(b"SET", b"-ERR no\r\n")) as server, linked(server.port) as watch:
        await watch.until(None)
        [reply] = await watch.link.ask(pack("SET", "a", "b"), 1)
        assert isinstance(reply, RedisTrouble)
        assert watch.link.state is BreakerState.CLOSED


async def test_a_lost_connection_is_made_anew_in_the_background() -> None:
    """Told once, and once when it stands again."""
    async with scripted_redis() as server, linked(server.port) as watch:
        await watch.until(None)
        server.hang_up()
        await until(lambda: len(watch.told) == 3)
        assert await watch.link.ask(GET, 1) == [None]
    assert watch.told == [("requests", None), ("requests", Reason.DOWN), ("requests", None)]


async def test_a_connection_that_was_forgotten_on_its_way_is_found_by_no_request() -> None:
    """Whatever lies between drops what is idle, and tells nobody."""
    async with scripted_redis() as server, linked(server.port, look_in_s=0.001, connect_s=0.05) as watch:
        await watch.until(None)
        server.answer = lambda words: None
        await until(lambda: server.greetings > 2)
        server.answer = well
        await watch.until(None)
        assert server.count(b"MGET") == 0
    assert ("requests", Reason.DOWN) in watch.told


async def test_a_server_that_answers_too_late_is_not_well() -> None:
    """The probe must be answered as fast as a request; its connection is kept meanwhile."""
    async with scripted_redis() as server, linked(server.port, timeout_s=1e-9) as watch:
        await watch.until(Reason.TIMEOUT)
        await until(lambda: server.count(b"PING") > 3)
        assert server.greetings == 2
        assert watch.link.reason is Reason.TIMEOUT


async def test_writes_leave_in_batches_as_they_gathered() -> None:
    """One pipeline at a time; what comes meanwhile is the next."""
    async with scripted_redis() as server, linked(server.port) as watch:
        for number in range(BATCH_WRITES + 10):
            watch.link.queue.put(Write(0, pack("SET", number, "x")))
        await until(lambda: server.count(b"SET") == BATCH_WRITES + 10)
        await until(lambda: watch.setting.batches.writes == BATCH_WRITES + 10)
        batches = watch.setting.batches
        assert (batches.batches, batches.largest) == (2, BATCH_WRITES)
        assert [words[1] for words in server.heard if words[0] == b"SET"] == [
            b"%d" % number for number in range(BATCH_WRITES + 10)
        ]


async def test_writes_wait_for_a_server_that_is_away() -> None:
    """And are made when it is back, in their order; a lost batch is sent again."""
    async with scripted_redis(saying(b"SET", None)) as server, linked(server.port) as watch:
        await watch.until(None)
        for number in range(3):
            watch.link.queue.put(Write(0, pack("SET", number, "x")))
        await until(lambda: server.count(b"SET") > 0)
        server.answer = well
        server.hang_up()
        await until(lambda: watch.setting.batches.writes == 3)
        assert watch.budget.dropped == {}
        assert [words[1] for words in server.heard if words[0] == b"SET"][-3:] == [b"0", b"1", b"2"]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [(b"-OOM full\r\n", Reason.OOM), (b"-NOPERM no\r\n", Reason.AUTH), (b"-ERR what\r\n", Reason.PROTOCOL)],
)
async def test_writes_that_would_be_refused_again_are_dropped(answer: bytes, reason: Reason) -> None:
    """Counted; reading goes on, and writing once the server takes them again."""
    async with scripted_redis(saying(b"SET", answer)) as server, linked(server.port) as watch:
        watch.link.queue.put(Write(0, pack("SET", "a", "x")))
        await until(lambda: watch.budget.dropped == {reason.value: 1})
        await until(lambda: watch.link.write_reason is reason)
        assert await watch.link.ask(GET, 1) == [None]
        server.answer = well
        watch.link.queue.put(Write(0, pack("SET", "b", "x")))
        await until(lambda: watch.link.write_reason is None)
    assert watch.told == [("requests", None), ("writes", reason), ("writes", None)]


async def test_a_server_that_became_a_replica_is_looked_for_again() -> None:
    """Its writes are kept, the old connections serve until the new ones stand."""
    async with scripted_redis(saying(b"SET", b"-READONLY no\r\n")) as server, linked(server.port) as watch:
        watch.link.queue.put(Write(0, pack("SET", "a", "x")))
        await until(lambda: server.greetings >= 4)
        assert await watch.link.ask(GET, 1) == [None]
        server.answer = well
        await until(lambda: watch.setting.batches.writes == 1)
        await until(lambda: watch.link.write_reason is None)
    assert watch.budget.dropped == {}
    assert watch.told == [("requests", None), ("writes", Reason.READONLY), ("writes", None)]


async def test_a_write_that_belongs_elsewhere_is_handed_back() -> None:
    """With the place that the server named; and given up when it strayed too often."""
    answer = b"-MOVED 5 127.0.0.1:7\r\n"
    async with scripted_redis(saying(b"SET", answer)) as server, linked(server.port) as watch:
        watch.link.queue.put(Write(5, pack("SET", "a", "x")))
        watch.link.queue.put(Write(5, pack("SET", "b", "x"), strays=3))
        await until(lambda: bool(watch.strayed) and bool(watch.budget.dropped))
        [(write, address)] = watch.strayed
        assert (write.strays, address) == (1, Address("127.0.0.1", 7))
        assert watch.budget.dropped == {"moved": 1}


async def test_the_end_waits_for_writes_only_where_they_can_be_made() -> None:
    """Otherwise they are lost at once."""
    async with scripted_redis() as server, linked(server.port) as watch:
        await watch.until(None)
        watch.link.queue.put(Write(0, pack("SET", "a", "x")))
        await watch.link.until_written()
        assert server.count(b"SET") == 1
    async with linked(free_port()) as watch:
        watch.link.queue.put(Write(0, pack("SET", "a", "x")))
        await watch.link.until_written()
        assert len(watch.link.queue) == 1


async def test_a_server_that_speaks_something_else_is_told_so() -> None:
    """A wrong port, mostly."""
    web = b"HTTP/1.1 400 Bad Request\r\n\r\n"
    async with scripted_redis(lambda words: web) as server, linked(server.port) as watch:
        await watch.until(Reason.PROTOCOL)
        assert await watch.fail() is Reason.PROTOCOL


async def test_a_connection_that_ends_while_the_other_is_made_is_not_used() -> None:
    """It would be of no use to any request until somebody looks in; the old ones serve on."""
    async with scripted_redis() as server, linked(server.port) as watch:
        await watch.until(None)

        def cutting(words: list[bytes]) -> bytes | None:
            if words[0] != b"CLIENT" or server.greetings != 4:
                return well(words)
            server.hang_up(2)
            asyncio.get_running_loop().call_later(0.1, server.push, b"+OK\r\n", -1)
            return None

        server.answer = cutting
        watch.link.renew()
        await until(lambda: server.greetings == 4)
        await until(lambda: server.open == 2)
        assert await watch.link.ask(GET, 1) == [None]
