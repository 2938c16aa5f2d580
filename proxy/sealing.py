"""Encryption of what is kept outside the process, around any shared store; needs `elision[encryption]`.

AES-256-GCM. Of a 32-byte key two are derived (BLAKE2b, keyed): one hides the digest in a store's key,
so that who can read the store cannot test whether a text was sent; of the other comes a key for each
value, from the name that it is kept under. A value is bound to its name, and random nonces of 96
bits need not last for all values but for the few that one name ever gets. Scope and kind stay
readable: a team is cleared, and figures are told, without the key.

A value that was sealed by another key lies under another name. While old keys are configured, both
names are asked for in the same trip; writing is always by the newest.
"""

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from elision.proxy.store import SCOPE_BYTES, Kept, Kind, SharedStore

_FORMAT = b"\x21"
_NONCE_BYTES = 12
_PLAIN_BYTES = SCOPE_BYTES + 1


class Seal:
    """What one key does: names and values.

    Args:
        key: 32 bytes.
    """

    def __init__(self, key: bytes) -> None:
        self._naming = _derived(key, b"elision-names")
        self._sealing = _derived(key, b"elision-values")

    def name(self, key: bytes) -> bytes:
        """Return what a store's key becomes: scope and kind as they are, the rest hidden."""
        digest = hashlib.blake2b(key, key=self._naming, digest_size=32).digest()
        return key[:_PLAIN_BYTES] + digest

    def close(self, name: bytes, value: bytes) -> bytes:
        """Return a value sealed for its name, 29 bytes longer."""
        nonce = os.urandom(_NONCE_BYTES)
        return _FORMAT + nonce + self._cipher(name).encrypt(nonce, value, name)

    def open(self, name: bytes, sealed: bytes) -> bytes | None:
        """Return the value that was sealed for this name by this key, None if that is not what it is."""
        if sealed[:1] != _FORMAT:
            return None
        nonce, body = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        try:
            return self._cipher(name).decrypt(nonce, body, name)
        except (InvalidTag, ValueError):
            return None

    def _cipher(self, name: bytes) -> AESGCM:
        return AESGCM(hashlib.blake2b(name, key=self._sealing, digest_size=32).digest())


class Sealed:
    """A shared store whose names and values are sealed.

    A value that does not open comes back as b"", which is no frame, so that `Tiers` counts and
    drops it as it does with every damaged one. The marks of clearing pass as they are.

    Args:
        inner: what keeps the sealed values.
        keys: 32 bytes each, the newest first.
    """

    def __init__(self, inner: SharedStore, keys: Sequence[bytes]) -> None:
        self._inner = inner
        self._seals = [Seal(key) for key in keys]

    @property
    def level(self) -> str:
        """How metrics call it."""
        return self._inner.level

    @property
    def trouble(self) -> str:
        """Why the last exchange failed; "" while all is well."""
        return self._inner.trouble

    @property
    def failures(self) -> Mapping[str, int]:
        """How often it was in trouble, by reason."""
        return self._inner.failures

    async def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the value of each key, by the newest key that has one; None for a miss."""
        names = [self._names(key) for key in keys]
        values = await self._inner.get_many([name for of_key in names for name in of_key])
        given = dict(zip((name for of_key in names for name in of_key), values, strict=True))
        return [
            self._opened(key, {name: given[name] for name in of_key})
            for key, of_key in zip(keys, names, strict=True)
        ]

    async def put_many(self, items: Mapping[bytes, bytes], ttl_s: float, *, only_new: bool = False) -> None:
        """Keep the values, sealed by the newest key."""
        sealed = dict(self._sealed(key, value) for key, value in items.items())
        await self._inner.put_many(sealed, ttl_s, only_new=only_new)

    async def add(self, key: bytes, value: bytes, ttl_s: float) -> bool:
        """Keep a value where the newest key has none."""
        return await self._inner.add(*self._sealed(key, value), ttl_s)

    async def drop(self, keys: Sequence[bytes]) -> None:
        """Forget the values, whichever key sealed them."""
        await self._inner.drop([name for key in keys for name in self._names(key)])

    async def close(self) -> None:
        """Close the inner store."""
        await self._inner.close()

    async def kept(self, scope: bytes | None = None) -> list[Kept]:
        """Return what is kept; sizes are those of sealed values."""
        return await self._inner.kept(scope)

    async def clear(self, scope: bytes | None, tell: Callable[[int], None]) -> int:
        """Forget all that is kept in a scope, or in all."""
        return await self._inner.clear(scope, tell)

    def _names(self, key: bytes) -> list[bytes]:
        return [key] if _is_mark(key) else [seal.name(key) for seal in self._seals]

    def _sealed(self, key: bytes, value: bytes) -> tuple[bytes, bytes]:
        if _is_mark(key):
            return key, value
        seal = self._seals[0]
        name = seal.name(key)
        return name, seal.close(name, value)

    def _opened(self, key: bytes, given: Mapping[bytes, bytes | None]) -> bytes | None:
        if _is_mark(key):
            return given[key]
        found: bytes | None = None
        for seal, (name, value) in zip(self._seals, given.items(), strict=True):
            opened = None if value is None else seal.open(name, value)
            if opened is not None:
                return opened
            found = found if value is None else b""
        return found


def _is_mark(key: bytes) -> bool:
    return key[SCOPE_BYTES:_PLAIN_BYTES] == Kind.CLEARED.value


def _derived(key: bytes, purpose: bytes) -> bytes:
    return hashlib.blake2b(key=key, person=purpose, digest_size=32).digest()
