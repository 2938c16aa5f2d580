"""How keys are called in Redis."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elision.proxy.redis_names import SLOTS, key_of, name_of, slot_of
from elision.proxy.store import Kind, make_key, scope_of
from fakes.redis_server import needs_redis, redis_server


def test_a_name_holds_the_scope_as_its_hash_tag() -> None:
    """In hexadecimal, so that it can be searched for; the rest is as it is."""
    key = make_key(bytes(range(8)), Kind.OUTCOME, b"\xff{}:*")
    assert name_of(key) == b"elision:2:{0001020304050607}:o\xff{}:*"


@given(st.binary(min_size=8, max_size=8), st.binary(min_size=16, max_size=32))
def test_a_name_leads_back_to_its_key(scope: bytes, digest: bytes) -> None:
    """Whatever bytes a digest holds."""
    key = make_key(scope, Kind.MESSAGE, digest)
    assert key_of(name_of(key)) == key
    assert 0 <= slot_of(key) < SLOTS


@pytest.mark.parametrize(
    "name",
    [b"elision:1:{0001020304050607}:o", b"elision:2:{0001}:o", b"elision:2:{zz}:o", b"elision:2:{}", b""],
)
def test_what_is_not_ours_is_no_key(name: bytes) -> None:
    """Other programs may use the same Redis."""
    assert key_of(name) is None


@needs_redis
async def test_redis_computes_the_same_slots(tmp_path: Path) -> None:
    """All keys of a team lie on one."""
    async with redis_server(tmp_path, options=("--cluster-enabled", "yes")) as server:
        for team in ("", "a", "search", "überall"):
            keys = [make_key(scope_of(team), kind, b"d" * 16) for kind in Kind]
            slots = {await server.command("CLUSTER", "KEYSLOT", name_of(key)) for key in keys}
            assert slots == {slot_of(keys[0])}
