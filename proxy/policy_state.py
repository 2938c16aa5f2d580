"""What is told of the policies: which are loaded, what is wrong with files; what is in the way. Pure."""

import re
from collections.abc import Sequence
from typing import Protocol

from elision.policies.model import KEEP, Policy
from elision.proxy.admin import Readiness
from elision.proxy.policy_source import PolicySet

_PLACE = re.compile(r"(?P<file>[^\n]+?):(?P<line>\d+)(?::(?P<column>\d+))?: (?P<message>.*)", re.DOTALL)


class PolicyState(Protocol):
    """The policies of this moment."""

    current: PolicySet
    problems: tuple[str, ...]
    loads: int
    refusals: int


def policies_told(state: PolicyState | None, readiness: Readiness) -> dict[str, object]:
    """Return what there is to tell.

    Args:
        state: None where there are no policies.
        readiness: whether they can be carried out, and why not.
    """
    health = {name: value for name, value in readiness.items() if name != "policies"}
    if state is None:
        return {"policies": [], "refused": [], "warnings": [], "loads": 0, "refusals": 0, "health": health}
    current = state.current
    return {
        "policies": [_told(team, current) for team in sorted(current.by_team)],
        "refused": placed(state.problems),
        "warnings": placed(current.warnings),
        "loads": state.loads,
        "refusals": state.refusals,
        "health": health,
    }


def placed(lines: Sequence[str]) -> list[dict[str, object]]:
    """Return each problem with its file, line and column, where it has them, apart from its message."""
    found = [(line, _PLACE.fullmatch(line)) for line in lines]
    return [_place(match) if match else {"file": "", "message": line} for line, match in found]


def _place(match: re.Match[str]) -> dict[str, object]:
    column = match["column"]
    return {
        "file": match["file"],
        "line": int(match["line"]),
        "column": int(column) if column else None,
        "message": match["message"],
    }


def _told(team: str, current: PolicySet) -> dict[str, object]:
    policy = current.by_team[team]
    return {
        "team": team,
        "policy": policy.label,
        "mode": str(policy.mode),
        "methods": _methods(policy),
        "rules": len(policy.rules),
        "extends": current.extends.get(team, ""),
        "is_default": policy == current.default,
        "deadline_ms": round(policy.deadline_s * 1000),
    }


def _methods(policy: Policy) -> list[str]:
    used = [rule.use.method for rule in policy.rules] + [policy.history.use.method]
    return list(dict.fromkeys(method for method in used if method != KEEP))
