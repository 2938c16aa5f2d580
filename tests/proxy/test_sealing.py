"""Who can read the store can neither read what is kept nor test what was sent, nor change it unseen."""

from hypothesis import given, settings
from hypothesis import strategies as st

from elision.proxy.sealing import Seal, Sealed
from elision.proxy.store import Kind, MemoryStore, make_key, scope_of
from elision.proxy.store_tiers import Tiers, cleared_key
from elision.proxy.values import pack
from fakes.shared_level import SharedLevel

OLD, NEW, OTHER = (bytes([number]) * 32 for number in (1, 2, 3))
SCOPE = scope_of("a")
KEY = make_key(SCOPE, Kind.OUTCOME, b"digest of a text" * 2)
ELSEWHERE = make_key(SCOPE, Kind.OUTCOME, b"digest of others" * 2)
CONTENT = b"what nobody is to read"
VALUE = pack(CONTENT)


def tiers(shared: SharedLevel, *keys: bytes) -> Tiers:
    return Tiers(MemoryStore(0), Sealed(shared, keys))


@settings(deadline=None)
@given(st.binary(max_size=300), st.binary(min_size=25, max_size=41))
def test_a_value_comes_back_for_its_name_alone(value: bytes, key: bytes) -> None:
    """And never the same bytes twice."""
    seal = Seal(NEW)
    name = seal.name(key)
    sealed = seal.close(name, value)
    assert seal.open(name, sealed) == value
    assert seal.open(seal.name(key + b"!"), sealed) is None
    assert Seal(OTHER).open(name, sealed) is None
    assert seal.close(name, value) != sealed
    assert len(sealed) == len(value) + 29


@settings(deadline=None)
@given(st.binary(max_size=300), st.integers(0), st.integers(1, 255))
def test_any_flipped_byte_is_a_miss(value: bytes, place: int, flip: int) -> None:
    """Whichever it is."""
    seal = Seal(NEW)
    sealed = bytearray(seal.close(KEY, value))
    sealed[place % len(sealed)] ^= flip
    assert seal.open(KEY, bytes(sealed)) is None


@settings(deadline=None)
@given(st.binary())
def test_foreign_bytes_are_a_miss(value: bytes) -> None:
    """However short."""
    assert Seal(NEW).open(KEY, value) is None
    assert Seal(NEW).open(KEY, b"\x21" + value) is None


async def test_neither_texts_nor_their_digests_are_to_be_seen() -> None:
    """Scope and kind are, so that a team can be cleared without the key."""
    shared = SharedLevel()
    await tiers(shared, NEW).put_many({KEY: VALUE}, 50)
    [(name, value)] = shared.values.items()
    assert name.startswith(SCOPE + Kind.OUTCOME.value)
    assert KEY[9:] not in name
    assert CONTENT not in value
    assert await tiers(shared, NEW).get_many([KEY, ELSEWHERE]) == [VALUE, None]
    assert await tiers(shared, OTHER).get_many([KEY]) == [None]


async def test_old_keys_read_and_the_newest_writes() -> None:
    """In the same trip."""
    shared = SharedLevel()
    await tiers(shared, OLD).put_many({KEY: VALUE}, 50)
    rotated = tiers(shared, NEW, OLD)
    assert await rotated.get_many([KEY]) == [VALUE]
    assert len(shared.trips) == 1
    await rotated.put_many({ELSEWHERE: VALUE}, 50)
    assert await tiers(shared, NEW).get_many([KEY, ELSEWHERE]) == [None, VALUE]
    assert await tiers(shared, OLD).get_many([ELSEWHERE]) == [None]
    await rotated.drop([KEY, ELSEWHERE])
    assert shared.values == {}


async def test_a_value_that_was_moved_or_changed_is_counted_as_damaged() -> None:
    """It is no value of the name that it lies under now."""
    shared = SharedLevel()
    mine = tiers(shared, NEW, OLD)
    await mine.put_many({KEY: VALUE}, 50)
    seal = Seal(NEW)
    shared.values[seal.name(ELSEWHERE)] = shared.values[seal.name(KEY)]
    shared.values[seal.name(KEY)] = bytes(60)
    assert await mine.get_many([KEY, ELSEWHERE]) == [None, None]
    await mine.close()
    assert mine.figures().failures == {("redis", "damaged_value"): 2}
    assert shared.values == {}


async def test_leases_and_marks_work_as_without() -> None:
    """A mark is written by `elision cache`, which needs no key."""
    shared = SharedLevel()
    mine = Sealed(shared, [NEW])
    lease = make_key(SCOPE, Kind.LEASE, bytes(16))
    assert [await mine.add(lease, b"", 5), await mine.add(lease, b"", 5)] == [True, False]
    assert await mine.get_many([lease]) == [b""]
    await shared.put_many({cleared_key(SCOPE): b"mark"}, 5)
    assert await mine.get_many([cleared_key(SCOPE)]) == [b"mark"]
    await mine.put_many({cleared_key(SCOPE): b"another"}, 5)
    assert shared.values[cleared_key(SCOPE)] == b"another"


async def test_what_the_inner_store_tells_is_passed_on() -> None:
    """Its level, its trouble, what it keeps."""
    shared = SharedLevel("disk")
    mine = Sealed(shared, [NEW])
    await mine.put_many({KEY: VALUE}, 50)
    assert [kept.scope for kept in await mine.kept(SCOPE)] == [SCOPE]
    assert await mine.clear(SCOPE, lambda _: None) == 1
    shared.trouble = "full"
    assert await mine.add(KEY, VALUE, 5)
    assert (mine.level, mine.trouble, dict(mine.failures)) == ("disk", "full", {"full": 1})
    await mine.close()
    assert shared.closed
