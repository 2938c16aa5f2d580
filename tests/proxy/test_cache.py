"""Keys that say all, values that prove themselves, memory that is bounded."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elision.compressors.base import Job, Method, Outcome, Span, Target
from elision.proxy.cache import MemoryCache, outcome_key, pack, unpack

JOB = Job("a text", Method("m", (("level", "phrase"),)), Target(rate=0.5, model="gpt-4o", question="why?"))
OUTCOME = Outcome("text", 2, 1, (Span(2, 6),), "m", "m:1")


@pytest.mark.parametrize(
    "other",
    [
        dataclasses.replace(JOB, text="a text "),
        dataclasses.replace(JOB, target=dataclasses.replace(JOB.target, rate=0.4)),
        dataclasses.replace(JOB, target=dataclasses.replace(JOB.target, question="")),
        dataclasses.replace(JOB, target=dataclasses.replace(JOB.target, model="gpt-4")),
        dataclasses.replace(JOB, target=dataclasses.replace(JOB.target, protect=("urls",))),
    ],
)
def test_a_key_says_everything_that_an_outcome_depends_on(other: Job) -> None:
    """Another text or target is another key."""
    assert outcome_key(JOB, "f", "t") != outcome_key(other, "f", "t")


def test_teams_and_fingerprints_do_not_share_keys() -> None:
    """No team can learn by timing what another sent; new weights make new outcomes."""
    keys = {outcome_key(JOB, f, t) for f, t in (("f", "t"), ("g", "t"), ("f", "u"), ("ft", ""))}
    assert len(keys) == 4
    assert outcome_key(JOB, "f", "t") == outcome_key(JOB, "f", "t")


def test_an_outcome_comes_back_equal() -> None:
    """Packed and unpacked."""
    assert unpack(pack(OUTCOME)) == OUTCOME


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_damaged_value_is_a_miss(place: int, flip: int) -> None:
    """Whichever byte changed."""
    value = bytearray(pack(OUTCOME))
    value[place % len(value)] ^= flip
    assert unpack(bytes(value)) is None


@given(st.binary())
def test_a_foreign_value_is_a_miss(value: bytes) -> None:
    """Whatever the bytes."""
    assert unpack(value) is None


async def test_the_least_recently_used_value_goes_first() -> None:
    """And the limit holds in bytes."""
    cache = MemoryCache(limit_bytes=33, ttl_s=60)
    await cache.put_many({b"a": b"0" * 10, b"b": b"1" * 10, b"c": b"2" * 10})
    await cache.get_many([b"a"])
    await cache.put_many({b"d": b"3" * 10})
    assert await cache.get_many([b"a", b"b", b"c", b"d"]) == [b"0" * 10, None, b"2" * 10, b"3" * 10]


async def test_a_value_too_large_for_the_cache_is_not_kept() -> None:
    """Nor does it wedge what comes after."""
    cache = MemoryCache(limit_bytes=10, ttl_s=60)
    await cache.put_many({b"a": b"0" * 100})
    await cache.put_many({b"b": b"1"})
    assert await cache.get_many([b"a", b"b"]) == [None, b"1"]


async def test_a_value_ends_with_its_time() -> None:
    """A time to live that is over at once."""
    cache = MemoryCache(limit_bytes=100, ttl_s=-1)
    await cache.put_many({b"a": b"0"})
    assert await cache.get_many([b"a"]) == [None]


async def test_a_rewritten_value_counts_once() -> None:
    """The bytes of the old value are given back."""
    cache = MemoryCache(limit_bytes=30, ttl_s=60)
    for _ in range(9):
        await cache.put_many({b"a": b"0" * 10, b"b": b"1" * 10})
    assert await cache.get_many([b"a", b"b"]) == [b"0" * 10, b"1" * 10]
    await cache.close()
    assert await cache.get_many([b"a"]) == [None]
