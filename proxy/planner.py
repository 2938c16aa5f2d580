"""From a request's bytes to a plan: which policy, which texts, what is known of them.

Translates HTTP's world into the facts that `elision.policies` decides on, and lends it the senses
that judge a text, remembering what they found. Compresses nothing.
"""

import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from math import inf
from types import MappingProxyType
from typing import Protocol, TypeVar

from elision.compressors.protect import find_spans
from elision.compressors.registry import DEFAULT_METHOD
from elision.config.prefix_terms import PrefixEntry, PrefixTable, load_prefix_terms
from elision.config.windows import Windows, load_windows
from elision.policies.engine import make_plan
from elision.policies.languages import language
from elision.policies.marks import read_marks
from elision.policies.model import (
    Ability,
    Facts,
    Mode,
    Plan,
    Policy,
    PrefixTerms,
    PromptText,
    Segment,
    Senses,
    TextKind,
    Wish,
)
from elision.policies.problems import SECRET_HEADERS
from elision.policies.segments import cut
from elision.policies.text_kinds import text_kind
from elision.proxy.bodies import Body, deployment_of, endpoint_of, parse
from elision.proxy.headers import Headers
from elision.proxy.memo import Memo, name_of
from elision.proxy.policy_source import abilities
from elision.proxy.rewriter import Ask
from elision.proxy.wishes import permitted, wish_of

T = TypeVar("T")

FACTS = 100_000
"""Remembered by a planner, some 20 MB; a conversation of 100 messages is some 400."""
# Characters that are searched for protected spans in one go: a search lets no other thread run.
_STRETCH = 200_000


@dataclass(frozen=True, slots=True)
class Planned:
    """A request's body, what was found in it, and what is to be done with it.

    Attributes:
        team: as the request says it, "" where it says none.
        policy: that the plan was made by.
        encoding: what counted the tokens.
        segments: the parts of the body's texts, as they were cut.
        facts, senses: what the plan was made from.
        explain: whether the request asks to be shown its plan, and may.
        notes: reasons why a wish of the request does not count, as words for counters.
        terms: how the request's upstream bills a prefix of this model's that it has seen before.
    """

    team: str
    policy: Policy
    body: Body
    plan: Plan
    encoding: str
    segments: tuple[Segment, ...]
    facts: Facts
    senses: Senses
    explain: bool = False
    notes: tuple[str, ...] = ()
    terms: PrefixTerms = field(default_factory=PrefixTerms)


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What planning knows of the world before any request.

    Attributes:
        abilities: what each method may be given, by its name.
        default_method: what a rule or a tag without a method means.
        windows: of models.
        prefixes: how they are billed for what they have read before.
    """

    abilities: Mapping[str, Ability]
    default_method: str
    windows: Windows
    prefixes: PrefixTable

    def prefix_terms(self, model: str, upstream: str) -> PrefixTerms:
        """Return how a model's upstream bills a prefix that it has seen before."""
        row = self.prefixes.of(model, upstream)
        told = row.read, row.write, row.minimum, row.ttl_s, row.granule, row.source, row.whole_messages
        return PrefixTerms(*told)


def packaged_knowledge(
    windows: Mapping[str, int] | None = None, prefix_terms: Sequence[PrefixEntry] = ()
) -> Knowledge:
    """Return what is known of the installed methods, and of models.

    Args:
        windows: what the operator knows better: tokens by globs of models' names.
        prefix_terms: the same of what a repeated prefix costs.

    Raises: ConfigError if an installed package says what cannot be understood.
    """
    methods = MappingProxyType(abilities())
    return Knowledge(methods, DEFAULT_METHOD, load_windows(windows), load_prefix_terms(prefix_terms))


class PolicyLookup(Protocol):
    """Which policy a team has."""

    def for_team(self, team: str) -> Policy | None:
        """Return the team's policy, or the default one, or None where there is neither."""
        ...


class TokenCounting(Protocol):
    """How many tokens a model sees in a text, and what counted them."""

    def count(self, text: str) -> int:
        """Return the number of tokens of `text`."""
        ...

    @property
    def name(self) -> str:
        """Return the encoding's name."""
        ...


class Planner:
    """Makes plans.

    Args:
        policies: whose rules apply.
        counter_for: the token counter of a model's name.
        knowledge: of methods and models; None: of those that are installed.
    """

    def __init__(
        self,
        policies: PolicyLookup,
        counter_for: Callable[[str], TokenCounting],
        knowledge: Knowledge | None = None,
    ) -> None:
        self._policies = policies
        self._counter_for = counter_for
        self._knowledge = knowledge or packaged_knowledge()
        self._memo = Memo(FACTS)

    def wants(self, ask: Ask) -> bool:
        """Return whether a request's body is to be looked into.

        It is where the endpoint is known, the team has a policy that is not off, and the request
        does not ask to be left alone.
        """
        if endpoint_of(ask.method, ask.path) is None:
            return False
        policy = self._policies.for_team(ask.team)
        if policy is None or policy.mode is Mode.OFF:
            return False
        wish, _ = permitted(wish_of(ask.headers), policy.permissions)
        return wish.mode is not Mode.OFF

    def policy(self, team: str) -> Policy | None:
        """Return the policy that the team's requests are planned by now, None where there is none."""
        return self._policies.for_team(team)

    def plan(self, body: bytes | Body, ask: Ask, until: float = inf) -> Planned | None:
        """Return what is to be done with a body, None where the team has no policy.

        Args:
            body: as the client sent it, or as it was parsed already.
            until: by the clock of `time.monotonic`; nothing is begun after it that takes long.

        Raises:
            NotCarriedError: the body is none that we look into.
            TimeoutError: it was not done in time. What was found out is remembered.
        """
        policy = self._policies.for_team(ask.team)
        endpoint = endpoint_of(ask.method, ask.path)
        if policy is None or endpoint is None:
            return None
        found = body if isinstance(body, Body) else parse(body, endpoint)
        told = wish_of(ask.headers)
        granted, notes = permitted(told, policy.permissions)
        facts = self._facts(found, ask, told[0])
        counter = self._counter_for(facts.model)
        seen = Seen(self._memo, counter, self._knowledge, until)
        if policy.budget is not None and policy.budget.fit:
            facts = replace(facts, other_tokens=_other_tokens(found, counter))
        segments = seen.segments(found.texts, policy)
        plan = make_plan(policy, segments, facts, seen.senses)
        return Planned(
            ask.team,
            policy,
            found,
            plan,
            counter.name,
            segments,
            facts,
            seen.senses,
            granted.explain,
            notes,
            self._knowledge.prefix_terms(facts.model, facts.upstream),
        )

    def _facts(self, body: Body, ask: Ask, wish: Wish) -> Facts:
        model = body.model or deployment_of(ask.path)
        return Facts(
            model=model,
            endpoint=body.endpoint,
            upstream=ask.upstream,
            headers=named(ask.headers),
            reply_tokens=body.reply_tokens,
            window=self._knowledge.windows.of(model),
            wish=wish,
        )


class Seen:
    """Cuts and judges the texts of one request, and remembers what it found for the next ones.

    Args:
        memo: what was found out in earlier requests.
        counter: of the model that the request asks for.
        knowledge: of methods.
        until: when to give up, by the clock of `time.monotonic`.
    """

    def __init__(self, memo: Memo, counter: TokenCounting, knowledge: Knowledge, until: float = inf) -> None:
        self._fact = memo.fact
        self._until = until
        self._counter = counter
        self._encoding = counter.name
        self._names: dict[str, str | bytes] = {}
        self.senses = Senses(
            count=self._count,
            text_kind=self._text_kind,
            language=self._language,
            protected=self._protected,
            abilities=knowledge.abilities,
            default_method=knowledge.default_method,
        )

    def segments(self, texts: Sequence[PromptText], policy: Policy) -> tuple[Segment, ...]:
        """Cut a request's texts as a policy has it."""
        permissions = policy.permissions
        methods = self.senses.abilities
        read = (
            partial(read_marks, methods=methods, min_rate=permissions.min_rate) if permissions.marks else None
        )
        return cut(texts, self.senses.count, few_shot=policy.few_shot, read=read, recall=self._recall)

    def _recall(self, about: tuple[Hashable, ...], texts: Sequence[str], find: Callable[[], T]) -> T:
        return self._fact(("cut", about, *map(self._name, texts)), partial(self._in_time, find))

    def _count(self, text: str) -> int:
        return self._fact((self._encoding, self._name(text)), partial(self._counter.count, text))

    def _text_kind(self, text: str) -> TextKind:
        return self._fact(("text_kind", self._name(text)), partial(text_kind, text))

    def _language(self, text: str) -> str:
        return self._fact(("language", self._name(text)), partial(language, text))

    def _protected(self, text: str, classes: tuple[str, ...] | None) -> int:
        key = ("protected", self._encoding, classes, self._name(text))
        find = partial(_protected_tokens, self._counter, text, classes)
        return self._fact(key, partial(self._in_time, find))

    def _in_time(self, find: Callable[[], T]) -> T:
        """Find out what takes long, unless it is too late: whoever asked has gone on without."""
        if time.monotonic() >= self._until:
            raise TimeoutError("planning took longer than the policy's deadline")
        return find()

    def _name(self, text: str) -> str | bytes:
        """Return what the memo knows a text by, worked out once for all senses."""
        name = self._names.get(text)
        if name is None:
            name = self._names[text] = name_of(text)
        return name


def _protected_tokens(counter: TokenCounting, text: str, classes: tuple[str, ...] | None) -> int:
    """Count protected spans; in a very long text stretch by stretch, which may miss one at a seam."""
    # Joined by blanks, because a word's token begins with the blank before it.
    return counter.count(
        " ".join(part[s.start : s.end] for part in _stretches(text) for s in find_spans(part, classes))
    )


def _stretches(text: str) -> Iterator[str]:
    """Yield a text in stretches that end with a line where there is one."""
    at = 0
    while len(text) - at > _STRETCH:
        end = text.rfind("\n", at + _STRETCH // 2, at + _STRETCH) + 1 or at + _STRETCH
        yield text[at:end]
        at = end
    yield text[at:]


def _other_tokens(body: Body, counter: TokenCounting) -> int:
    """Estimate what a prompt holds beside its texts; what stands around each message is the budget's."""
    return counter.count(body.read_beside_texts())


def named(headers: Headers) -> Mapping[str, str]:
    """Return the first value of each header by its lower-case name, but for what is secret."""
    first: dict[str, str] = {}
    for name, value in headers:
        lower = name.lower()
        if lower not in SECRET_HEADERS:
            first.setdefault(lower, value)
    return MappingProxyType(first)
