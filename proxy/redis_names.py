"""How keys are called in Redis. Pure.

`elision:2:{<scope in hex>}:<kind><digest>`: the braces put all keys of a team on one slot of a
cluster, so that what a request needs is one command there too.
"""

from binascii import crc_hqx

from elision.proxy.store import SCOPE_BYTES

PREFIX = b"elision:2:"
SLOTS = 16_384


def name_of(key: bytes) -> bytes:
    """Return a key as it is called in Redis."""
    return PREFIX + b"{" + key[:SCOPE_BYTES].hex().encode("ascii") + b"}:" + key[SCOPE_BYTES:]


def key_of(name: bytes) -> bytes | None:
    """Return the key that is called so in Redis; None for what is not ours."""
    scope, separator, rest = name[len(PREFIX) + 1 :].partition(b"}:")
    if not name.startswith(PREFIX + b"{") or not separator or not rest:
        return None
    try:
        key = bytes.fromhex(scope.decode("ascii"))
    except ValueError:
        return None
    return key + rest if len(key) == SCOPE_BYTES else None


def slot_of(key: bytes) -> int:
    """Return the slot of a cluster that a key lies on.

    Source: Redis Cluster specification: CRC16 (XMODEM) of what stands between the braces.
    """
    return slot_of_tag(key[:SCOPE_BYTES].hex().encode("ascii"))


def slot_of_tag(tag: bytes) -> int:
    """Return the slot of every key that has this between its braces."""
    return crc_hqx(tag, 0) % SLOTS
