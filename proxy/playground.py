"""What the playground does with a pasted prompt: what the proxy would, with a policy and wishes of one's own.

Goes the way of any request (`elision.proxy.policy_rewriter`, the same compressor process) up to where
it would be forwarded, and tells what became of every part. Nothing of a prompt outlives its answer:
planner, ledger and cache are made for one prompt and thrown away, and nothing is recorded or logged.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf

import msgspec

from elision.accounts.money import Pricing
from elision.accounts.records import Report
from elision.compressors.base import Method, Span
from elision.compressors.protect import find_spans
from elision.policies.model import Decision, Kind, Mode, Permissions, Plan, Policy, Rule, Use, When
from elision.proxy.bodies import Body, parse
from elision.proxy.carry import NotCarriedError
from elision.proxy.edit_script import Piece, pieces_between
from elision.proxy.explanation import Explained, explained, notes_of, prefix_words
from elision.proxy.ledger import Ledger
from elision.proxy.making import CompressorAccess
from elision.proxy.pipeline import Fate, Pipeline
from elision.proxy.planner import Knowledge, Planned, Planner, TokenCounting
from elision.proxy.policy_rewriter import PolicyRewriter
from elision.proxy.rewriter import Ask, Rewrite
from elision.proxy.store import MemoryStore

CHAT = "/v1/chat/completions"
PATIENCE_S = 60.0
"""A person waits longer than a policy's deadline; the answer says whether that was passed."""
DEFAULT_RATE = 0.5
_BY_MEMBER = {"messages": CHAT, "input": "/v1/responses", "prompt": "/v1/completions"}
_KINDS = (Kind.CONTEXT, Kind.DEMONSTRATIONS, Kind.TOOL_RESULT, Kind.HISTORY)
_STORE_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be tried.

    Attributes:
        prompt: a text, or the JSON of a request's body.
        policy: the team's whose it is.
        team: as the answer is to call it.
        method: in place of what the policy's rules use; None: as they say.
        rate: in place of the policy's rates and budget; None: as they say.
        model: that would read it, where the prompt names none.
    """

    prompt: str
    policy: Policy
    team: str
    method: Method | None = None
    rate: float | None = None
    model: str = ""


@dataclass(frozen=True, slots=True)
class Tried:
    """What became of a prompt.

    Attributes:
        took_s: planning and compressing, as the proxy would have waited for it.
        cost_before, cost_after: of the prompt in nano-dollars; None where the price is not known.
        parts: of the prompt in its order; empty where it was not looked into.
        notes: what the plan could not keep to.
        prefix: what becomes of a prompt that the provider may cache.
    """

    wanted: Wanted
    report: Report
    took_s: float
    cost_before: int | None
    cost_after: int | None
    parts: tuple["Part", ...] = ()
    notes: tuple[str, ...] = ()
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """What became of one segment, or a part of one that a budget split.

    Attributes:
        place: JSON pointer of its text.
        target: rate, or tokens, that its method was told; "" for neither.
        reason: why it stayed as it was though a method was to shorten it.
        pieces: (what, text) in order: `kept`, `protected` (kept, and never cut), `dropped`, and `new`
            for what a method wrote itself. All but the new ones concatenate to the segment's text.
    """

    place: str
    kind: str
    role: str
    text_kind: str
    language: str
    rule: str
    method: str
    target: str
    why: str
    reason: str
    tokens_before: int
    tokens_after: int
    pieces: tuple[tuple[str, str], ...]


class Playground:
    """Tries prompts.

    Args:
        compressor: the one that serves requests.
        counter_for: the token counter of a model's name.
        knowledge: of methods and models.
    """

    def __init__(
        self,
        compressor: CompressorAccess,
        counter_for: Callable[[str], TokenCounting],
        knowledge: Knowledge,
    ) -> None:
        self._compressor = compressor
        self._counter_for = counter_for
        self._knowledge = knowledge

    async def run(self, wanted: Wanted, pricing: Pricing, upstream: str = "") -> Tried:
        """Return what becomes of a prompt.

        Args:
            pricing: what tokens cost.
            upstream: name of where it would go.
        """
        body, path, is_under_way = request_of(wanted)
        policy = policy_of(wanted)
        watching = _Watching(Planner(_Only(policy), self._counter_for, self._knowledge))
        memory = MemoryStore(_STORE_BYTES)
        pipeline = Pipeline(memory, self._compressor)
        carrying = _Carrying(pipeline)
        ledger = Ledger(memory, memory)
        wishes = [] if wanted.rate is None else [("x-elision-rate", f"{wanted.rate:.4f}")]
        started = time.perf_counter()
        try:
            rewriter = PolicyRewriter(watching, carrying, ledger, frozen=0 if is_under_way else None)
            done = await rewriter.rewrite(body, Ask("POST", path, wanted.team, wishes, upstream))
            took_s = time.perf_counter() - started
        finally:
            await pipeline.close()
            await ledger.close()
        told = replace(done.report, team=wanted.team)
        money = pricing.estimate(told, upstream)
        before = money.cost + money.saved if money is not None else None
        tried = Tried(wanted, told, took_s, before, money.cost if money is not None else None)
        planned = watching.planned
        if planned is None:
            return tried
        return await asyncio.to_thread(_with_parts, tried, planned, done, carrying.fates)


def request_of(wanted: Wanted) -> tuple[bytes, str, bool]:
    """Return the request that a prompt is, or would be: body, path, whether its conversation is under way.

    JSON that an endpoint would take is taken as it is; anything else is one user's message. Of a
    conversation that is under way all turns are decided, as they were had it gone through the proxy
    from its beginning.
    """
    raw = wanted.prompt.encode("utf-8", "replace")
    members = _members(raw)
    for member, path in _BY_MEMBER.items():
        said = members.get(member)
        if isinstance(said, list) or (isinstance(said, str) and path != CHAT):
            is_under_way = any(isinstance(one, dict) and one.get("role") == "assistant" for one in said)
            return (raw if "model" in members else _named(raw, wanted.model)), path, is_under_way
    messages = [{"role": "user", "content": raw.decode()}]
    return msgspec.json.encode({"model": wanted.model, "messages": messages}), CHAT, False


def policy_of(wanted: Wanted) -> Policy:
    """Return the policy to try by: the team's, in force, with what else is wished in place of its word."""
    permissions = Permissions(rate=True, min_rate=0.01)
    policy = replace(wanted.policy, mode=Mode.ENFORCE, deadline_s=PATIENCE_S, permissions=permissions)
    if wanted.method is None:
        return policy
    use = Use(wanted.method.name, DEFAULT_RATE, None, wanted.method.options, min_tokens=1)
    rule = Rule(wanted.method.name, When(segment=_KINDS), use)
    return replace(policy, rules=(rule,), budget=None)


def _members(raw: bytes) -> Mapping[str, object]:
    try:
        read = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return read if isinstance(read, dict) else {}


def _named(raw: bytes, model: str) -> bytes:
    """Return a body that names a model, all else byte for byte."""
    start = raw.index(b"{") + 1
    return raw[:start] + b'"model": ' + msgspec.json.encode(model) + b", " + raw[start:]


@dataclass(frozen=True, slots=True)
class _Only:
    """The same policy for whoever asks."""

    policy: Policy

    def for_team(self, team: str) -> Policy:
        return self.policy


@dataclass(slots=True)
class _Watching:
    """A planner that remembers what it planned."""

    planner: Planner
    planned: Planned | None = None

    def wants(self, ask: Ask) -> bool:
        return self.planner.wants(ask)

    def policy(self, team: str) -> Policy | None:
        return self.planner.policy(team)

    def plan(self, body: bytes | Body, ask: Ask, until: float = inf) -> Planned | None:
        self.planned = self.planner.plan(body, ask, until)
        return self.planned


@dataclass(slots=True)
class _Carrying:
    """A pipeline that remembers what became of texts."""

    pipeline: Pipeline
    fates: list[Fate] = field(default_factory=list)

    def wanted(self, decisions: Sequence[Decision], model: str, team: str) -> list[bytes]:
        return self.pipeline.wanted(decisions, model, team)

    async def run(
        self, plan: Plan, model: str, team: str, spent_s: float, known: Mapping[bytes, bytes | None]
    ) -> list[Fate]:
        self.fates += await self.pipeline.run(plan, model, team, spent_s, known)
        return self.fates


def _with_parts(tried: Tried, planned: Planned, done: Rewrite, fates: Sequence[Fate]) -> Tried:
    try:
        sent = [text.text for text in parse(done.body, planned.body.endpoint).texts]
    except NotCarriedError:
        sent = [text.text for text in planned.body.texts]
    parts = tuple(_parts(planned, sent, fates))
    return replace(tried, parts=parts, notes=tuple(notes_of(planned)), prefix=prefix_words(planned))


def _parts(planned: Planned, sent: Sequence[str], fates: Sequence[Fate]) -> Iterator[Part]:
    """Yield what became of each decision's text, by what was really sent of it."""
    by_place = {(fate.decision.segment.source, fate.decision.segment.start): fate for fate in fates}
    pieces = _pieces(planned, sent, by_place)
    for told, found in zip(explained(planned), pieces, strict=True):
        segment = told.decision.segment
        whole = planned.body.texts[segment.source].text
        marked = tuple(_marked(whole, segment.start, segment.end, found, told.decision))
        fate = by_place.get((segment.source, segment.start))
        after = _tokens(planned, told.decision, fate, _joined(whole, found))
        yield _part(planned, told, fate, after, marked)


def _tokens(planned: Planned, decision: Decision, fate: Fate | None, sent: str) -> int:
    """Return the tokens of what was sent of a segment, as the request's report counts them."""
    outcome = fate.outcome if fate is not None and fate.shortened else None
    if outcome is not None and outcome.text == sent:
        return decision.segment.tokens - outcome.tokens_before + outcome.tokens_after
    return planned.senses.count(sent) if sent else 0


def _joined(text: str, pieces: Sequence[Piece]) -> str:
    return "".join(piece if isinstance(piece, str) else text[piece[0] : piece[1]] for piece in pieces)


def _part(
    planned: Planned, told: Explained, fate: Fate | None, after: int, pieces: tuple[tuple[str, str], ...]
) -> Part:
    segment, use = told.decision.segment, told.decision.use
    target = f"{use.rate:.0%}" if use.rate is not None else f"{use.tokens} tokens" if use.tokens else ""
    return Part(
        planned.body.texts[segment.source].place,
        segment.kind.value,
        segment.role,
        told.text_kind,
        told.language,
        told.decision.rule,
        use.method,
        target,
        told.decision.why,
        fate.reason if fate is not None else "",
        segment.tokens,
        after,
        pieces,
    )


def _pieces(
    planned: Planned, sent: Sequence[str], by_place: Mapping[tuple[int, int], Fate]
) -> list[list[Piece]]:
    """Return of which pieces each decision's text was sent: by its outcome where that is what was sent."""
    decisions = planned.plan.decisions
    claimed = [_claimed(d, by_place.get((d.segment.source, d.segment.start))) for d in decisions]
    made = [""] * len(sent)
    for decision, pieces in zip(decisions, claimed, strict=True):
        source = decision.segment.source
        made[source] += _joined(planned.body.texts[source].text, pieces)
    others = {
        source: pieces_between(text.text, now)
        for source, (text, now, said) in enumerate(zip(planned.body.texts, sent, made, strict=True))
        if now != said
    }
    return [
        _cut(others[d.segment.source], d.segment.start, d.segment.end)
        if d.segment.source in others
        else pieces
        for d, pieces in zip(decisions, claimed, strict=True)
    ]


def _claimed(decision: Decision, fate: Fate | None) -> list[Piece]:
    """Return the pieces, as ranges of the whole text, that a decision's outcome would send."""
    segment = decision.segment
    if segment.tag or decision.drops:
        return []
    outcome = fate.outcome if fate is not None and fate.shortened else None
    if outcome is None:
        return [(segment.start, segment.end)]
    kept: Sequence[Piece] = [(span.start, span.end) for span in outcome.kept]
    if "".join(segment.text[span.start : span.end] for span in outcome.kept) != outcome.text:
        kept = pieces_between(segment.text, outcome.text)
    return [p if isinstance(p, str) else (p[0] + segment.start, p[1] + segment.start) for p in kept]


def _cut(pieces: Sequence[Piece], start: int, end: int) -> list[Piece]:
    """Return the pieces that lie within a range of the text; what is new stands after what it follows."""
    found: list[Piece] = []
    at = 0
    for piece in pieces:
        if isinstance(piece, str):
            found += [piece] if start < at <= end or at == start == 0 else []
            continue
        at = piece[1]
        left, right = max(piece[0], start), min(piece[1], end)
        if left < right:
            found.append((left, right))
    return found


def _marked(
    text: str, start: int, end: int, pieces: Sequence[Piece], decision: Decision
) -> Iterator[tuple[str, str]]:
    """Yield a range of a text in order: kept, protected, dropped, and what is new."""
    if not decision.compresses:
        is_sent = any(not isinstance(piece, str) for piece in pieces)
        yield ("kept" if is_sent else "dropped"), text[start:end]
        return
    spans = [
        Span(span.start + start, span.end + start)
        for span in find_spans(text[start:end], decision.use.protect)
    ]
    at = start
    for piece in pieces:
        if isinstance(piece, str) or piece[0] < at:  # what is said again is no part of the original's order
            yield "new", piece if isinstance(piece, str) else text[piece[0] : piece[1]]
            continue
        if at < piece[0]:
            yield "dropped", text[at : piece[0]]
        yield from _protected(text, piece, spans)
        at = piece[1]
    if at < end:
        yield "dropped", text[at:end]


def _protected(text: str, piece: tuple[int, int], spans: Sequence[Span]) -> Iterator[tuple[str, str]]:
    at, end = piece
    for span in spans:
        left, right = max(span.start, at), min(span.end, end)
        if left >= right:
            continue
        if at < left:
            yield "kept", text[at:left]
        yield "protected", text[left:right]
        at = right
    if at < end:
        yield "kept", text[at:end]
