"""The frozen types of policies: what is known of a prompt, what a policy says, what was decided.

Pure data. Policies see facts only (roles, kinds, tokens, the model's name), never HTTP, and name
methods only by their names, never by their code.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from elision.policies.telling import Spending, Telling

OptionValue = str | int | float | bool | tuple[str, ...]

KEEP = "keep"
"""The method that leaves a segment alone."""
DROP = "drop"
"""What is done with whole examples and documents that a budget leaves out, and with our own tags.

It is decided, never written in a policy file."""


class Kind(StrEnum):
    """What a segment of a prompt is for."""

    INSTRUCTION = "instruction"
    DEMONSTRATIONS = "demonstrations"
    CONTEXT = "context"
    QUESTION = "question"
    TOOL_RESULT = "tool_result"
    HISTORY = "history"


class TextKind(StrEnum):
    """What a text looks like; it decides which methods may touch it."""

    PROSE = "prose"
    CODE = "code"
    JSON = "json"
    MARKUP = "markup"
    TABLE = "table"
    LOG = "log"
    CONFIG = "config"
    LINKS = "links"
    ENCODED = "encoded"


class Mode(StrEnum):
    """What is done with a plan."""

    ENFORCE = "enforce"
    AUDIT = "audit"
    OFF = "off"


class Endpoint(StrEnum):
    """The kinds of request that are looked into."""

    CHAT = "chat"
    COMPLETIONS = "completions"
    RESPONSES = "responses"


class Position(StrEnum):
    """Where in a conversation a turn stands; all but `first` change as the conversation grows."""

    FIRST = "first"
    EARLIER = "earlier"
    LAST = "last"


class Scope(StrEnum):
    """What one budget is shared out over."""

    TURN = "turn"
    REQUEST = "request"


class Ranking(StrEnum):
    """How whole examples and documents are ordered when not all can stay."""

    BM25 = "bm25"
    ORDER = "order"


@dataclass(frozen=True, slots=True)
class PromptText:
    """One text value of a request's body.

    Attributes:
        place: JSON pointer of the string, `/messages/2/content/0/text` for instance.
        message: index of the message that it belongs to.
        role: the message's role, as the client wrote it.
        text: the string's value.
        name: the message's `name`, "" without one.
    """

    place: str
    message: int
    role: str
    text: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Mark:
    """What a user wrote into a prompt about a part of it, by an inline tag.

    Attributes:
        keep: the part is to be left alone.
        rate: share of its tokens to keep; None: the policy says.
        method: by which method; "": the policy says.
    """

    keep: bool = False
    rate: float | None = None
    method: str = ""


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of one prompt text with one purpose: `texts[source].text[start:end]`.

    The segments of a text, in order, concatenate to that text exactly.

    Attributes:
        source: index of the prompt text that it is a part of.
        tokens: of this segment alone, as the target model counts them.
        message: index of the message, as the prompt text has it; parts of one message share it.
        turn: which turn it belongs to, from 0. A turn begins with an assistant's message that is no
            demonstration, and ends before the next one: what a later request repeats of it is the
            same, so what is decided within a turn is decided alike in every later request.
        block_tokens: of all segments of this kind in this message; what a rule's bounds are for.
        pieces: the whole documents or demonstrations in it, as ascending, disjoint character ranges
            relative to `start`; () where there are fewer than two.
        mark: what the user said of it by an inline tag; None where nothing.
        tag: whether it is such a tag itself, which is taken out before the text is forwarded.
    """

    source: int
    start: int
    end: int
    kind: Kind
    role: str
    text: str
    tokens: int
    message: int = 0
    turn: int = 0
    block_tokens: int = 0
    pieces: tuple[tuple[int, int], ...] = ()
    mark: Mark | None = None
    tag: bool = False


@dataclass(frozen=True, slots=True)
class FewShot:
    """What counts as demonstrations.

    Attributes:
        named: messages whose name is `example_user` or `example_assistant`.
        inside: exemplars inside one message ("Q: ... A: ...", `<example>`, ...).
        leading_pairs: so many user/assistant pairs at the head of the conversation. A fixed number:
            counted otherwise, a later turn would take for an example what an earlier one did not.
    """

    named: bool = True
    inside: bool = True
    leading_pairs: int = 0


@dataclass(frozen=True, slots=True)
class When:
    """A rule's condition; an empty field matches everything.

    Attributes:
        text_kind: `kind` in a policy file.
        language: primary language subtags, `en` for instance.
        model, upstream: globs.
        min_turn, max_turn: turns counted from 1, the conversation's first.
        header: (lower-case name, glob of its value) of the request's headers; all must match.
    """

    role: tuple[str, ...] = ()
    segment: tuple[Kind, ...] = ()
    model: tuple[str, ...] = ()
    min_tokens: int = 0
    max_tokens: int | None = None
    text_kind: tuple[TextKind, ...] = ()
    language: tuple[str, ...] = ()
    endpoint: tuple[Endpoint, ...] = ()
    upstream: tuple[str, ...] = ()
    position: tuple[Position, ...] = ()
    min_turn: int = 1
    max_turn: int | None = None
    header: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Use:
    """What a rule does with a segment. The method `keep` leaves it alone.

    Attributes:
        rate, tokens: how far; both None: the budget says, or the method (lossless) by itself.
        protect: names of protected classes; None: all of them.
        min_tokens: a block of fewer tokens is left alone; None: 300.
        deadline_s: after so many seconds the segment goes out as it is; None: the policy's.
        mode: None: the policy's.
    """

    method: str = KEEP
    rate: float | None = None
    tokens: int | None = None
    options: tuple[tuple[str, OptionValue], ...] = ()
    protect: tuple[str, ...] | None = None
    min_tokens: int | None = None
    deadline_s: float | None = None
    mode: Mode | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """First match wins. `name` is what explanations and headers call it."""

    name: str
    when: When
    use: Use


@dataclass(frozen=True, slots=True)
class Budget:
    """How many tokens a prompt may keep, and how they are shared out (LLMLingua, section 3).

    One of `rate`, `tokens` and `fit` says how many.

    Attributes:
        rate: share of all tokens in scope to keep.
        tokens: of the whole request's texts; scope `request`.
        fit: as many as the model's context window holds beside the reply; scope `request`.
        window: tokens of the context window; None: as known for the model.
        reply: tokens left free for the reply; None: what the request asks for.
        instruction_rate, question_rate: their shares, fixed high, where a rule compresses them at all.
        min_rates, max_rates: bounds by kind of segment.
        granularity: coarse selection keeps whole documents up to this times the fine budget (k).
        coarse: whether whole documents and demonstrations may be left out.
        min_examples: so many documents or demonstrations of a segment stay at least.
        slope: how much more the best ranked keeps than the last (LongLLMLingua's delta); 0: alike.
        ranking: how they are ordered.
    """

    rate: float | None = None
    tokens: int | None = None
    fit: bool = False
    window: int | None = None
    reply: int | None = None
    scope: Scope = Scope.TURN
    instruction_rate: float = 0.85
    question_rate: float = 0.9
    min_rates: tuple[tuple[Kind, float], ...] = ()
    max_rates: tuple[tuple[Kind, float], ...] = ()
    granularity: float = 2.0
    coarse: bool = True
    min_examples: int = 1
    slope: float = 0.0
    ranking: Ranking = Ranking.BM25


@dataclass(frozen=True, slots=True)
class Permissions:
    """What a request may ask for by `x-elision` headers and inline marks.

    Attributes:
        off, audit, explain: `x-elision: off`, `audit`, `explain`.
        rate: `x-elision-rate`.
        marks: inline tags.
        min_rate: the least that a request or a tag may ask to keep.
    """

    off: bool = True
    audit: bool = True
    explain: bool = True
    rate: bool = False
    marks: bool = True
    min_rate: float = 0.1

    def granted(self, wish: "Wish") -> "Wish":
        """Return what is left of a wish where so much is permitted; `min_rate` is not applied."""
        permitted = {None: True, Mode.OFF: self.off, Mode.AUDIT: self.audit}
        return Wish(
            mode=wish.mode if permitted.get(wish.mode, False) else None,
            explain=wish.explain and self.explain,
            rate=wish.rate if self.rate else None,
        )


@dataclass(frozen=True, slots=True)
class History:
    """What is done with a conversation's earlier turns, beside sending again what was sent before.

    Attributes:
        compress_unknown: turns that began before the proxy are shortened too, as the rules say; for
            upstreams that bill a repeated prefix in full. Otherwise they go out as they are.
        older_than_turns: turns with more turns than these after them may be shortened a second time,
            once for all; None: never.
        step: so many such turns must have come together before one prefix is broken for them.
        use: how they are shortened.
        expected_turns: further requests that are expected to begin as this one does; for what pays.
    """

    compress_unknown: bool = False
    older_than_turns: int | None = None
    step: int = 4
    use: Use = Use()
    expected_turns: int = 5


@dataclass(frozen=True, slots=True)
class PrefixTerms:
    """How a provider bills a prefix that it has seen before, relative to its price of input.

    Attributes:
        read: of a token that is read from its cache; 1: there is no discount.
        write: of a token that is written to it; 1: no fee.
        minimum: tokens below which nothing is cached.
        ttl_s: seconds after its last use for which a prefix may still be there; only then is it
            surely gone. (How long it is kept at least is no help: to take a warm prefix for a cold
            one costs the whole prefix.)
        granule: hits come in steps of so many tokens.
        source: where this was read, for explanations.
        whole_messages: only whole messages, and parts that the client marks, are found again.
    """

    read: float = 1.0
    write: float = 1.0
    minimum: int = 0
    ttl_s: float = 300.0
    granule: int = 1
    source: str = ""
    whole_messages: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """One team's rules.

    Attributes:
        version: a short digest of all that it was read from.
        budget: None: rules alone say how far.
        keys: fingerprints of the team's API keys, `sha256:` and 64 hexadecimal digits.
        history: what is done with earlier turns.
        telling: what is told of requests.
        spending: what the team means to spend a month; None: nobody said.
        recover: whether what answers quote of shortened texts is put back into the client's words.
    """

    name: str
    version: str
    mode: Mode
    deadline_s: float
    rules: tuple[Rule, ...]
    budget: Budget | None = None
    few_shot: FewShot = FewShot()
    permissions: Permissions = Permissions()
    keys: tuple[str, ...] = ()
    history: History = History()
    telling: Telling = Telling()
    spending: Spending | None = None
    recover: bool = False

    @property
    def label(self) -> str:
        """`name@version`, as headers and logs show it."""
        return f"{self.name}@{self.version}"


@dataclass(frozen=True, slots=True)
class Wish:
    """What one request asks for by its `x-elision` headers.

    Attributes:
        mode: AUDIT or OFF; None: nothing.
        explain: show the plan instead of carrying it out.
        rate: share of tokens to keep in place of the policy's rates and budget.
    """

    mode: Mode | None = None
    explain: bool = False
    rate: float | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a request beside its texts.

    Attributes:
        upstream: name of the upstream that it goes to.
        headers: of the request, by lower-case names; the first value of each.
        reply_tokens: the most that the reply may take, as the request says; None: it does not.
        window: tokens of the model's context window; None: not known.
        other_tokens: what the prompt holds beside its texts (tools, schemas); an estimate.
    """

    model: str = ""
    endpoint: Endpoint = Endpoint.CHAT
    upstream: str = ""
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    reply_tokens: int | None = None
    window: int | None = None
    other_tokens: int = 0
    wish: Wish = Wish()


@dataclass(frozen=True, slots=True)
class Ability:
    """What a method may be given unless a rule names more.

    Attributes:
        languages: primary subtags that it was made for; None: any.
        text_kinds: what it may touch; None: anything.
        needs_target: whether it must be told how far to go.
    """

    languages: frozenset[str] | None = None
    text_kinds: frozenset[TextKind] | None = None
    needs_target: bool = True


@dataclass(frozen=True, slots=True)
class Senses:
    """What deciding asks about a text: pure functions, which a caller may memoise.

    Attributes:
        count: tokens, as the target model counts them.
        text_kind: what it looks like.
        language: its primary language subtag, "" where that is not plain.
        protected: tokens within its protected spans, of the classes named (None: all).
        abilities: what each method may be given, by its name.
        default_method: what a rule without a method, or a tag without one, means.
    """

    count: Callable[[str], int]
    text_kind: Callable[[str], TextKind]
    language: Callable[[str], str]
    protected: Callable[[str, tuple[str, ...] | None], int]
    abilities: Mapping[str, Ability]
    default_method: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What one segment's fate is to be, and why.

    Attributes:
        rule: name of the rule that matched; "" where none did.
        why: for a person, one line: why this rule, or why the segment is kept.
        question: what is asked in the message's own turn, "" if nothing is.
        mode: ENFORCE, or AUDIT where the outcome is told but not sent.
    """

    segment: Segment
    use: Use
    rule: str
    why: str
    question: str = ""
    mode: Mode = Mode.ENFORCE

    @property
    def compresses(self) -> bool:
        """Whether a compressor is to see this segment."""
        return self.use.method not in (KEEP, DROP)

    @property
    def drops(self) -> bool:
        """Whether this segment is left out whole."""
        return self.use.method == DROP


@dataclass(frozen=True, slots=True)
class Plan:
    """What a policy makes of one request: decisions that cover its texts, in their order.

    Attributes:
        notes: what the budget could not keep to, in the order it gave way, for a person.
    """

    policy: str
    mode: Mode
    deadline_s: float
    decisions: tuple[Decision, ...]
    notes: tuple[str, ...] = ()

    @property
    def compresses(self) -> bool:
        """Whether any segment is to be compressed or left out."""
        return self.mode is not Mode.OFF and any(d.compresses or d.drops for d in self.decisions)
