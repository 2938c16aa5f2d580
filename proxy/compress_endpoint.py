"""`POST /v1/compress`: a conversation in, a shorter one out, and nothing forwarded.

The body and the answer are those that Headroom's clients know, LiteLLM's guardrail and Kong's plugin
among them. What is shortened, and how far, is the team's policy's word: the request goes the way of
a chat completion (`elision.proxy.policy_rewriter`), only that its end is an answer. A team without
a policy has no such endpoint: the path is forwarded as any other.
Source: headroom-ai 0.42, `/v1/compress`; LiteLLM 1.109, guardrail `headroom`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf
from typing import Protocol

import msgspec

from elision.accounts.records import Report
from elision.policies.model import Decision, Mode, Policy, Use
from elision.proxy import carry
from elision.proxy.bodies import Body
from elision.proxy.carry import NotCarriedError, Value
from elision.proxy.errors import RequestError
from elision.proxy.headers import Headers, value_of
from elision.proxy.ledger import Ledger
from elision.proxy.pipeline import Pipeline
from elision.proxy.planner import Planned, Planner
from elision.proxy.policy_rewriter import PolicyRewriter
from elision.proxy.rewriter import Ask, Rewrite

PATH = "/v1/compress"
_CHAT = "/v1/chat/completions"
_BYPASS = "x-headroom-bypass"
_RATE = "x-elision-rate"
# All of them give what the first gives here: text without markers that something must resolve.
_MODES = ("lossy_inline", "lossless_then_lossy", "ccr")


class PolicyLookup(Protocol):
    """Which policy a team has."""

    def for_team(self, team: str) -> Policy | None:
        """Return the team's policy, or the default one, or None where there is neither."""
        ...


class _Config(msgspec.Struct, frozen=True):
    """What a client may say of how to compress; other members are the policy's matter here."""

    mode: str | None = None
    target_ratio: float | None = None
    frozen_message_count: int = 0


class CompressEndpoint:
    """Answers requests for compression alone.

    Args:
        policies: whose teams may ask.
        planner: body to plan.
        pipeline: plan to outcomes.
        ledger: what was answered before; it is answered again, so that a conversation's prefix stays.
    """

    def __init__(self, policies: PolicyLookup, planner: Planner, pipeline: Pipeline, ledger: Ledger) -> None:
        self._policies = policies
        self._planner = planner
        self._pipeline = pipeline
        self._ledger = ledger

    def takes(self, ask: Ask) -> bool:
        """Return whether a request is one that is answered here."""
        is_ours = ask.method == "POST" and ask.path.partition("?")[0] == PATH
        return is_ours and self._policies.for_team(ask.team) is not None

    async def answer(self, body: bytes, ask: Ask) -> tuple[bytes, Report]:
        """Return the answer's JSON, and what there is to say of the request.

        Raises: RequestError for a body that is no request for compression.
        """
        messages, config = _read(body)
        ask = _as_chat(ask, config)
        frozen = config.frozen_message_count
        planner = Pinned(self._planner, frozen)
        rewriter = PolicyRewriter(planner, self._pipeline, self._ledger, frozen=frozen)
        if rewriter.wants(ask):
            rewrite = await rewriter.rewrite(body, ask)
        else:
            rewrite = Rewrite(body, False, rewriter.unread(ask))
        if rewrite.receipt is not None:
            rewrite.receipt.sent()
        if rewrite.answer is not None:
            return rewrite.answer, rewrite.report
        if rewrite.changed:
            messages = _members(rewrite.body)["messages"]
        return _told(messages, rewrite), rewrite.report


@dataclass(frozen=True, slots=True)
class Pinned:
    """A planner that leaves a conversation's first messages alone, tags of ours included.

    Attributes:
        planner: that plans all else.
        messages: how many.
    """

    planner: Planner
    messages: int

    def wants(self, ask: Ask) -> bool:
        """Return whether the team's policy looks into this request."""
        return self.planner.wants(ask)

    def policy(self, team: str) -> Policy | None:
        """Return the policy that the team's requests are planned by now."""
        return self.planner.policy(team)

    def plan(self, body: bytes | Body, ask: Ask, until: float = inf) -> Planned | None:
        """Return the plan without what it would do to the first messages."""
        planned = self.planner.plan(body, ask, until)
        if planned is None or not self.messages:
            return planned
        decisions = tuple(map(self._pinned, planned.plan.decisions))
        return replace(planned, plan=replace(planned.plan, decisions=decisions))

    def _pinned(self, decision: Decision) -> Decision:
        if decision.segment.message >= self.messages:
            return decision
        segment = replace(decision.segment, tag=False)
        return replace(decision, segment=segment, use=Use(), why="frozen_message_count keeps it as it is")


def _read(body: bytes) -> tuple[Value, _Config]:
    """Return a body's messages, and what it says of how to compress."""
    try:
        members = _members(body)
    except (NotCarriedError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        told = "The body must be a JSON object, with no key twice."
        raise RequestError(400, "malformed_body", told) from error
    messages = members.get("messages")
    if messages is None or not carry.begins(body, messages, b"["):
        raise RequestError(400, "no_messages", "`messages` must be there, and be an array.")
    return messages, _config(members)


def _config(members: Mapping[str, Value]) -> _Config:
    if "config" not in members:
        return _Config()
    try:
        config = msgspec.json.decode(members["config"].raw, type=_Config | None) or _Config()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        told = "`config` must be an object: mode a word, target_ratio a number, frozen_message_count whole."
        raise RequestError(400, "bad_config", told) from error
    if config.mode is not None and config.mode not in _MODES:
        raise RequestError(400, "bad_config", f"`config.mode` must be one of {', '.join(_MODES)}, or absent.")
    if config.frozen_message_count < 0:
        raise RequestError(400, "bad_config", "`config.frozen_message_count` must be 0 or more.")
    if config.target_ratio is not None and not 0 < config.target_ratio <= 1:
        raise RequestError(400, "bad_config", "`config.target_ratio` must be above 0 and at most 1.")
    return config


def _members(body: bytes) -> Mapping[str, Value]:
    return carry.members(body, carry.whole(body))


def _as_chat(ask: Ask, config: _Config) -> Ask:
    """Return the same request as one for a chat completion; what it asks for becomes our own wishes."""
    wishes: Headers = []
    if config.target_ratio is not None and not value_of(ask.headers, _RATE):
        wishes.append((_RATE, f"{max(config.target_ratio, 0.001):.3f}"))
    if value_of(ask.headers, _BYPASS).lower() == "true":
        wishes.append(("x-elision", "off"))
    return replace(ask, path=_CHAT, headers=[*ask.headers, *wishes])


def _told(messages: Value, rewrite: Rewrite) -> bytes:
    """Return the answer; what was only audited counts as not done."""
    report = rewrite.report
    before = report.tokens_before
    after = report.tokens_after if rewrite.changed and report.mode == Mode.ENFORCE else before
    told: dict[str, object] = {
        "messages": messages.raw,
        "tokens_before": before,
        "tokens_after": after,
        "tokens_saved": before - after,
        "compression_ratio": round(after / before, 4) if before else 1.0,
        "transforms_applied": report.methods if after < before else (),
        "transforms_summary": {},
        "ccr_hashes": (),
    }
    if report.bypass and not rewrite.changed:
        told |= {"compression_skipped": True, "skip_reason": ",".join(report.bypass)}
    return msgspec.json.encode(told)
