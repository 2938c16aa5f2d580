"""The frozen types of policies: what is known of a prompt, what a policy says, what was decided.

Pure data. Policies see facts only (roles, kinds, tokens, the model's name), never HTTP, and name
methods only by their names, never by their code.
"""

from dataclasses import dataclass
from enum import StrEnum

OptionValue = str | int | float | bool


class Kind(StrEnum):
    """What a segment of a prompt is for."""

    INSTRUCTION = "instruction"
    DEMONSTRATIONS = "demonstrations"
    CONTEXT = "context"
    QUESTION = "question"
    TOOL_RESULT = "tool_result"
    HISTORY = "history"


class Mode(StrEnum):
    """What is done with a plan."""

    ENFORCE = "enforce"
    AUDIT = "audit"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class PromptText:
    """One text value of a request's body.

    Attributes:
        place: JSON pointer of the string, `/messages/2/content/0/text` for instance.
        message: index of the message that it belongs to.
        role: the message's role, as the client wrote it.
        text: the string's value.
    """

    place: str
    message: int
    role: str
    text: str


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of one prompt text with one purpose: `texts[source].text[start:end]`.

    The segments of a text, in order, concatenate to that text exactly.

    Attributes:
        source: index of the prompt text that it is a part of.
        message: index of the message, as the prompt text has it; parts of one message share it.
    """

    source: int
    start: int
    end: int
    kind: Kind
    role: str
    text: str
    tokens: int
    message: int = 0


@dataclass(frozen=True, slots=True)
class When:
    """A rule's condition; an empty field matches everything."""

    role: tuple[str, ...] = ()
    segment: tuple[Kind, ...] = ()
    model: tuple[str, ...] = ()
    min_tokens: int = 0
    max_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Use:
    """What a rule does with a segment. The method `keep` leaves it alone."""

    method: str = "keep"
    rate: float | None = None
    tokens: int | None = None
    options: tuple[tuple[str, OptionValue], ...] = ()
    protect: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """First match wins. `name` is what explanations and headers call it."""

    name: str
    when: When
    use: Use


@dataclass(frozen=True, slots=True)
class Policy:
    """One team's rules. `version` is a short digest of the file that it was read from."""

    name: str
    version: str
    mode: Mode
    deadline_s: float
    rules: tuple[Rule, ...]

    @property
    def label(self) -> str:
        """`name@version`, as headers and logs show it."""
        return f"{self.name}@{self.version}"


@dataclass(frozen=True, slots=True)
class Decision:
    """What one segment's fate is to be, and why.

    Attributes:
        rule: name of the rule that matched; "" where none did.
        why: for a person, one line: why this rule, or why the segment is kept.
        question: what is asked in the message's own turn, "" if nothing is.
    """

    segment: Segment
    use: Use
    rule: str
    why: str
    question: str = ""

    @property
    def compresses(self) -> bool:
        """Whether a compressor is to see this segment."""
        return self.use.method != "keep"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a policy makes of one request: one decision per segment, in the order of the texts."""

    policy: str
    mode: Mode
    deadline_s: float
    decisions: tuple[Decision, ...]

    @property
    def compresses(self) -> bool:
        """Whether any segment is to be compressed."""
        return self.mode is not Mode.OFF and any(d.compresses for d in self.decisions)
