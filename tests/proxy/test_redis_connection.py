"""One connection to Redis: answers in their order, and whatever goes wrong sorted."""

import asyncio
import socket
import ssl
import time
from pathlib import Path

import pytest

from elision.config.redis import Address, Login
from elision.proxy.redis_connection import Connection, Dialer, Reason, RedisTrouble, pack, trouble_of
from fakes.redis_server import free_port, needs_redis, redis_server
from fakes.scripted_redis import Scripted, scripted_redis, well

DIALER = Dialer(Login(), 0, None, 5.0)


def forget(connection: Connection) -> None:
    """Nobody is told."""


async def dialed(server: Scripted, dialer: Dialer = DIALER) -> Connection:
    return await dialer.dial(Address("127.0.0.1", server.port), forget)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("READONLY You can't write against a read only replica.", Reason.READONLY),
        ("MISCONF Redis is configured to save RDB snapshots", Reason.READONLY),
        ("OOM command not allowed when used memory > 'maxmemory'.", Reason.OOM),
        ("LOADING Redis is loading the dataset in memory", Reason.LOADING),
        ("NOAUTH Authentication required.", Reason.AUTH),
        ("WRONGPASS invalid username-password pair or user is disabled.", Reason.AUTH),
        ("NOPERM this user has no permissions to run the 'mget' command", Reason.AUTH),
        ("ERR invalid password", Reason.AUTH),
        ("ERR max number of clients reached", Reason.DOWN),
        ("MASTERDOWN Link with MASTER is down", Reason.DOWN),
        ("CLUSTERDOWN The cluster is down", Reason.CLUSTERDOWN),
        ("TRYAGAIN Multiple keys request during rehashing of slot", Reason.MOVED),
        ("ERR unknown command 'MGET'", Reason.PROTOCOL),
        ("", Reason.PROTOCOL),
    ],
)
def test_errors_are_sorted_by_what_servers_say(text: str, reason: Reason) -> None:
    """What they said ends here: it may repeat what was sent."""
    trouble = trouble_of(text)
    assert (trouble.reason, trouble.elsewhere, str(trouble)) == (reason, None, reason.value)


@pytest.mark.parametrize(
    ("text", "elsewhere", "asking"),
    [
        ("MOVED 3999 127.0.0.1:6381", Address("127.0.0.1", 6381), False),
        ("ASK 3999 ::1:6381", Address("::1", 6381), True),
        ("MOVED 3999 :6381", None, False),
        ("MOVED", None, False),
    ],
)
def test_a_redirection_names_a_node(text: str, elsewhere: Address | None, asking: bool) -> None:
    """Or does not; then it is only a miss."""
    trouble = trouble_of(text)
    assert (trouble.reason, trouble.elsewhere, trouble.asking) == (Reason.MOVED, elsewhere, asking)


async def test_answers_go_to_those_who_asked_in_their_order() -> None:
    """However many ask at once, over one connection."""

    def echo(words: list[bytes]) -> bytes:
        return b"$%d\r\n%b\r\n" % (len(words[1]), words[1])

    async with scripted_redis(echo) as server:
        connection = await dialed(server)
        questions = [connection.ask(pack("ECHO", number) * 2, 2, 5.0) for number in range(50)]
        answers = await asyncio.gather(*questions)
        assert answers == [[b"%d" % number] * 2 for number in range(50)]
        assert server.greetings == 1
        await connection.aclose()


async def test_who_stops_waiting_leaves_the_others_in_step() -> None:
    """A late answer is taken from the wire and thrown away; the connection is as good as before."""
    async with scripted_redis(lambda words: None if words[0] == b"SLOW" else well(words)) as server:
        connection = await dialed(server)
        with pytest.raises(RedisTrouble) as error:
            await connection.ask(pack("SLOW"), 1, 0.001)
        assert error.value.reason is Reason.TIMEOUT
        assert not connection.is_idle
        after = asyncio.get_running_loop().create_task(connection.ask(pack("PING"), 1, 5.0))
        await asyncio.sleep(0)
        server.push(b"$4\r\nlate\r\n")
        assert await after == [b"PONG"]
        assert connection.is_idle
        await connection.aclose()


async def test_a_cancelled_request_leaves_the_others_in_step() -> None:
    """A client of ours went away while it waited."""
    async with scripted_redis() as server:
        connection = await dialed(server)
        loop = asyncio.get_running_loop()
        gone = loop.create_task(connection.ask(pack("GET", "a"), 1, 5.0))
        stays = loop.create_task(connection.ask(pack("PING"), 1, 5.0))
        await asyncio.sleep(0)
        gone.cancel()
        assert await stays == [b"PONG"]
        assert connection.is_idle
        await connection.aclose()


async def test_an_answer_that_came_while_the_loop_was_busy_counts() -> None:
    """The time is over when the loop comes back, but the answer lies in the socket."""
    asked, told = socket.socketpair()
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(lambda: Connection(forget), sock=asked)
    waiting = loop.create_task(connection.ask(pack("PING"), 1, 0.01))
    await asyncio.sleep(0)
    told.sendall(b"+PONG\r\n")
    time.sleep(0.05)  # noqa: ASYNC251 - the loop is busy
    assert await waiting == [b"PONG"]
    await connection.aclose()
    told.close()


@pytest.mark.parametrize("noise", [b"HTTP/1.1 400 Bad Request\r\n", b"+what\r\n"])
async def test_a_connection_out_of_step_ends(noise: bytes) -> None:
    """No Redis, or an answer that nobody asked for: whatever follows would go to the wrong one."""
    lost: list[Connection] = []
    async with scripted_redis() as server:
        connection = await DIALER.dial(Address("127.0.0.1", server.port), lost.append)
        server.push(noise)
        async with asyncio.timeout(5):
            while not lost:
                await asyncio.sleep(0.001)
        with pytest.raises(RedisTrouble) as error:
            await connection.ask(pack("PING"), 1, 5.0)
        assert error.value.reason is Reason.DOWN
        await connection.aclose()


async def test_a_lost_connection_tells_all_who_wait() -> None:
    """At once, not after their time."""
    async with scripted_redis(lambda words: None if words[0] == b"GET" else well(words)) as server:
        connection = await dialed(server)
        waiting = [connection.ask(pack("GET", "a"), 1, 60.0) for _ in range(3)]
        asked = asyncio.gather(*waiting, return_exceptions=True)
        async with asyncio.timeout(5):
            while server.count(b"GET") < 3:
                await asyncio.sleep(0.001)
        server.hang_up()
        reasons = [error.reason for error in await asked if isinstance(error, RedisTrouble)]
        assert reasons == [Reason.DOWN] * 3


async def test_a_server_that_cannot_be_reached_is_down() -> None:
    """Refused, unknown, or no such socket."""
    for address in (
        Address("127.0.0.1", free_port()),
        Address("no.such.host.invalid", 1),
        Address("/no/s", 0),
    ):
        with pytest.raises(RedisTrouble) as error:
            await DIALER.dial(address, forget)
        assert error.value.reason is Reason.DOWN


async def test_a_server_that_says_nothing_is_given_so_much_time() -> None:
    """Connected, but no answer to the greeting."""
    async with scripted_redis(lambda words: None) as server:
        with pytest.raises(RedisTrouble) as error:
            await dialed(server, Dialer(Login(), 0, None, 0.01))
        assert error.value.reason is Reason.TIMEOUT


async def test_a_server_without_tls_is_told_apart() -> None:
    """From one that is down: the operator must do something else."""
    async with scripted_redis(lambda words: b"-ERR\r\n") as server:
        listening = await asyncio.start_server(_noise, "127.0.0.1", 0)
        port = listening.sockets[0].getsockname()[1]
        with pytest.raises(RedisTrouble) as error:
            await Dialer(Login(), 0, ssl.create_default_context(), 5.0).dial(
                Address("127.0.0.1", port), forget
            )
        assert error.value.reason is Reason.TLS
        listening.close()
        await listening.wait_closed()
        assert server.greetings == 0


async def _noise(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"-ERR this is no TLS\r\n")
    await writer.drain()
    writer.close()


async def test_a_server_that_forbids_names_is_used() -> None:
    """An ACL need not allow CLIENT SETNAME."""
    async with scripted_redis(
        lambda words: b"-NOPERM\r\n" if words[0] == b"CLIENT" else well(words)
    ) as server:
        connection = await dialed(server)
        assert await connection.ask(pack("PING"), 1, 5.0) == [b"PONG"]
        await connection.aclose()


@pytest.mark.parametrize("role", [b"*1\r\n$5\r\nslave\r\n", b"-ERR unknown\r\n", b"$-1\r\n"])
async def test_a_replica_is_refused_where_a_master_is_wanted(role: bytes) -> None:
    """Sentinel may name one that has just been demoted."""
    async with scripted_redis(lambda words: role if words[0] == b"ROLE" else well(words)) as server:
        with pytest.raises(RedisTrouble):
            await DIALER.dial(Address("127.0.0.1", server.port), forget, master=True)


@needs_redis
async def test_redis_knows_who_we_are(tmp_path: Path) -> None:
    """Login, name and database."""
    async with redis_server(tmp_path, password="hunter2") as server:
        dialer = Dialer(Login("default", "hunter2"), 3, None, 5.0)
        connection = await dialer.dial(Address("127.0.0.1", server.port), forget, master=True)
        [told] = await connection.ask(pack("CLIENT", "INFO"), 1, 5.0)
        assert isinstance(told, bytes)
        assert b"name=elision " in told
        assert b" db=3 " in told
        assert "hunter2" not in repr(dialer)
        await connection.aclose()
        for login in (Login(), Login("", "wrong")):
            with pytest.raises(RedisTrouble) as error:
                await Dialer(login, 3, None, 5.0).dial(Address("127.0.0.1", server.port), forget)
            assert error.value.reason is Reason.AUTH
