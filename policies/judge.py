"""Judge one segment: by its tag, by the first rule that matches, by what the method may touch.

Pure and total. Whether a rule matches is `elision.policies.conditions`' matter, what a method may be
given `elision.policies.gate`'s, what the budget makes of it `elision.policies.budget`'s.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from elision.policies.conditions import Condition, Subject, matches
from elision.policies.gate import needs_target, refusal
from elision.policies.model import (
    DROP,
    KEEP,
    Decision,
    Kind,
    Mark,
    Mode,
    Policy,
    Rule,
    Segment,
    Senses,
    Use,
    When,
)

MIN_TOKENS = 300
"""A block of fewer tokens is compressed only by a rule that sets a minimum of its own, or by a tag."""
MARKED_RATE = 0.5
"""What a tag keeps where neither it nor a rule, a budget or the request says how much."""

_NAMED_ONLY = frozenset((Kind.INSTRUCTION, Kind.QUESTION))
_KEPT = Use()
_ANYTHING = When()


@dataclass(frozen=True, slots=True)
class Judge:
    """Decides about single segments of one request.

    Attributes:
        rules: in order of precedence, with their conditions.
        rate: what the request wishes in place of the rules' rates; None: nothing.
    """

    policy: Policy
    senses: Senses
    rules: Sequence[tuple[Rule, Sequence[Condition]]]
    rate: float | None

    def decide(self, segment: Segment, question: str) -> Decision:
        """Return a segment's fate, as far as it can be said without the budget."""
        if self.policy.permissions.marks:
            if segment.tag:
                return Decision(segment, Use(DROP), "", "inline tag")
            if segment.mark is not None and segment.mark.keep:
                return Decision(segment, _KEPT, "", "kept: the user marked it off")
        subject = Subject(segment, self.senses)
        rule = next((rule for rule, conditions in self.rules if matches(conditions, subject)), None)
        if rule is not None and rule.use.mode is Mode.OFF:
            return Decision(segment, _KEPT, rule.name, f"kept: rule `{rule.name}` is off")
        if segment.mark is not None and self.policy.permissions.marks:
            return self._by_tag(subject, segment.mark, rule, question)
        if rule is None:
            return Decision(segment, _KEPT, "", f"kept: {self._why_no_rule(segment)}")
        return self._by_rule(subject, rule, question)

    def _by_rule(self, subject: Subject, rule: Rule, question: str) -> Decision:
        segment, use = subject.segment, rule.use
        if use.method == KEEP:
            return Decision(segment, use, rule.name, f"kept: rule `{rule.name}` says so")
        why = _too_small(subject, rule) or refusal(use.method, subject, rule.when)
        if why:
            return Decision(segment, _KEPT, rule.name, f"kept: {why}")
        matched = f"rule `{rule.name}` matched"
        if needs_target(use.method, self.senses):
            if not self._is_governed(use):
                use, matched = self._wished(use, matched)
            if why := self._why_no_target(use):
                return Decision(segment, _KEPT, rule.name, f"kept: {matched}, {why}")
        return Decision(segment, use, rule.name, matched, question, use.mode or Mode.ENFORCE)

    def _by_tag(self, subject: Subject, mark: Mark, rule: Rule | None, question: str) -> Decision:
        """Decide as a tag says: any kind of segment, however small, but no text that it would break."""
        segment, name = subject.segment, rule.name if rule else ""
        use = self._marked_use(mark, rule)
        if use.method == KEEP or (mark.method and mark.method not in self.senses.abilities):
            known = "" if use.method == KEEP else ", which is not known"
            return Decision(segment, _KEPT, name, f"kept: the tag asks for the method {use.method}{known}")
        when = rule.when if rule else _ANYTHING
        if not mark.method and (why := refusal(use.method, subject, when, is_marked=True)):
            return Decision(segment, _KEPT, name, f"kept: {why}")
        told = "the user marked it" + (f" (rule `{name}` matched)" if name else "")
        if needs_target(use.method, self.senses):
            if mark.rate is None and not self._is_governed(use):
                use, told = self._wished(use, told)
            if _is_open(use) and self.policy.budget is None:
                use = replace(use, rate=MARKED_RATE)
            if why := self._why_no_target(use):
                return Decision(segment, _KEPT, name, f"kept: {told}, {why}")
        return Decision(segment, use, name, told, question, use.mode or Mode.ENFORCE)

    def _marked_use(self, mark: Mark, rule: Rule | None) -> Use:
        """Return what a tag and the rule that matched ask for together.

        A rate without a method is no matter of a method that takes none: then the default one is used.
        """
        base = rule.use if rule and rule.use.method != KEEP else Use(self.senses.default_method)
        method = mark.method or base.method
        if not mark.method and mark.rate is not None and not needs_target(method, self.senses):
            method = self.senses.default_method
        if method != base.method:
            base = Use(method, base.rate, base.tokens, deadline_s=base.deadline_s, mode=base.mode)
        if not needs_target(method, self.senses):
            return replace(base, rate=None, tokens=None)
        if mark.rate is None:
            return base
        return replace(base, rate=at_least(mark.rate, self.policy.permissions.min_rate), tokens=None)

    def _is_governed(self, use: Use) -> bool:
        """Whether the budget says how far."""
        return self.policy.budget is not None and _is_open(use)

    def _wished(self, use: Use, told: str) -> tuple[Use, str]:
        if self.rate is None:
            return use, told
        wished = replace(use, rate=self.rate, tokens=None)
        return wished, f"{told}, the request asks to keep {self.rate:g}"

    def _why_no_target(self, use: Use) -> str:
        """Return why there is nothing for a method to do, "" if there is."""
        if use.rate is not None and use.rate >= 1:
            return "and a rate of 1 keeps all"
        if _is_open(use) and self.policy.budget is None:
            return "but nothing says how far to go; add a rate to the rule, or a budget to the policy"
        return ""

    def _why_no_rule(self, segment: Segment) -> str:
        if not self.policy.rules:
            return "the policy has no rules"
        if segment.kind in _NAMED_ONLY:
            return f"no rule names {segment.kind} segments"
        return "no rule matched"


def _is_open(use: Use) -> bool:
    return use.rate is None and use.tokens is None


def least_tokens(rule: Rule) -> int:
    """Return the tokens of a block below which a rule leaves it alone.

    A rule that says from how many tokens on it is for a block has set a minimum of its own.
    """
    if rule.use.min_tokens is not None:
        return rule.use.min_tokens
    return 0 if rule.when.min_tokens else MIN_TOKENS


def _too_small(subject: Subject, rule: Rule) -> str:
    least = least_tokens(rule)
    if subject.tokens >= least:
        return ""
    unset = f" (rule `{rule.name}` sets none)" if rule.use.min_tokens is None else ""
    return f"{subject.tokens} tokens are under the minimum of {least}{unset}"


def at_least(rate: float, floor: float) -> float:
    """Return a share between a floor and 1; what is no number keeps all."""
    return min(max(rate, floor), 1.0) if rate < 1 else 1.0
