"""The gate: which texts a method may be given without being told to.

Pure. A method leaves alone what it was not made for (`Ability`), and every method leaves alone code,
unless the rule that matched, or the tag around the text, says otherwise by name.
"""

from collections.abc import Collection

from elision.policies.conditions import Subject
from elision.policies.model import Ability, Senses, TextKind, When

# What a method that leaves words out would break; one that was made for it says so.
_BREAKABLE = frozenset((TextKind.JSON, TextKind.ENCODED))
_UNKNOWN = Ability()
_BY_RULE = "name `{key}: {value}` in the rule to allow it"
_BY_TAG = "name a method in the tag to allow it"


def needs_target(method: str, senses: Senses) -> bool:
    """Return whether a method leaves words out, and so must be told how far to go."""
    return senses.abilities.get(method, _UNKNOWN).needs_target


def refusal(method: str, subject: Subject, when: When, *, is_marked: bool = False) -> str:
    """Return why a method may not touch a text, "" if it may.

    A refused segment is kept: the rules below the one that matched are not tried, lest a text be
    given to a method that its author wrote for other texts. Whoever wants otherwise names the kind
    or the language in the rule.

    Args:
        method: that is to be used.
        subject: the segment; its text is studied here only as far as the method asks.
        when: of the rule that matched: what it names is allowed.
        is_marked: whether a user asked for it by a tag: then a language that is not plain does no harm.
    """
    ability = subject.senses.abilities.get(method, _UNKNOWN)
    if not when.text_kind and (why := _kind_refusal(method, subject.text_kind, ability)):
        return f"{why}; {_BY_TAG if is_marked else _BY_RULE.format(key='kind', value=subject.text_kind)}"
    if when.language or ability.languages is None or subject.language in ability.languages:
        return ""
    made_for = f"{method} is for the language {_any_of(ability.languages)}, and this"
    if not subject.language:
        return "" if is_marked else f"{made_for} text's is not plain"
    allow = _BY_TAG if is_marked else _BY_RULE.format(key="language", value=subject.language)
    return f"{made_for} looks like {subject.language}; {allow}"


def _kind_refusal(method: str, kind: TextKind, ability: Ability) -> str:
    fitting = ability.text_kinds
    if kind is TextKind.CODE or (fitting is None and ability.needs_target and kind in _BREAKABLE):
        return f"{kind} is left alone unless it is named"
    if fitting is not None and kind not in fitting:
        return f"{method} is for {_any_of(fitting)}, and this looks like {kind}"
    return ""


def _any_of(names: Collection[str]) -> str:
    return " or ".join(sorted(names))
