"""The seam between a request and everything that may change its body.

`Rewriter` is all that the handler knows of policies, caches and compressors. `PassThrough` changes
nothing; `elision.proxy.policy_rewriter` applies policies.
"""

from dataclasses import dataclass
from typing import Protocol

from elision.proxy.records import Report


@dataclass(frozen=True, slots=True)
class Rewrite:
    """A body to forward, whether it differs from the client's, and what there is to say of it."""

    body: bytes
    changed: bool
    report: Report


class Rewriter(Protocol):
    """May exchange a request's body for a shorter one that asks the same."""

    def wants(self, method: str, path: str, team: str) -> bool:
        """Return whether the request's body is to be read and shown to `rewrite`."""
        ...

    async def rewrite(self, body: bytes, team: str) -> Rewrite:
        """Return the body to forward; never raises but when cancelled."""
        ...


class PassThrough:
    """Changes nothing; what a proxy without policies uses."""

    def wants(self, method: str, path: str, team: str) -> bool:
        """Return False: every body streams through unread."""
        return False

    async def rewrite(self, body: bytes, team: str) -> Rewrite:
        """Return the body as it is."""
        return Rewrite(body, False, Report(team=team))
