"""The seam between a request and everything that may change its body.

`Rewriter` is all that the handler knows of policies, caches and compressors. `PassThrough` changes
nothing; `elision.proxy.policy_rewriter` applies policies.
"""

from dataclasses import dataclass, field
from typing import Protocol

from elision.accounts.records import NOTHING_TOLD, Report
from elision.proxy.headers import Headers
from elision.proxy.recovered import Quoted


@dataclass(frozen=True, slots=True)
class Ask:
    """What is known of a request beside its body.

    Attributes:
        path: the raw target without a team's prefix, query included.
        team: the team that it belongs to, "" where nothing says one.
        headers: as the client sent them.
        upstream: name of the upstream that it goes to, "" where there is but one.
    """

    method: str
    path: str
    team: str = ""
    headers: Headers = field(default_factory=list)
    upstream: str = ""


@dataclass(frozen=True, slots=True)
class Rewrite:
    """What becomes of a request's body.

    Attributes:
        body: to forward.
        changed: whether it differs from the client's.
        report: what there is to say of it.
        answer: JSON that is answered in place of forwarding anything; None: forward.
        receipt: who is told when it is sent; None: nobody.
        quoted: what the answer may quote, where that is to be put back; None: it is not.
    """

    body: bytes
    changed: bool
    report: Report
    answer: bytes | None = None
    receipt: "Receipt | None" = None
    quoted: Quoted | None = None


class Receipt(Protocol):
    """What is to be remembered of a rewritten request. Neither method blocks or raises."""

    def sent(self) -> None:
        """Take note that the body goes out now, before it is known what comes of it.

        Whatever does, the provider may have read it and keep its prefix; and what is written while
        it answers, every worker knows before the next turn comes.
        """
        ...

    def withdrawn(self, reason: str) -> None:
        """Take note that the upstream took the client's own body, and not the rewritten one."""
        ...


class Rewriter(Protocol):
    """May exchange a request's body for a shorter one that asks the same."""

    def wants(self, ask: Ask) -> bool:
        """Return whether the request's body is to be read and shown to `rewrite`."""
        ...

    def unread(self, ask: Ask, *reasons: str) -> Report:
        """Return what there is to say of a request whose body nobody looks into, and why nobody does."""
        ...

    async def rewrite(self, body: bytes, ask: Ask) -> Rewrite:
        """Return the body to forward; never raises but when cancelled."""
        ...


class PassThrough:
    """Changes nothing; what a proxy without policies uses."""

    def wants(self, ask: Ask) -> bool:
        """Return False: every body streams through unread."""
        return False

    def unread(self, ask: Ask, *reasons: str) -> Report:
        """Return no more than whose request it is, and why."""
        return Report(team=ask.team, bypass=reasons) if ask.team or reasons else NOTHING_TOLD

    async def rewrite(self, body: bytes, ask: Ask) -> Rewrite:
        """Return the body as it is."""
        return Rewrite(body, False, Report(team=ask.team))
