"""The frame of every value that a store keeps: format, checksum, content, pressed where that pays.

`pack` and `unpack` are all that the owners of values need; what the content means is theirs. A value
that is damaged, of another format, or somebody else's is None, hence a miss, and never an error.

Contents from 256 bytes on are pressed by zlib where that pays. Measured on scores and outcomes of texts
of 2,000 and 8,000 characters, zstd takes as many bytes within a few per cent, and needs a package.

A frame is one byte of format (which also says whether the content is pressed), four bytes of CRC-32
over format and body, and the body. The checksum finds accidents, not forgeries; whoever must not
be able to forge is kept out by `elision.proxy.sealing`.
"""

import zlib

_PLAIN = b"\x11"
_PRESSED = b"\x12"
_HEAD_BYTES = 5
_WORTH_PRESSING_BYTES = 256
_LIMIT_BYTES = 64 * 1024 * 1024
"""Larger contents are refused: a small foreign value must not fill the memory when it is unpressed."""


def pack(content: bytes) -> bytes:
    """Return the frame of a content, at most five bytes longer than it."""
    if len(content) >= _WORTH_PRESSING_BYTES:
        pressed = zlib.compress(content, 1)
        if len(pressed) < len(content):
            return _framed(_PRESSED, pressed)
    return _framed(_PLAIN, content)


def unpack(value: bytes) -> bytes | None:
    """Return the content that `pack` framed; None where the bytes are no such frame, or a damaged one."""
    if not is_sound(value):
        return None
    body = value[_HEAD_BYTES:]
    return body if value[:1] == _PLAIN else _unpressed(body)


def is_sound(value: bytes) -> bool:
    """Return whether the bytes are a frame of today's format with the right checksum."""
    kind = value[:1]
    if kind not in (_PLAIN, _PRESSED):
        return False
    return value[1:_HEAD_BYTES] == _checksum(kind, memoryview(value)[_HEAD_BYTES:])


def _framed(kind: bytes, body: bytes) -> bytes:
    return kind + _checksum(kind, body) + body


def _checksum(kind: bytes, body: bytes | memoryview) -> bytes:
    return zlib.crc32(body, zlib.crc32(kind)).to_bytes(4, "big")


def _unpressed(body: bytes) -> bytes | None:
    press = zlib.decompressobj()
    try:
        content = press.decompress(body, _LIMIT_BYTES)
    except zlib.error:
        return None
    return content if press.eof and not press.unused_data else None
