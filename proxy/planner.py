"""From a request's bytes to a plan: which team, which policy, which texts.

Translates HTTP's world into the facts that `elision.policies` decides on. Compresses nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from elision.policies.engine import make_plan
from elision.policies.model import Mode, Plan, Policy
from elision.policies.segments import cut
from elision.proxy.bodies import Body, endpoint_of, parse
from elision.proxy.rewriter import Ask


@dataclass(frozen=True, slots=True)
class Planned:
    """A request's body, what was found in it, and what is to be done with it."""

    team: str
    body: Body
    plan: Plan
    encoding: str


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
    """

    def __init__(self, policies: PolicyLookup, counter_for: Callable[[str], TokenCounting]) -> None:
        self._policies = policies
        self._counter_for = counter_for

    def wants(self, ask: Ask) -> bool:
        """Return whether a request's body is to be looked into: a known endpoint, of a team with a policy."""
        if endpoint_of(ask.method, ask.path) is None:
            return False
        policy = self._policies.for_team(ask.team)
        return policy is not None and policy.mode is not Mode.OFF

    def deadline_s(self, team: str) -> float:
        """Return how many seconds the team's requests may be held up; 0 without a policy."""
        policy = self._policies.for_team(team)
        return policy.deadline_s if policy is not None else 0.0

    def plan(self, body: bytes, ask: Ask) -> Planned | None:
        """Return what is to be done with a body, None where the team has no policy.

        Raises:
            NotCarriedError: the body is none that we look into.
        """
        policy = self._policies.for_team(ask.team)
        endpoint = endpoint_of(ask.method, ask.path)
        if policy is None or endpoint is None:
            return None
        chat = parse(body, endpoint)
        counter = self._counter_for(chat.model)
        segments = cut(chat.texts, counter.count)
        return Planned(ask.team, chat, make_plan(policy, segments, chat.model), counter.name)
