"""Memory that is bounded; keys that say whose they are."""

import tracemalloc

from elision.proxy.store import BESIDE_BYTES, SCOPE_BYTES, Kind, MemoryStore, Scopes, make_key, scope_of


async def test_the_least_recently_used_value_goes_first() -> None:
    """And the limit holds in bytes."""
    store = MemoryStore(limit_bytes=3 * (11 + BESIDE_BYTES))
    await store.put_many({b"a": b"0" * 10, b"b": b"1" * 10, b"c": b"2" * 10}, 60)
    await store.get_many([b"a"])
    await store.put_many({b"d": b"3" * 10}, 60)
    assert await store.get_many([b"a", b"b", b"c", b"d"]) == [b"0" * 10, None, b"2" * 10, b"3" * 10]


async def test_a_value_too_large_for_the_store_is_not_kept() -> None:
    """Nor does it drive out what is there, but for its own older value."""
    store = MemoryStore(limit_bytes=10 + BESIDE_BYTES)
    await store.put_many({b"b": b"1"}, 60)
    await store.put_many({b"a": b"0" * 100}, 60)
    assert await store.get_many([b"a", b"b"]) == [None, b"1"]
    await store.put_many({b"b": b"1" * 100}, 60)
    assert (await store.get_many([b"b"]), store.held_bytes, store.evictions) == ([None], 0, 0)


async def test_a_value_ends_with_its_time() -> None:
    """A time to live that is over at once."""
    store = MemoryStore(limit_bytes=1000)
    await store.put_many({b"a": b"0"}, -1)
    assert await store.get_many([b"a"]) == [None]


async def test_a_rewritten_value_counts_once() -> None:
    """The bytes of the old value are given back."""
    store = MemoryStore(limit_bytes=2 * (11 + BESIDE_BYTES))
    for _ in range(9):
        await store.put_many({b"a": b"0" * 10, b"b": b"1" * 10}, 60)
    assert await store.get_many([b"a", b"b"]) == [b"0" * 10, b"1" * 10]
    await store.close()
    assert await store.get_many([b"a"]) == [None]


async def test_who_came_first_stays_right() -> None:
    """`only_new` and `add` leave a value that is there; what has ended is not there."""
    store = MemoryStore(limit_bytes=1000)
    await store.put_many({b"a": b"0"}, 60, only_new=True)
    await store.put_many({b"a": b"1", b"b": b"2"}, 60, only_new=True)
    assert await store.get_many([b"a", b"b"]) == [b"0", b"2"]
    assert not await store.add(b"a", b"3", 60)
    await store.put_many({b"a": b"4"}, -1)
    assert await store.add(b"a", b"5", 60)
    assert await store.get_many([b"a"]) == [b"5"]
    await store.drop([b"a", b"c"])
    assert await store.get_many([b"a"]) == [None]


def test_keys_of_a_team_begin_alike_and_unlike_any_other_teams() -> None:
    """So that they can be cleared by themselves, and lie on one slot of a cluster."""
    keys = [make_key(scope_of("a"), kind, b"d" * 16) for kind in Kind]
    assert len(set(keys)) == len(Kind)
    assert {key[:SCOPE_BYTES] for key in keys} == {scope_of("a")} != {scope_of("b")}


async def test_figures_of_memory() -> None:
    """Bytes held, with what the process needs beside them, and values that had to go."""
    store = MemoryStore(limit_bytes=2 * (2 + BESIDE_BYTES))
    await store.put_many({b"a": b"0", b"b": b"1", b"c": b"2"}, 60)
    assert (store.held_bytes, store.evictions) == (2 * (2 + BESIDE_BYTES), 1)
    await store.drop([b"b", b"c", b"d"])
    assert (store.held_bytes, store.evictions) == (0, 1)


async def test_a_scope_is_forgotten_by_itself() -> None:
    """And no other."""
    store = MemoryStore(limit_bytes=10_000)
    mine, other = (make_key(scope_of(team), Kind.OUTCOME, bytes(16)) for team in ("a", "b"))
    await store.put_many({mine: b"1", other: b"2"}, 60)
    store.forget(scope_of("a"))
    assert await store.get_many([mine, other]) == [None, b"2"]


async def test_a_value_knows_since_when_it_is_current() -> None:
    """Since it was put, or confirmed; that does not extend its life."""
    store = MemoryStore(limit_bytes=1000)
    store.put(b"a", b"1", 60)
    before = store.look(b"a")
    store.confirm(b"a")
    store.confirm(b"b")
    after = store.look(b"a")
    assert before is not None
    assert after is not None
    assert after.since >= before.since
    assert (after.ends, after.value) == (before.ends, b"1")
    assert store.look(b"b") is None


def test_teams_share_a_scope_only_where_the_operator_wants_it() -> None:
    """By default no team can learn what another sent."""
    assert Scopes().of("a") == scope_of("a") != Scopes().of("b")
    assert Scopes(shared=True).of("a") == Scopes(shared=True).of("b")
    assert len(Scopes(shared=True).of("a")) == SCOPE_BYTES


def test_the_limit_is_what_the_process_really_needs() -> None:
    """Within a third, for values as small as the ledger's."""
    store = MemoryStore(limit_bytes=4 << 20)
    tracemalloc.start()
    for number in range(20_000):
        store.put(number.to_bytes(41, "big"), number.to_bytes(120, "big"), 60)
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert store.evictions > 0
    assert 0.66 < taken / (4 << 20) < 1.34
