"""Values that prove themselves."""

import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elision.proxy.values import is_sound, pack, unpack

CONTENTS = st.one_of(
    st.binary(max_size=2000),
    st.builds(lambda unit, times: unit * times, st.binary(min_size=1, max_size=9), st.integers(0, 900)),
)


@settings(deadline=None)
@given(CONTENTS)
def test_a_content_comes_back_as_it_was(content: bytes) -> None:
    """Pressed or not, and never more than five bytes longer."""
    value = pack(content)
    assert unpack(value) == content
    assert is_sound(value)
    assert len(value) <= len(content) + 5


@settings(deadline=None)
@given(CONTENTS, st.integers(0), st.integers(1, 255))
def test_any_flipped_byte_is_a_miss(content: bytes, place: int, flip: int) -> None:
    """Whichever it is."""
    value = bytearray(pack(content))
    value[place % len(value)] ^= flip
    assert unpack(bytes(value)) is None
    assert not is_sound(bytes(value))


@settings(deadline=None)
@given(CONTENTS, st.integers(0))
def test_a_value_that_was_cut_short_is_a_miss(content: bytes, end: int) -> None:
    """Wherever it ends."""
    value = pack(content)
    assert unpack(value[: end % len(value)]) is None


@settings(deadline=None)
@given(st.binary())
def test_a_foreign_value_is_a_miss(value: bytes) -> None:
    """Whatever the bytes."""
    assert unpack(value) is None


@pytest.mark.parametrize("body", [b"not pressed", zlib.compress(b"a") + b"more", zlib.compress(b"ab")[:-2]])
def test_a_right_checksum_over_what_cannot_be_unpressed_is_a_miss(body: bytes) -> None:
    """Whoever wrote that wrote it so."""
    checksum = zlib.crc32(body, zlib.crc32(b"\x12")).to_bytes(4, "big")
    assert unpack(b"\x12" + checksum + body) is None


def test_a_small_value_that_would_become_huge_is_a_miss() -> None:
    """Memory is not filled by 70 MB that came as 70 kB."""
    body = zlib.compress(bytes(70 * 1024 * 1024), 9)
    checksum = zlib.crc32(body, zlib.crc32(b"\x12")).to_bytes(4, "big")
    assert unpack(b"\x12" + checksum + body) is None


def test_what_repeats_is_pressed() -> None:
    """Where it pays."""
    assert len(pack(b"the same again, " * 100)) < 100
