"""A teacher that shortens by removing words, as it is asked to, and behaves as teachers do."""

import hashlib
import threading
from dataclasses import dataclass, field

from elision.training.distil import INSTRUCTION

_FILLERS = "the a an of and to in is that it was very really so then there well you know just as on for with"
INVENTED = "Furthermore notwithstanding hitherto"


@dataclass(slots=True)
class FakeTeacher:
    """Answers prompts of `elision.training.distil`; the same text gets the same answer.

    Attributes:
        invents: in every so many texts it says what was never said; 0: never.
        babbles: of every so many texts the first answer is no completion at all; 0: never.
        copies: every so many texts come back as they were; 0: never.
        heard: texts, in order of arrival.
    """

    invents: int = 0
    babbles: int = 0
    copies: int = 0
    heard: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, prompt: str) -> str | None:
        text = prompt.removeprefix(INSTRUCTION)
        number = int(hashlib.sha256(text.encode()).hexdigest(), 16)
        with self._lock:
            again = text in self.heard
            self.heard.append(text)
        if self.babbles and number % self.babbles == 0 and not again:
            return None
        if self.copies and number % self.copies == 1:
            return text
        said = shortened(text)
        return f"{said} {INVENTED}" if self.invents and number % self.invents == 0 else said


def shortened(text: str) -> str:
    """Remove fillers; the first word stays, so that no answer is empty."""
    fillers = frozenset(_FILLERS.split())
    first, *others = text.split()
    return " ".join([first, *(word for word in others if word.lower() not in fillers)])
