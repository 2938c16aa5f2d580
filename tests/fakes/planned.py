"""A plan as a planner gives it, made of a prompt with a system message, a document and a question."""

import json

from elision.policies.engine import make_plan
from elision.policies.model import Endpoint, Facts, Kind, Mode, Policy, Rule, Use, When
from elision.policies.segments import cut
from elision.proxy.bodies import parse
from elision.proxy.planner import Planned
from fakes.senses import Watched

DOCUMENT = "\n\n".join(["The mill stood by the river. " * 40] * 3)
POLICY = Policy(
    "team",
    "abc",
    Mode.AUDIT,
    2.0,
    (
        Rule("tools", When(segment=(Kind.TOOL_RESULT,)), Use("lossless")),
        Rule("[red]documents", When(), Use("selective_context", 0.5, None, (("unit", "phrase"),))),
    ),
)


def planned(policy: Policy = POLICY, notes: tuple[str, ...] = ()) -> Planned:
    """Return what a policy makes of a system prompt, a document and a question."""
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": f"{DOCUMENT}\n\nWho owned the mill?"},
    ]
    body = parse(json.dumps({"model": "gpt-4o", "messages": messages}).encode(), Endpoint.CHAT)
    segments = cut(body.texts, lambda text: len(text.split()))
    facts, senses = Facts(body.model), Watched().senses
    plan = make_plan(policy, segments, facts, senses)
    return Planned("search", policy, body, plan, "words", segments, facts, senses, notes=notes)
