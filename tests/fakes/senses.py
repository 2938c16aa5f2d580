"""Senses made by hand: what a text looks like is written into it, and every question is counted."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from elision.policies.model import Ability, Senses, TextKind

ENGLISH_PROSE = Ability(frozenset(("en",)), frozenset((TextKind.PROSE,)))
ABILITIES: Mapping[str, Ability] = {
    "selective_context": ENGLISH_PROSE,
    "any": Ability(),
    "lossless": Ability(needs_target=False),
}


@dataclass(frozen=True, slots=True)
class Watched:
    """Senses that take a text that begins with "code de " for German code; others are English prose.

    Attributes:
        asked: how often each sense was asked about each text.
    """

    default_method: str = "any"
    asked: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def senses(self) -> Senses:
        """Return them as the engine takes them; tokens are words."""
        return Senses(
            count=lambda text: len(text.split()),
            text_kind=self._text_kind,
            language=self._language,
            protected=lambda _text, _classes: 0,
            abilities=ABILITIES,
            default_method=self.default_method,
        )

    def _text_kind(self, text: str) -> TextKind:
        self.asked["text_kind", text] += 1
        first = text.partition(" ")[0]
        return TextKind(first) if first in set(TextKind) else TextKind.PROSE

    def _language(self, text: str) -> str:
        self.asked["language", text] += 1
        second = (*text.split(" "), "", "")[1]
        return "" if second == "??" else second if len(second) == 2 else "en"
