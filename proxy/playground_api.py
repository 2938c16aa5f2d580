"""What the playground's page asks: choices of policies and methods, and what becomes of a prompt.

Reads questions strictly and writes answers as JSON; what is done with a prompt is
`elision.proxy.playground`'s matter. Prompts are in no log, error or file.
"""

from collections.abc import Callable, Mapping, Sequence

import msgspec
from aiohttp import web

from elision.accounts.money import Pricing
from elision.compressors.base import Method
from elision.proxy.admin import Page, body_of, json_answer
from elision.proxy.assembly import methods_of
from elision.proxy.errors import RequestError
from elision.proxy.playground import Part, Playground, Tried, Wanted
from elision.proxy.policy_source import DEFAULT_TEAM, PolicySet
from elision.proxy.static_files import HEADERS

API = "/elision/api/playground"
LIMIT_BYTES = 1 << 20
DEFAULT_MODEL = "gpt-4o"


class _Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the page sends."""

    prompt: str
    team: str = ""
    method: str = ""
    rate: float | None = None
    model: str = DEFAULT_MODEL


class PlaygroundApi:
    """Answers the playground's page.

    Args:
        playground: where prompts are tried.
        policies: returns those of this moment.
        pricing: what tokens cost.
    """

    def __init__(self, playground: Playground, policies: Callable[[], PolicySet], pricing: Pricing) -> None:
        self._playground = playground
        self._policies = policies
        self._pricing = pricing

    def pages(self) -> tuple[Page, ...]:
        """Return who answers which path."""
        return Page(API, self._choices), Page(API, self._try, "POST")

    async def _choices(self, _: web.BaseRequest) -> web.Response:
        policies = self._policies()
        told = {
            "teams": teams_of(policies),
            "methods": sorted(named_methods(policies)),
            "model": DEFAULT_MODEL,
        }
        return _sent(told)

    async def _try(self, request: web.BaseRequest) -> web.Response:
        wanted = wanted_of(await body_of(request, LIMIT_BYTES), self._policies())
        return _sent(row_of(await self._playground.run(wanted, self._pricing)))


def teams_of(policies: PolicySet) -> list[dict[str, str]]:
    """Return every team with its policy, the default one first."""
    own = sorted(policies.by_team.items(), key=lambda pair: (pair[1] is not policies.default, pair[0]))
    return [
        {
            "team": team,
            "policy": policy.label,
            "mode": policy.mode.value,
            "deadline_s": f"{policy.deadline_s:g}",
        }
        for team, policy in own
    ]


def named_methods(policies: PolicySet) -> dict[str, Method]:
    """Return the methods that policies use, which are therefore prepared, by what they are called here."""
    return {_called(method): method for method in methods_of(policies)}


def wanted_of(body: bytes, policies: PolicySet) -> Wanted:
    """Return what the body of a question wants.

    Raises: RequestError where it is none, or there is no such team, method or rate.
    """
    question = _question(body)
    policy = policies.for_team(question.team)
    if policy is None or (question.team and question.team not in policies.by_team):
        known = ", ".join(sorted(policies.by_team))
        raise RequestError(400, "unknown_team", f"No team is called so; there are: {known}.")
    methods = named_methods(policies)
    if question.method and question.method not in methods:
        told = f"No policy uses such a method; there are: {', '.join(sorted(methods))}."
        raise RequestError(400, "unknown_method", told)
    if question.rate is not None and not 0 < question.rate <= 1:
        raise RequestError(400, "bad_rate", "`rate` must be above 0 and at most 1, or null.")
    team, method = question.team or DEFAULT_TEAM, methods.get(question.method)
    return Wanted(question.prompt, policy, team, method, question.rate, question.model)


def row_of(tried: Tried) -> dict[str, object]:
    """Return what became of a prompt, as the page reads it."""
    report, policy = tried.report, tried.wanted.policy
    return {
        "team": report.team,
        "policy": policy.label,
        "mode": policy.mode.value,
        "deadline_s": policy.deadline_s,
        "took_s": tried.took_s,
        "model": report.model,
        "encoding": report.encoding,
        "methods": report.methods,
        "bypass": report.bypass,
        "tokens": {"before": report.tokens_before, "after": report.tokens_after},
        "cost": None
        if tried.cost_before is None
        else {"before": tried.cost_before, "after": tried.cost_after},
        "notes": tried.notes,
        "prefix": tried.prefix,
        "parts": [_part_row(part) for part in tried.parts],
    }


def _part_row(part: Part) -> Mapping[str, object]:
    return {name: getattr(part, name) for name in part.__dataclass_fields__}


def _called(method: Method) -> str:
    options = ", ".join(f"{name}={_shown(value)}" for name, value in method.options)
    return f"{method.name} ({options})" if options else method.name


def _shown(value: object) -> str:
    return "+".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _question(body: bytes) -> _Question:
    try:
        question = msgspec.json.decode(body, type=_Question)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        told = "Send JSON: prompt, and if you like team, method, rate, model."
        raise RequestError(400, "bad_question", told) from error
    if not question.prompt.strip():
        raise RequestError(400, "no_prompt", "Paste a prompt first.")
    return question


def _sent(told: Mapping[str, object] | Sequence[object]) -> web.Response:
    answer = json_answer(200, told)
    answer.headers.update({**HEADERS, "Cache-Control": "no-store"})
    return answer
