"""Which server a key lies on: Sentinel's master, a cluster's nodes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from elision.config.redis import Address, Login, RedisTarget, Shape
from elision.proxy.breaker import BreakerLimits
from elision.proxy.redis_connection import Dialer, Reason, RedisTrouble, Reply, pack
from elision.proxy.redis_link import LinkSetting
from elision.proxy.redis_names import slot_of
from elision.proxy.redis_servers import (
    ClusterServers,
    OneServer,
    SentinelFinder,
    Servers,
    servers_of,
    slot_ranges,
)
from elision.proxy.redis_writes import Write, WriteBudget
from fakes.redis_server import (
    WAIT_S,
    Cluster,
    free_port,
    needs_redis,
    redis_cluster,
    redis_with_sentinel,
)
from fakes.scripted_redis import scripted_redis, well

HERE = "127.0.0.1"
DIALER = Dialer(Login(), 0, None, 5.0)
SCOPE = b"\x01" * 8
SLOT = slot_of(SCOPE)
TAG = "{" + SCOPE.hex() + "}"


def setting() -> LinkSetting:
    return LinkSetting(
        dialer=DIALER,
        timeout_s=5.0,
        limits=BreakerLimits(3, 0.001, 0.02),
        budget=WriteBudget(1 << 20),
        changed=lambda link, what, reason: None,
        strayed=lambda writes: None,
    )


@asynccontextmanager
async def started(servers: Servers) -> AsyncIterator[Servers]:
    servers.start()
    try:
        yield servers
    finally:
        await servers.aclose()


async def answered(servers: Servers, packed: bytes, slot: int = SLOT) -> Reply:
    """Return the first answer that is no trouble."""
    async with asyncio.timeout(WAIT_S):
        while True:
            try:
                return await servers.ask(slot, packed)
            except RedisTrouble:
                await asyncio.sleep(0.001)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not holds():
            await asyncio.sleep(0.001)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    """Run one cluster for all tests: it takes two seconds to take up its work."""
    async with redis_cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


def seeds(cluster: Cluster) -> list[Address]:
    return [Address(HERE, node.port) for node in cluster.nodes]


def test_a_map_is_read_from_what_nodes_say() -> None:
    """A node that does not know its own host is where it was asked; nonsense is left out."""
    node: list[Reply] = [b"10.0.0.1", 7000, b"id"]
    reply: Reply = [[0, 99, node, [b"replica", 1, b"x"]], [100, 200, [None, 7001]], [300, 400, [b"", 7002]]]
    assert slot_ranges(reply, Address("asked", 1)) == [
        (0, 99, Address("10.0.0.1", 7000)),
        (100, 200, Address("asked", 7001)),
        (300, 400, Address("asked", 7002)),
    ]
    assert slot_ranges([[5, 99999, node], [b"a"], None], Address("asked", 1)) == []
    assert slot_ranges(None, Address("asked", 1)) == []


def test_a_target_is_made_what_it_means() -> None:
    """Only a cluster is asked for one team at a time."""
    address = (Address(HERE, 1),)
    assert not servers_of(RedisTarget(Shape.SINGLE, address, False), setting()).is_cluster
    assert isinstance(servers_of(RedisTarget(Shape.SENTINEL, address, False, 0, "m"), setting()), OneServer)
    assert servers_of(RedisTarget(Shape.CLUSTER, address, False), setting()).is_cluster


async def test_the_sentinel_that_answered_is_asked_first() -> None:
    """Others may be gone for good."""
    master = b"*2\r\n$9\r\n127.0.0.1\r\n$4\r\n7777\r\n"
    async with scripted_redis(lambda words: master) as sentinel:
        gone = free_port()
        nodes = (Address(HERE, gone), Address(HERE, sentinel.port))
        finder = SentinelFinder(RedisTarget(Shape.SENTINEL, nodes, False, 0, "main"), DIALER, Login())
        assert await finder() == Address(HERE, 7777)
        assert sentinel.heard[-1] == [b"SENTINEL", b"get-master-addr-by-name", b"main"]
        assert await finder() == Address(HERE, 7777)


@pytest.mark.parametrize(
    "answer", [b"*-1\r\n", b"$-1\r\n", b"*1\r\n$1\r\na\r\n", b"*2\r\n$1\r\na\r\n$1\r\nb\r\n"]
)
async def test_a_master_that_no_sentinel_knows_is_down(answer: bytes) -> None:
    """A wrong name, mostly."""
    async with scripted_redis(lambda words: answer) as sentinel:
        nodes = (Address(HERE, sentinel.port),)
        finder = SentinelFinder(RedisTarget(Shape.SENTINEL, nodes, False, 0, "main"), DIALER, Login())
        with pytest.raises(RedisTrouble) as error:
            await finder()
        assert error.value.reason is Reason.DOWN


async def test_sentinels_may_want_the_servers_login() -> None:
    """Tried where they refuse us without one."""
    logins: list[list[bytes]] = []

    def guarded(words: list[bytes]) -> bytes:
        if words[0] == b"AUTH":
            logins.append(words[1:])
            return b"+OK\r\n"
        known = b"*2\r\n$9\r\n127.0.0.1\r\n$4\r\n7777\r\n"
        return known if logins else b"-NOAUTH Authentication required.\r\n"

    async with scripted_redis(guarded) as sentinel:
        target = RedisTarget(Shape.SENTINEL, (Address(HERE, sentinel.port),), False, 0, "main")
        with pytest.raises(RedisTrouble) as error:
            await SentinelFinder(target, DIALER, Login())()
        assert error.value.reason is Reason.AUTH
        assert await SentinelFinder(target, DIALER, Login("", "word"))() == Address(HERE, 7777)
        assert logins == [[b"word"]]


@needs_redis
async def test_a_failover_is_followed(tmp_path: Path) -> None:
    """The master dies; what waited is written to the one that Sentinel made of its replica."""
    async with redis_with_sentinel(tmp_path) as watched:
        target = RedisTarget(Shape.SENTINEL, (Address(HERE, watched.sentinel.port),), False, 0, "main")
        async with started(servers_of(target, setting())) as servers:
            await servers.until_well()
            assert servers.links()[0].name == f"{HERE}:{watched.servers[0].port}"
            await watched.servers[0].kill()
            servers.write(Write(SLOT, pack("SET", "a", "b")))
            await until(lambda: servers.links()[0].name == f"{HERE}:{watched.servers[1].port}")
            async with asyncio.timeout(WAIT_S):
                while await watched.servers[1].command("GET", "a") != b"b":
                    await asyncio.sleep(0.005)
            assert await answered(servers, pack("GET", "a")) == b"b"


@needs_redis
@pytest.mark.asyncio(loop_scope="module")
async def test_each_node_of_a_cluster_gets_what_is_its_own(cluster: Cluster) -> None:
    """Asked and written, by slot; one seed is enough to find them all."""
    scopes = [bytes([number]) * 8 for number in range(20)]
    async with started(ClusterServers(seeds(cluster)[:1], setting())) as servers:
        for scope in scopes:
            servers.write(Write(slot_of(scope), pack("SET", "{" + scope.hex() + "}", scope)))
        await servers.until_well()
        assert len(servers.links()) == 3
        for scope in scopes:
            question = pack("GET", "{" + scope.hex() + "}")
            async with asyncio.timeout(WAIT_S):
                while await servers.ask(slot_of(scope), question) != scope:
                    await asyncio.sleep(0.001)
        held = [await node.command("DBSIZE") for node in cluster.nodes]
        assert sum(held) >= 20
        assert min(held) > 0


@needs_redis
@pytest.mark.asyncio(loop_scope="module")
async def test_a_slot_that_moves_loses_nothing(cluster: Cluster) -> None:
    """On its way (ASK), moved (MOVED) and known again, for questions and for writes."""
    source = await cluster.owner(SLOT)
    target = next(node for node in cluster.nodes if node is not source)
    async with started(ClusterServers(seeds(cluster), setting())) as servers:
        await servers.until_well()
        assert await servers.ask(SLOT, pack("SET", TAG, "old")) == b"OK"
        await cluster.begin_move(SLOT, source, target)
        await cluster.move_keys(SLOT, source, target)
        assert await servers.ask(SLOT, pack("GET", TAG)) == b"old"
        await cluster.end_move(SLOT, source, target)
        servers.write(Write(SLOT, pack("SET", TAG, "new")))
        async with asyncio.timeout(WAIT_S):
            while await answered(servers, pack("GET", TAG)) != b"new":
                await asyncio.sleep(0.001)
        asked = await source.command("INFO", "errorstats")
        assert await servers.ask(SLOT, pack("GET", TAG)) == b"new"
        assert await source.command("INFO", "errorstats") == asked


@needs_redis
@pytest.mark.asyncio(loop_scope="module")
async def test_a_node_that_is_gone_takes_only_its_own_slots_with_it(cluster: Cluster) -> None:
    """The others answer; when it is back, so does it."""
    lost = await cluster.owner(SLOT)
    owners = {scope: await cluster.owner(slot_of(scope)) for scope in (bytes([n]) * 8 for n in range(2, 30))}
    other = next(scope for scope, owner in owners.items() if owner is not lost)
    async with started(ClusterServers(seeds(cluster), setting())) as servers:
        await servers.until_well()
        await lost.kill()
        await until(lambda: any(link.reason is Reason.DOWN for link in servers.links()))
        with pytest.raises(RedisTrouble) as error:
            await servers.ask(SLOT, pack("GET", TAG))
        assert error.value.reason in (Reason.DOWN, Reason.CLUSTERDOWN)
        assert await servers.ask(slot_of(other), pack("EXISTS", "{" + other.hex() + "}none")) == 0
        servers.write(Write(SLOT, pack("SET", TAG, "kept")))
        await lost.start()
        async with asyncio.timeout(WAIT_S):
            while await answered(servers, pack("GET", TAG)) != b"kept":
                await asyncio.sleep(0.001)


async def test_what_was_on_its_way_to_a_node_that_left_is_written_to_its_successor() -> None:
    """A master that hangs is replaced; the batch that it never answered is neither lost nor held for ever."""

    def a_map(port: int) -> bytes:
        return b"*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$9\r\n127.0.0.1\r\n:%d\r\n" % port

    async with scripted_redis() as old, scripted_redis() as new:
        owner = old.port

        def said(words: list[bytes]) -> bytes | None:
            return a_map(owner) if words[0] == b"CLUSTER" else well(words)

        old.answer = lambda words: None if words[0] == b"SET" else said(words)
        new.answer = said
        shared = setting()
        nodes = [Address(HERE, old.port), Address(HERE, new.port)]
        async with started(ClusterServers(nodes, shared)) as servers:
            await servers.until_well()
            servers.write(Write(SLOT, pack("SET", TAG, "kept")))
            await until(lambda: old.count(b"SET") == 1)
            owner = new.port
            assert isinstance(servers, ClusterServers)
            servers.strayed([])
            await until(lambda: new.count(b"SET") == 1)
            assert shared.budget.held_bytes == 0


async def test_without_a_map_nothing_is_asked_and_writes_wait() -> None:
    """No node can be reached; the reason is told."""
    shared = setting()
    async with started(ClusterServers([Address(HERE, free_port())], shared)) as servers:
        servers.write(Write(SLOT, pack("SET", TAG, "a")))
        await until(lambda: servers.links()[0].reason is Reason.DOWN)
        with pytest.raises(RedisTrouble) as error:
            await servers.ask(SLOT, pack("GET", TAG))
        assert error.value.reason is Reason.DOWN
        assert shared.budget.held_bytes > 0


async def test_a_server_that_is_no_cluster_is_told_so() -> None:
    """`ERR This instance has cluster support disabled`."""
    async with scripted_redis(lambda words: b"-ERR This instance\r\n") as server:
        servers = ClusterServers([Address(HERE, server.port)], setting())
        async with started(servers):
            await until(lambda: servers.links()[0].reason is Reason.PROTOCOL)
        assert len(servers.links()) == 1
