"""The store in a real Redis, whatever becomes of it: no call raises, each returns, all is counted."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest

from elision.config.redis import BreakerEntry, RedisEntry, SentinelEntry
from elision.proxy.breaker import BreakerState
from elision.proxy.redis_connection import Reason
from elision.proxy.redis_names import name_of
from elision.proxy.store import SHARED_SCOPE, Kind, SharedStore, make_key, scope_of
from elision.proxy.store_redis import RedisStore
from fakes.certificates import make_certificates, needs_openssl
from fakes.redis_server import (
    WAIT_S,
    RedisServer,
    free_port,
    needs_redis,
    redis_cluster,
    redis_server,
    redis_with_sentinel,
)
from fakes.scripted_redis import scripted_redis, well

T = TypeVar("T")

KEYS = [make_key(scope_of("team"), Kind.OUTCOME, number.to_bytes(16)) for number in range(10)]
VALUES = {key: b"\x00\xff" + key for key in KEYS}
PATIENT = RedisEntry(timeout_ms=5000, connect_timeout_ms=5000, breaker=BreakerEntry(3, 1, 20))
"""For tests of what is not about time: this machine may be busy."""

BRISK = replace(PATIENT, timeout_ms=100, connect_timeout_ms=200)


def at_once(call: Coroutine[object, object, T]) -> T:
    """Return what a call returns without ever waiting for anything."""
    try:
        call.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    call.close()
    raise AssertionError("it waited")


@asynccontextmanager
async def opened(url: str, entry: RedisEntry = PATIENT, *, well: bool = True) -> AsyncIterator[RedisStore]:
    """Open a store, wait until it is well if it can be, close it."""
    store = RedisStore.start(replace(entry, url=url))
    try:
        if well:
            assert await store.until_well(WAIT_S) is None
        yield store
    finally:
        await store.close()


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not await holds():
            await asyncio.sleep(0.002)


async def until_reason(store: RedisStore, reason: str) -> None:
    """Ask until Redis is of no use for this reason, and known to be."""

    async def holds() -> bool:
        await store.get_many(KEYS[:1])
        return store.trouble == reason and store.figures().servers_well == 0

    await until(holds)


async def until_kept(store: RedisStore, values: dict[bytes, bytes]) -> None:
    async def holds() -> bool:
        return await store.get_many(list(values)) == list(values.values())

    await until(holds)


def is_a_shared_store(store: SharedStore) -> str:
    """For the type checker: the store is what others take it for."""
    return store.level


@needs_redis
async def test_two_proxies_share_what_one_has_made(tmp_path: Path) -> None:
    """A value written by one is read by the other; a miss is None; keys of several teams go along."""
    shared = make_key(SHARED_SCOPE, Kind.SCORES, b"s" * 16)
    async with redis_server(tmp_path) as server, opened(server.url) as one, opened(server.url) as other:
        await one.put_many({**VALUES, shared: b"scores"}, 60)
        await until_kept(other, {**VALUES, shared: b"scores"})
        gone = make_key(scope_of("team"), Kind.OUTCOME, b"none")
        assert await other.get_many([KEYS[1], gone, shared]) == [VALUES[KEYS[1]], None, b"scores"]
        assert other.trouble == ""
        assert await other.get_many([]) == []
        assert is_a_shared_store(other) == "redis"
        assert await server.command("GET", name_of(KEYS[0])) == VALUES[KEYS[0]]


@needs_redis
async def test_one_request_is_one_command(tmp_path: Path) -> None:
    """However many keys."""
    async with redis_server(tmp_path) as server, opened(server.url) as store:
        await store.get_many(KEYS)
        stats = await server.command("INFO", "commandstats")
        assert b"cmdstat_mget:calls=1," in stats
        figures = store.figures()
        assert (figures.hits, figures.misses, figures.failures) == (0, len(KEYS), {})


@needs_redis
async def test_a_value_ends_with_its_time(tmp_path: Path) -> None:
    """Redis forgets it by itself."""
    async with redis_server(tmp_path) as server, opened(server.url) as store:
        await store.put_many({KEYS[0]: b"1"}, 0.01)
        await store.put_many({KEYS[1]: b"2"}, 60)
        await until_kept(store, {KEYS[1]: b"2"})

        async def is_gone() -> bool:
            return await store.get_many(KEYS[:1]) == [None]

        await until(is_gone)
        assert 0 < await server.command("PTTL", name_of(KEYS[1])) <= 60_000


@needs_redis
async def test_whoever_came_first_stays_right(tmp_path: Path) -> None:
    """Where that is asked for; otherwise the later value counts; and a forgotten one is gone."""
    async with redis_server(tmp_path) as server, opened(server.url) as store:
        await store.put_many({KEYS[0]: b"first", KEYS[1]: b"first"}, 60)
        await store.put_many({KEYS[0]: b"second"}, 60, only_new=True)
        await store.put_many({KEYS[1]: b"second"}, 60)
        await until_kept(store, {KEYS[0]: b"first", KEYS[1]: b"second"})
        await store.put_many({KEYS[2]: b"third"}, 60)
        await store.drop([KEYS[2], KEYS[0]])
        await store.put_many({KEYS[3]: b"last"}, 60)
        await until_kept(store, {KEYS[3]: b"last"})
        assert await store.get_many([KEYS[2], KEYS[0]]) == [None, None]


@needs_redis
async def test_a_lease_is_one_proxys(tmp_path: Path) -> None:
    """Until it ends."""
    lease = make_key(scope_of("team"), Kind.LEASE, b"l" * 16)
    async with redis_server(tmp_path) as server, opened(server.url) as one, opened(server.url) as other:
        assert await one.add(lease, b"one", 60)
        assert not await other.add(lease, b"other", 60)
        await one.drop([lease])

        async def is_free() -> bool:
            return await other.add(lease, b"other", 0.01)

        await until(is_free)
        await until(is_free)


async def test_without_redis_everything_is_a_miss_at_once(caplog: pytest.LogCaptureFixture) -> None:
    """No call ever waits; it is told once."""
    async with opened(f"redis://127.0.0.1:{free_port()}", well=False) as store:
        assert at_once(store.get_many(KEYS)) == [None] * len(KEYS)
        assert store.trouble == "connecting"
        await until_reason(store, "down")
        for _ in range(20):
            assert at_once(store.get_many(KEYS)) == [None] * len(KEYS)
            at_once(store.put_many(VALUES, 60))
            assert at_once(store.add(KEYS[0], b"lease", 1))
            at_once(store.drop(KEYS))
        assert store.trouble == "down"
        figures = store.figures()
        assert figures.failures["down"] >= 40
        assert (figures.hits, figures.servers, figures.servers_well) == (0, 1, 0)
        assert figures.state is not BreakerState.CLOSED
        assert figures.waiting_writes == 400
    assert [record.levelname for record in caplog.records] == ["WARNING"]


@needs_redis
async def test_a_killed_redis_is_missed_and_used_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What was written meanwhile is there when it is back, with other data than before."""
    caplog.set_level(logging.INFO)
    async with redis_server(tmp_path) as server, opened(server.url) as store:
        await store.put_many(VALUES, 60)
        await until_kept(store, VALUES)
        await server.kill()
        await until_reason(store, "down")
        assert at_once(store.get_many(KEYS)) == [None] * len(KEYS)
        await store.put_many({KEYS[0]: b"meanwhile"}, 60)
        await server.start()
        await until_kept(store, {KEYS[0]: b"meanwhile"})
        assert await store.get_many(KEYS[1:]) == [None] * (len(KEYS) - 1)
        assert store.trouble == ""
        assert store.figures().state is BreakerState.CLOSED
        await server.kill()

        async def is_told() -> bool:
            return store.trouble == "down"

        await until(is_told)  # though nobody asks
    said = [record.getMessage() for record in caplog.records]
    name = f"Redis at 127.0.0.1:{server.port}"
    assert said == [
        f"{name} is well: it takes requests.",
        f"{name} is of no use for requests: nothing answers there (down). Requests go on without it.",
        f"{name} is well: it takes requests.",
        f"{name} is of no use for requests: nothing answers there (down). Requests go on without it.",
    ]


@needs_redis
async def test_of_a_hung_redis_only_few_requests_wait(tmp_path: Path) -> None:
    """As many as the breaker says, each for its time; then none, until it answers again."""
    async with redis_server(tmp_path) as server, opened(server.url, BRISK) as store:
        await store.put_many(VALUES, 60)
        await until_kept(store, VALUES)
        before = store.failures.get("timeout", 0)
        server.pause()
        for _ in range(BRISK.breaker.failures):
            assert await store.get_many(KEYS) == [None] * len(KEYS)
        assert store.failures["timeout"] - before == BRISK.breaker.failures
        for _ in range(50):
            assert at_once(store.get_many(KEYS)) == [None] * len(KEYS)
            assert at_once(store.add(KEYS[0], b"lease", 1))
        assert store.trouble == "timeout"
        await store.put_many({KEYS[0]: b"meanwhile"}, 60)
        server.resume()
        await until_kept(store, {KEYS[0]: b"meanwhile", KEYS[1]: VALUES[KEYS[1]]})


@needs_redis
async def test_many_requests_at_once_wait_no_longer_than_one(tmp_path: Path) -> None:
    """All that were on their way when it hung time out together."""
    async with redis_server(tmp_path) as server, opened(server.url, BRISK) as store:
        server.pause()
        found = await asyncio.gather(*(store.get_many(KEYS) for _ in range(100)))
        assert found == [[None] * len(KEYS)] * 100
        assert store.failures["timeout"] == 100
        server.resume()
        await store.put_many(VALUES, 60)
        await until_kept(store, VALUES)


@needs_redis
async def test_a_full_redis_is_read_and_written_again_when_there_is_room(tmp_path: Path) -> None:
    """Writes that it refused are dropped and counted; a lease is granted, since nobody can say no."""
    options = ("--maxmemory-policy", "noeviction")
    async with redis_server(tmp_path, options=options) as server, opened(server.url) as store:
        await store.put_many(VALUES, 60)
        await until_kept(store, VALUES)
        await server.command("CONFIG", "SET", "maxmemory", "1")
        assert await store.add(make_key(scope_of("team"), Kind.LEASE, b"l"), b"", 1)
        assert store.trouble == "oom"
        await store.put_many({KEYS[0]: b"new"}, 60)

        async def is_dropped() -> bool:
            return store.figures().dropped.get("oom", 0) > 0

        await until(is_dropped)
        assert await store.get_many(KEYS) == list(VALUES.values())
        assert store.trouble == ""
        assert store.failures["dropped_oom"] == 1
        await server.command("CONFIG", "SET", "maxmemory", "0")
        await store.put_many({KEYS[0]: b"new"}, 60)
        await until_kept(store, {KEYS[0]: b"new"})


@needs_redis
async def test_a_redis_that_became_read_only_is_read_and_its_writes_wait(tmp_path: Path) -> None:
    """As after a failover that nobody told us of."""
    async with redis_server(tmp_path) as server, opened(server.url) as store:
        await store.put_many(VALUES, 60)
        await until_kept(store, VALUES)
        await server.command("REPLICAOF", "127.0.0.1", str(free_port()))
        assert await store.add(make_key(scope_of("team"), Kind.LEASE, b"l"), b"", 1)
        assert store.trouble == "readonly"
        await store.put_many({KEYS[0]: b"kept"}, 60)
        assert await store.get_many(KEYS[1:]) == list(VALUES.values())[1:]
        assert store.figures().dropped == {}
        await server.command("REPLICAOF", "NO", "ONE")
        await until_kept(store, {KEYS[0]: b"kept"})


@needs_redis
@pytest.mark.parametrize("login", ["", ":hunter3@", "nobody:hunter3@"])
async def test_a_refused_login_is_told_without_it(
    tmp_path: Path, login: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Asked for again in the background, ever more rarely."""
    async with redis_server(tmp_path, password="hunter2") as server:
        async with opened(f"redis://{login}127.0.0.1:{server.port}", well=False) as store:
            await until_reason(store, "auth")
            assert at_once(store.get_many(KEYS)) == [None] * len(KEYS)
        assert "refuses our login" in caplog.text
        assert "hunter" not in caplog.text + repr(store.figures())
        async with opened(f"redis://:hunter2@127.0.0.1:{server.port}") as store:
            assert await store.get_many(KEYS) == [None] * len(KEYS)


@needs_redis
async def test_a_user_of_the_acl_needs_no_more_than_our_keys(tmp_path: Path) -> None:
    """These commands, these names; less is told as a refused login."""
    commands = ("+get", "+mget", "+set", "+unlink", "+ping", "+select")
    user = ("ACL", "SETUSER", "elision", "on", ">hunter2", "~elision:*")
    async with redis_server(tmp_path) as server:
        assert await server.command(*user, *commands) == b"OK"
        url = f"redis://elision:hunter2@127.0.0.1:{server.port}"
        async with opened(url) as store:
            await store.put_many(VALUES, 60)
            await until_kept(store, VALUES)
            await store.drop(KEYS[:1])
            assert await store.add(make_key(scope_of("team"), Kind.LEASE, b"l"), b"", 1)
            assert store.trouble == ""
            assert await server.command("ACL", "SETUSER", "elision", "-mget") == b"OK"
            await until_reason(store, "auth")


@needs_redis
async def test_a_redis_behind_a_unix_socket(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """By its path."""
    path = tmp_path_factory.mktemp("s") / "r"
    async with (
        redis_server(tmp_path, options=("--unixsocket", str(path))),
        opened(f"unix://{path}?db=2") as store,
    ):
        await store.put_many(VALUES, 60)
        await until_kept(store, VALUES)
        assert store.failures == {}


@needs_redis
@needs_openssl
async def test_tls_with_certificates_on_both_sides(tmp_path: Path) -> None:
    """Ours is shown, theirs is verified; what is wrong is told apart from a server that is down."""
    made = await make_certificates(tmp_path / "pki")
    port = free_port()
    options = (
        *("--tls-port", str(port), "--tls-cert-file", str(made.cert), "--tls-key-file", str(made.key)),
        *("--tls-ca-cert-file", str(made.ca)),
    )
    trusting = replace(PATIENT, ca=str(made.ca))
    showing = replace(trusting, client_cert=str(made.cert), client_key=str(made.key))
    url = f"rediss://127.0.0.1:{port}"
    async with redis_server(tmp_path, options=options) as server:
        async with opened(url, showing) as store:
            await store.put_many(VALUES, 60)
            await until_kept(store, VALUES)
            await server.kill()
            await until_reason(store, "down")
            await server.start()
            await store.put_many(VALUES, 60)
            await until_kept(store, VALUES)
        for wrong in (PATIENT, trusting):
            async with opened(url, wrong, well=False) as store:
                await until_reason(store, "tls")
                assert at_once(store.get_many(KEYS)) == [None] * len(KEYS)


@needs_redis
async def test_sentinels_failover_is_followed(tmp_path: Path) -> None:
    """The master hangs; requests go on, and what is written comes to the new one."""
    async with redis_with_sentinel(tmp_path) as watched:
        nodes = (f"127.0.0.1:{watched.sentinel.port}",)
        entry = replace(BRISK, sentinel=SentinelEntry("main", nodes))
        async with opened("", entry) as store:
            await store.put_many(VALUES, 60)
            await until_kept(store, VALUES)
            watched.servers[0].pause()
            for _ in range(BRISK.breaker.failures):
                await store.get_many(KEYS)
            assert at_once(store.get_many(KEYS)) == [None] * len(KEYS)
            await store.put_many({KEYS[0]: b"new"}, 60)
            await until_kept(store, {KEYS[0]: b"new"})
            assert await watched.servers[1].command("GET", name_of(KEYS[0])) == b"new"


@needs_redis
async def test_a_cluster_is_asked_once_per_team(tmp_path: Path) -> None:
    """All keys of a team with one command, to one node; several teams at once."""
    teams = [scope_of(str(number)) for number in range(8)]
    values = {
        make_key(team, kind, b"d" * 16): team + kind.value
        for kind in (Kind.OUTCOME, Kind.MESSAGE)
        for team in teams
    }
    async with redis_cluster(tmp_path) as cluster, opened(cluster.url) as store:
        await store.put_many(values, 60)
        await until_kept(store, values)
        before = [await _calls(node) for node in cluster.nodes]
        assert await store.get_many(list(values)) == list(values.values())
        after = [await _calls(node) for node in cluster.nodes]
        assert sum(after) - sum(before) == len(teams)
        await cluster.nodes[0].kill()
        found = await store.get_many(list(values))
        assert 0 < found.count(None) < len(values)
        assert store.trouble in ("down", "clusterdown")
        await cluster.nodes[0].start()
        await store.put_many(values, 60)
        await until_kept(store, values)


async def _calls(node: RedisServer) -> int:
    stats: bytes = await node.command("INFO", "commandstats")
    line = next((line for line in stats.split(b"\r\n") if line.startswith(b"cmdstat_mget:")), b"calls=0,")
    return int(line.split(b"calls=")[1].split(b",")[0])


async def test_writes_beyond_the_room_are_dropped_oldest_first() -> None:
    """Memory stays bounded, however long Redis is away; each drop is counted."""
    entry = replace(PATIENT, queue_mib=1)
    async with opened(f"redis://127.0.0.1:{free_port()}", entry, well=False) as store:
        value = b"x" * 64 * 1024
        for number in range(40):
            at_once(store.put_many({make_key(scope_of("t"), Kind.OUTCOME, b"%d" % number): value}, 60))
        figures = store.figures()
        assert figures.waiting_bytes <= 1 << 20
        assert figures.waiting_writes + figures.dropped["full"] == 40
        assert store.failures["dropped_full"] == figures.dropped["full"]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"-LOADING Redis is loading the dataset in memory\r\n", "loading"),
        (b"-MOVED 5 10.0.0.1:6379\r\n", "moved"),
        (b"-CLUSTERDOWN Hash slot not served\r\n", "clusterdown"),
        (b"-ERR unknown command 'MGET'\r\n", "protocol"),
        (b"+strange\r\n", "protocol"),
        (b"*1\r\n$1\r\na\r\n", "protocol"),
    ],
)
async def test_whatever_redis_says_is_a_miss_with_its_reason(answer: bytes, reason: str) -> None:
    """Answers that are none are not taken for values."""
    async with scripted_redis() as server, opened(server.url) as store:
        server.answer = lambda words: answer if words[0] == b"MGET" else well(words)
        assert await store.get_many(KEYS[:2]) == [None, None]
        assert store.trouble == reason
        assert store.failures == {reason: 1}


async def test_a_node_of_a_cluster_that_is_called_a_server_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """Once, with what to do; its writes are dropped, since they would go nowhere."""

    def node(words: list[bytes]) -> bytes | None:
        return b"-MOVED 5 10.0.0.1:6379\r\n" if words[0] in (b"MGET", b"SET") else well(words)

    async with scripted_redis(node) as server, opened(server.url) as store:
        for _ in range(3):
            assert await store.get_many(KEYS[:2]) == [None, None]
        await store.put_many(VALUES, 60)

        async def is_dropped() -> bool:
            return store.figures().dropped == {"moved": len(VALUES)}

        await until(is_dropped)
    [told] = [record.getMessage() for record in caplog.records if "moved" in record.getMessage()]
    assert "if it is a cluster, say `cluster: true`" in told


async def test_a_value_of_another_kind_is_a_miss() -> None:
    """A list, where somebody else wrote under our name."""
    async with scripted_redis() as server, opened(server.url) as store:
        server.answer = lambda words: b"*2\r\n*0\r\n$1\r\na\r\n" if words[0] == b"MGET" else well(words)
        assert await store.get_many(KEYS[:2]) == [None, b"a"]


@needs_redis
async def test_what_waits_is_written_at_the_end(tmp_path: Path) -> None:
    """A proxy that is told to stop leaves what it decided to the next one."""
    async with redis_server(tmp_path) as server:
        async with opened(server.url) as store:
            for key, value in VALUES.items():
                at_once(store.put_many({key: value}, 60))
        async with opened(server.url) as store:
            assert await store.get_many(KEYS) == list(VALUES.values())


def test_reasons_are_words_for_metrics() -> None:
    """Each is a label's value."""
    assert all(reason.value.isalpha() and reason.value.islower() for reason in Reason)
