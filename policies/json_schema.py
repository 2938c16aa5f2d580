"""The JSON Schema of policy files, for editors: completion, descriptions, errors as one types.

Pure. It is the schema of `PolicyFile` with what only the caller knows (methods, classes of protected
spans, presets) and with the short forms that reading understands: one value for a list of one, a
method's name for what a rule does, words for few-shot and history. The check itself is stricter.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from elision.policies.model import KEEP
from elision.policies.schema import PolicyFile

DIALECT = "https://json-schema.org/draft/2020-12/schema"

Node = dict[str, Any]

_EXAMPLES: tuple[Node, ...] = (
    {"extends": "balanced", "budget": {"rate": 0.6}},
    {
        "mode": "audit",
        "rules": [
            {"name": "batch", "when": {"header": {"x-class": "batch*"}}, "use": {"rate": 0.4}},
            {"name": "tools", "when": {"segment": "tool_result"}, "use": "lossless"},
        ],
    },
)


def json_schema(methods: Sequence[str], classes: Sequence[str], presets: Sequence[str]) -> Node:
    """Return the schema, draft 2020-12.

    Args:
        methods: names of the compression methods that there are.
        classes: names of the classes of protected spans.
        presets: names of what may be extended.
    """
    described = PolicyFile.model_json_schema()
    definitions = described["$defs"]
    names = {"type": "string", "enum": [KEEP, *methods]}
    spans = {"anyOf": [{"enum": [*classes]}, {"type": "string", "pattern": "^re:."}]}
    for how in ("UseSpec", "HistorySpec"):
        _property(definitions[how], "method")["anyOf"][0] = names
        _property(definitions[how], "protect")["anyOf"][0]["items"] = spans
    _property(described, "extends")["anyOf"][0] = {"type": "string", "enum": [*presets]}
    _short(_property(definitions["RuleSpec"], "use"), names)
    _short(_property(described, "few_shot"), {"enum": ["auto", "off"]})
    _short(_property(described, "history"), {"enum": ["keep", "compress"]})
    for model in (described, *definitions.values()):
        for name, node in model.get("properties", {}).items():
            if name != "rules":
                _or_single(node)
    return {
        "$schema": DIALECT,
        **described,
        "title": "Policy of Elision",
        "examples": list(_EXAMPLES),
    }


def _property(model: Mapping[str, Any], name: str) -> Node:
    node: Node = model["properties"][name]
    return node


def _short(node: Node, form: Node) -> None:
    """Let a property be `form` as well as the mapping that it refers to."""
    node["anyOf"] = [form, {"$ref": node.pop("$ref")}]


def _or_single(node: Node) -> None:
    """Let one value stand for a list of one."""
    if "items" in node:
        array = {key: node.pop(key) for key in ("type", "items", "minItems") if key in node}
        node["anyOf"] = [array, array["items"]]
    elif "anyOf" in node:
        items = [branch["items"] for branch in node["anyOf"] if "items" in branch]
        node["anyOf"] += items
