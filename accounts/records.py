"""The figures of one request: what was saved, why not more, what it cost in time and money.

Numbers and short words only; text of users has no place here. Headers, log, metrics and dashboard
all read these two values.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol
from urllib.parse import quote

from elision.accounts.money import NANO, Basis, Money
from elision.accounts.usage import NOTHING_SEEN, Answered

Headers = list[tuple[str, str]]

LONGEST_VALUE = 400
"""Characters of a header's value, at most."""
_SAFE = "!\"#$&'()*+,/:;<=>?@[\\]^`{|}~"


class Shortened(NamedTuple):
    """A message of which something was saved, and where it stands in the prompt that was sent.

    Attributes:
        ahead: tokens of the texts before it.
        after: its own.
        saved: those that it had before beyond that.
        left: messages from it to the end, itself included.
        known: whether an earlier request had sent it already.
    """

    ahead: int
    after: int
    saved: int
    left: int
    known: bool


@dataclass(frozen=True, slots=True)
class Report:
    """What rewriting made of a request.

    Attributes:
        team: whose policy was applied.
        policy: `name@version`, "" if none was.
        mode: enforce, audit or off.
        methods: names of the methods that shortened something, sorted, without repeats.
        tokens_before: tokens of all texts of the request, before.
        tokens_after: the same of what was (in audit: would have been) forwarded.
        encoding: what counted them; a leading `~` marks an estimate.
        segments: shortened and kept segments by kind, as `kind:before>after`.
        cache: "" when no segment was to be compressed; replay when all that are had been sent so by
            earlier requests; else what became of the others: hit, miss, partial.
        bypass: why something planned was not done, sorted, without repeats.
        tokens_audited: what rules in audit would have saved beyond that, in a policy that enforces.
        prefix: what became of the conversation's messages: how many were sent as before, how many were
            new, and what was decided for the provider's cache of them.
        model: as the request names it, "" where it names none.
        known_before: of `tokens_before`, those of messages that earlier requests had sent already.
        known_after: of `tokens_after`, the same.
        stepped: whether what earlier requests had sent goes out otherwise now, so that the provider's
            cache of it is lost.
        has_more: whether the prompt holds what is not counted here (tools, images, ...).
        silent: the policy wants no `x-elision-*` headers.
        log_text: the policy wants texts in the log of requests.
        messages: how many the prompt has.
        new_messages: of these, those that no earlier request had sent.
        answer_tokens: of new messages, those of an answer that follows directly on what was known; the
            provider made it, and may have it in its cache.
        known_age_s: seconds since an earlier request sent what is known; 0 where nobody knows.
        shortened: the messages in which something was saved, in their order.
        alike: of `tokens_before`, so many from the beginning on that another request began with in the
            client's words, though messages that end there never came; 0 where none did.
    """

    team: str = ""
    policy: str = ""
    mode: str = ""
    methods: tuple[str, ...] = ()
    tokens_before: int = 0
    tokens_after: int = 0
    encoding: str = ""
    segments: tuple[str, ...] = ()
    cache: str = ""
    bypass: tuple[str, ...] = ()
    tokens_audited: int = 0
    prefix: tuple[str, ...] = ()
    model: str = ""
    known_before: int = 0
    known_after: int = 0
    stepped: bool = False
    has_more: bool = False
    silent: bool = False
    log_text: bool = False
    messages: int = 0
    new_messages: int = 0
    answer_tokens: int = 0
    known_age_s: float = 0.0
    shortened: tuple[Shortened, ...] = ()
    alike: int = 0

    @property
    def tokens_saved(self) -> int:
        """By our own count of the texts; what is only audited is not saved."""
        return self.tokens_before - self.tokens_after if self.mode == "enforce" else 0

    @property
    def tokens_only_audited(self) -> int:
        """By our own count, what was found and not saved: by rules in audit, or by a policy in audit."""
        found = self.tokens_before - self.tokens_after if self.mode == "audit" else 0
        return self.tokens_audited + found

    def withdrawn(self, reason: str) -> "Report":
        """Return the report of the same request after its original was sent instead.

        What earlier requests had sent shortened has gone out otherwise, then.
        """
        stepped = self.stepped or self.known_after != self.known_before
        return replace(
            self,
            methods=(),
            segments=(),
            cache="",
            prefix=(),
            shortened=(),
            alike=0,
            stepped=stepped,
            tokens_after=self.tokens_before,
            known_after=self.known_before,
            bypass=tuple(sorted({*self.bypass, reason})),
        )

    def headers(self, money: Money | None = None) -> Headers:
        """Return the response headers that say what was done; `docs/headers.md` is their contract.

        Args:
            money: as estimated before the answer; None where nobody knows.
        """
        pairs: Headers = []
        if self.policy:
            pairs += [("team", self.team), ("policy", self.policy), ("mode", self.mode)]
        if self.policy and self.tokens_before:
            pairs += self._token_pairs(money)
        lists = [("method", self.methods), ("segments", self.segments), ("cache", (self.cache,))]
        lists += [("prefix", self.prefix), ("bypass", self.bypass)]
        pairs += [(name, ",".join(values)) for name, values in lists]
        return [(f"x-elision-{name}", _plain(value)) for name, value in pairs if value]

    def _token_pairs(self, money: Money | None) -> Headers:
        pairs = [
            ("tokens-before", str(self.tokens_before)),
            ("tokens-after", str(self.tokens_after)),
            ("tokens-saved", str(self.tokens_saved)),
            ("ratio", f"{self.tokens_after / self.tokens_before:.3f}"),
        ]
        if audited := self.tokens_only_audited:
            pairs.append(("tokens-audited", str(audited)))
        if money is not None:
            pairs += [("cost-saved-usd", f"{money.saved / NANO:.9f}"), ("cost-basis", str(money.basis))]
        return pairs


def _plain(value: str) -> str:
    """Return a value as visible ASCII of a bounded length; what is cut ends in `...`.

    Names of teams and policies are an operator's, in any script: they are percent-encoded UTF-8.
    """
    if not (value.isascii() and value.isprintable()) or " " in value:
        value = quote(value, safe=_SAFE)
    if len(value) <= LONGEST_VALUE:
        return value
    start, comma, _ = value[: LONGEST_VALUE - 3].rpartition(",")
    return f"{start}{comma}..." if comma else value[: LONGEST_VALUE - 3] + "..."


NOTHING_TOLD = Report()
"""The report of a request that nobody looked into; one value for all of them."""


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One finished request, for those who keep accounts.

    Attributes:
        at: when it came, in seconds since 1970.
        upstream: name of where it went; "" where there is but one, or none was found.
        answered: what was seen of the answer.
        money: None where the model's price is not known, or there is nothing to bill.
        tokens_saved: by the upstream's tokenizer where it stated usage, else by our count.
        basis: what `tokens_saved` rests on.
        body_bytes: of the answer.
        body_hash: of the client's body, in this process alone; 0 where it was not read.
        traceparent: as the client sent it, "" where it sent none.
        is_retry: it repeats one that was answered well a moment ago (`elision.accounts.retries`).
    """

    request_id: str
    method: str
    path: str
    status: int
    report: Report = NOTHING_TOLD
    answered: Answered = NOTHING_SEEN
    overhead_ms: float = 0.0
    total_ms: float = 0.0
    sent_original_after_rejection: bool = False
    error: str = ""
    upstream: str = ""
    at: float = 0.0
    money: Money | None = None
    tokens_saved: int = 0
    basis: Basis = Basis.ESTIMATE
    body_bytes: int = 0
    body_hash: int = 0
    traceparent: str = ""
    is_retry: bool = False


class RecordSink(Protocol):
    """Takes finished requests; must neither block nor raise."""

    def add(self, record: RequestRecord) -> None:
        """Take one record."""
        ...


class TextSink(Protocol):
    """Takes the texts of requests of teams whose policy says `log_text`; must neither block nor raise."""

    def keep(self, request_id: str, sent: bytes, forwarded: bytes) -> None:
        """Take the body as the client sent it and as it was forwarded, just before the request's record."""
        ...
