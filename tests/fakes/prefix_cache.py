"""How providers keep the prefixes of prompts and bill them: OpenAI, Anthropic, DeepSeek, Gemini. Pure.

The rules are those of the providers' documents as of autumn 2026: OpenAI's guide and cookbook on
prompt caching, Anthropic's on automatic caching, DeepSeek's on context caching, Gemini's on
implicit caching. They are written down here apart from `elision.config.prefix_terms`, so that the
one can be held against the other. Costs are exact fractions, in tokens of uncached input; output
is not billed, because it does not depend on how a prompt was sent.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from fractions import Fraction
from itertools import accumulate, takewhile
from typing import Any

_NEVER = float("-inf")


class Reach(Enum):
    """How far into a prompt that was seen before a cache hits.

    ANYWHERE: as far as any live prompt begins alike.
    BREAKPOINTS: up to the end of a message (or marked part) where an earlier prompt ended or was
        marked, and up to there exactly; an earlier unmarked place is no use.
    UNITS: up to the end of an earlier prompt or of its answer; where two prompts were found to
        begin alike, that beginning is a unit from then on.
    NOWHERE: there is no cache.
    """

    ANYWHERE = "anywhere"
    BREAKPOINTS = "breakpoints"
    UNITS = "units"
    NOWHERE = "nowhere"


@dataclass(frozen=True, slots=True)
class Rules:
    """One provider's terms; prices relative to a token of uncached input.

    Attributes:
        read, write: of a token that comes from the cache, or goes into it.
        minimum: a shorter prefix is neither kept nor found.
        ttl_s: seconds that a prefix lives after its last use.
        step: hits are rounded down to a multiple of so many tokens.
        latest: so many of the newest breakpoints are looked at.
        marks: so many explicit breakpoints are written beside the implicit one, the newest.
    """

    reach: Reach
    read: Fraction = Fraction(1)
    write: Fraction = Fraction(1)
    minimum: int = 0
    ttl_s: float = 300.0
    step: int = 1
    latest: int = 80
    marks: int = 3


def _openai_until_5_5(read: str) -> Rules:
    return Rules(Reach.ANYWHERE, Fraction(read), minimum=1024, ttl_s=600.0, step=128)


def _anthropic(minimum: int) -> Rules:
    return Rules(Reach.BREAKPOINTS, Fraction("0.1"), Fraction("1.25"), minimum, 300.0, latest=20)


def _gemini(minimum: int) -> Rules:
    return Rules(Reach.ANYWHERE, Fraction("0.1"), minimum=minimum, ttl_s=300.0)


def provider_rules() -> dict[str, Rules]:
    """Return the rules by the name of a model that is billed so."""
    return {
        "gpt-4o": _openai_until_5_5("0.5"),
        "gpt-4.1": _openai_until_5_5("0.25"),
        "gpt-5": _openai_until_5_5("0.1"),
        "gpt-5.6": Rules(Reach.BREAKPOINTS, Fraction("0.1"), Fraction("1.25"), 1024, 1800.0),
        "claude-opus-5": _anthropic(512),
        "claude-sonnet-5": _anthropic(1024),
        "claude-haiku-4-5": _anthropic(4096),
        "deepseek-v4-flash": Rules(Reach.UNITS, Fraction(3, 150), ttl_s=4 * 3600.0),
        "deepseek-v4-pro": Rules(Reach.UNITS, Fraction(22, 660), ttl_s=4 * 3600.0),
        "gemini-2.5-flash": _gemini(2048),
        "gemini-3-pro": _gemini(4096),
        "llama-3.3-70b": Rules(Reach.NOWHERE),
    }


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a prompt: a message, or one part of a message's content.

    Attributes:
        text: its tokens joined; equal pieces have equal texts.
        ends: whether a message ends with it.
        marked: whether the client set an explicit breakpoint at its end.
    """

    text: str
    tokens: tuple[str, ...]
    ends: bool = True
    marked: bool = False


@dataclass(frozen=True, slots=True)
class Bill:
    """What one request costs.

    Attributes:
        prompt, cached, written: tokens; `written` of those that are not cached.
        repeated: tokens that the prompt shares with the longest beginning of any earlier one,
            whether or not a cache would still know.
        cost: in tokens of uncached input.
        reached: so many whole pieces from the prompt's beginning on are cached.
    """

    prompt: int
    cached: int
    written: int
    repeated: int
    cost: Fraction
    reached: int = field(default=0, compare=False)


@dataclass(slots=True)
class _Node:
    """A piece after all the pieces above it.

    Attributes:
        seen_until: a prompt that went through here is remembered until then.
        kept_until: what ends here can be found as a whole until then.
        units: tokens into the piece -> until when the unit that ends there can be found.
    """

    piece: Piece
    seen_until: float = _NEVER
    kept_until: float = _NEVER
    units: dict[int, float] = field(default_factory=dict)
    below: dict[str, "_Node"] = field(default_factory=dict)


class PrefixCache:
    """What a provider remembers of one customer's prompts to one model.

    Args:
        rules: by which it does.
    """

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._root = _Node(Piece("", ()))

    def bill(self, prompt: Sequence[Piece], now: float, answer: Piece | None = None) -> Bill:
        """Bill a prompt at the time `now`, in seconds, and remember it.

        Args:
            answer: the message that the model says to it, as the next prompt will repeat it.
        """
        rules = self._rules
        total = _size(prompt)
        repeated = self._common(prompt, _NEVER)
        hit = self._hit(prompt, now)
        hit -= hit % rules.step
        if hit < rules.minimum:
            hit = 0
        writes = rules.reach is Reach.BREAKPOINTS and total >= rules.minimum
        written = total - hit if writes else 0
        if rules.reach is not Reach.NOWHERE:
            self._remember(prompt, now, answer)
        cost = rules.read * hit + rules.write * written + (total - hit - written)
        ends = accumulate(len(piece.tokens) for piece in prompt)
        return Bill(total, hit, written, repeated, cost, sum(end <= hit for end in ends))

    def _hit(self, prompt: Sequence[Piece], now: float) -> int:
        match self._rules.reach:
            case Reach.ANYWHERE:
                return self._common(prompt, now)
            case Reach.BREAKPOINTS:
                return self._at_breakpoints(prompt, now)
            case Reach.UNITS:
                return self._at_units(prompt, now)
            case Reach.NOWHERE:
                return 0

    def _path(self, prompt: Sequence[Piece], since: float) -> Iterator[_Node]:
        """Yield the nodes of the prompt's longest beginning that is remembered at the time `since`."""
        node = self._root
        for piece in prompt:
            found = node.below.get(piece.text)
            if found is None or found.seen_until < since:
                return
            yield found
            node = found

    def _common(self, prompt: Sequence[Piece], since: float) -> int:
        """Return how many tokens the prompt shares with one that is remembered at the time `since`."""
        nodes = list(self._path(prompt, since))
        whole = _size([node.piece for node in nodes])
        if len(nodes) == len(prompt):
            return whole
        last = nodes[-1] if nodes else self._root
        following = prompt[len(nodes)].tokens
        alive = (node for node in last.below.values() if node.seen_until >= since)
        return whole + max((_alike(node.piece.tokens, following) for node in alive), default=0)

    def _at_breakpoints(self, prompt: Sequence[Piece], now: float) -> int:
        places = [at for at, piece in enumerate(prompt) if piece.ends or piece.marked]
        looked_at = set(places[-self._rules.latest :])
        nodes = list(self._path(prompt, _NEVER))
        found = [at for at, node in enumerate(nodes) if at in looked_at and node.kept_until >= now]
        return _size(prompt[: found[-1] + 1]) if found else 0

    def _at_units(self, prompt: Sequence[Piece], now: float) -> int:
        best = passed = 0
        nodes = list(self._path(prompt, _NEVER))
        for node in nodes:
            best = max([best, *(passed + at for at, until in node.units.items() if until >= now)])
            passed += len(node.piece.tokens)
            if node.kept_until >= now:
                best = passed
        if len(nodes) < len(prompt):
            following = prompt[len(nodes)].tokens
            for node in (nodes[-1] if nodes else self._root).below.values():
                alike = _alike(node.piece.tokens, following)
                units = (at for at, until in node.units.items() if until >= now and at <= alike)
                best = max([best, *(passed + at for at in units)])
        return best

    def _remember(self, prompt: Sequence[Piece], now: float, answer: Piece | None) -> None:
        until = now + self._rules.ttl_s
        if self._rules.reach is Reach.UNITS:
            self._note_common(prompt, now)
        passed = 0
        nodes: list[_Node] = []
        node = self._root
        for piece in prompt:
            node = node.below.setdefault(piece.text, _Node(piece))
            passed += len(piece.tokens)
            node.seen_until = until
            if node.kept_until >= now:
                node.kept_until = until
            if passed >= self._rules.minimum:
                nodes.append(node)
        marked = [kept for kept in nodes if kept.piece.marked][-self._rules.marks :]
        for kept in [*marked, *nodes[-1:]]:
            kept.kept_until = until
        if answer is not None and self._rules.reach is Reach.UNITS:
            said = node.below.setdefault(answer.text, _Node(answer))
            said.seen_until = said.kept_until = until

    def _note_common(self, prompt: Sequence[Piece], now: float) -> None:
        """Make a unit of what the prompt and an earlier one have in common at their beginning."""
        until = now + self._rules.ttl_s
        nodes = list(self._path(prompt, now))
        if len(nodes) == len(prompt):
            return
        last = nodes[-1] if nodes else self._root
        following = prompt[len(nodes)].tokens
        near = [(_alike(node.piece.tokens, following), node) for node in last.below.values()]
        alike, node = max(near, key=lambda one: one[0], default=(0, last))
        if alike:
            node.units[alike] = until
        elif nodes and near:
            last.kept_until = until


def _size(pieces: Sequence[Piece]) -> int:
    return sum(len(piece.tokens) for piece in pieces)


def _alike(one: Sequence[str], other: Sequence[str]) -> int:
    pairs = zip(one, other, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


class Tokens:
    """Turns the body of a chat request into pieces: tools first, then each message in order.

    Args:
        cut: a text into its tokens.
    """

    def __init__(self, cut: Callable[[str], Sequence[str]]) -> None:
        self._cut = cut
        self._made: dict[str, Piece] = {}

    def prompt(self, body: Mapping[str, Any]) -> list[Piece]:
        """Return the pieces of a prompt."""
        pieces: list[Piece] = []
        if body.get("tools"):
            pieces.append(self._piece("<|tools|>", json.dumps(body["tools"]), "<|end|>"))
        for message in body["messages"]:
            pieces += self.message(message)
        return pieces

    def message(self, message: Mapping[str, Any]) -> list[Piece]:
        """Return the pieces of one message; one but where its content is a list of parts."""
        head = f"<|start|>{message['role']}:{message.get('name', '')}<|message|>"
        others = {name: value for name, value in message.items() if name not in ("role", "name", "content")}
        tail = (json.dumps(others) if others else "", "<|end|>")
        content = message.get("content")
        if not isinstance(content, list):
            return [self._piece(head, content or "", *tail)]
        pieces = [self._part(part, head if at == 0 else "") for at, part in enumerate(content)]
        return [*pieces, self._piece("", *tail)]

    def _part(self, part: Mapping[str, Any], head: str) -> Piece:
        text = part["text"] if part.get("type") == "text" else json.dumps(part)
        marked = "prompt_cache_breakpoint" in part
        return self._piece(head, text, marked=marked, ends=False)

    def _piece(self, *texts: str, ends: bool = True, marked: bool = False) -> Piece:
        name = "\0".join((*texts, str(ends), str(marked)))
        made = self._made.get(name)
        if made is None:
            tokens = tuple(token for text in texts for token in self._cut(text))
            made = self._made[name] = Piece("\0".join(tokens), tokens, ends, marked)
        return made


class Provider:
    """Customers' caches, a clock that is moved by hand, and all bills.

    Args:
        tokens: how prompts are counted.
        rules: by model; what is not named is billed in full.

    Attributes:
        now: seconds.
        bills: by customer and conversation (`prompt_cache_key` in the body).
    """

    def __init__(self, tokens: Tokens, rules: Mapping[str, Rules] | None = None) -> None:
        self.now = 0.0
        self.bills: dict[tuple[str, str], list[Bill]] = {}
        self._tokens = tokens
        self._rules = provider_rules() if rules is None else rules
        self._caches: dict[tuple[str, str], PrefixCache] = {}

    def serve(self, customer: str, body: Mapping[str, Any], answer: Mapping[str, Any] | None = None) -> Bill:
        """Bill a request, and keep the bill.

        Args:
            customer: whose key it came with; no customer hits another's prefixes.
            answer: the message that answers it.
        """
        model = str(body["model"])
        rules = self._rules.get(model, Rules(Reach.NOWHERE))
        cache = self._caches.setdefault((customer, model), PrefixCache(rules))
        said = self._tokens.message(answer)[0] if answer is not None else None
        bill = cache.bill(self._tokens.prompt(body), self.now, said)
        self.bills.setdefault((customer, str(body.get("prompt_cache_key", ""))), []).append(bill)
        return bill
