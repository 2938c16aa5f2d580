"""Texts, targets and options for methods that read with a causal model, and what is promised of outcomes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from elision.compressors.base import Compressor, Method, OptionValue, Outcome, Span, Target
from elision.compressors.documents import cut
from elision.compressors.forced import digit_spans, occurrences
from elision.compressors.protect import find_spans, merged
from elision.compressors.registry import Resources, make_compressor
from elision.compressors.tokens import Counters
from elision.compressors.units import may_cut
from fakes.scripts import strewn_text
from fakes.tiny_lm import save_tiny_lm

MODEL = "gpt-4o"
LEFT_ALONE = {"too_short", "within_target", "nothing_kept", "not_shorter"}
EXTREMES = (0.01, 0.1, 0.2, 0.33, 0.5, 0.7, 0.9, 0.99, 1.0)

Told = dict[str, OptionValue]

FEW = settings(
    max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), phases=(Phase.generate,)
)
MANY = settings(FEW, max_examples=10_000, phases=(Phase.generate, Phase.shrink))

# What tokenizers, slicers and counters trip over; each can stand beside any other.
_ODD = (
    *(
        "👩‍👩‍👧",
        "👍🏽",
        "🇫🇷🇩🇪",
        "❤️‍🔥",
        "1️⃣",
        "🏴\U000e0067\U000e0062\U000e007f",
        "e\u0301\u0323",
        "\u0301",
        "葛\U000e0100",
    ),
    *("日本語の文。", "ภาษาไทย", "क्षत्रिय", "שָׁלוֹם", "الطُّرُق", "\u1112\u1161\u11ab", "か\u3099", "ﾞ", "𝔘𝔫𝔦", "ﬁ"),
    *(
        "\x00",
        "\x07",
        "\x1b[0m",
        "\x7f",
        "\x85",
        "\u200b",
        "\u200d",
        "\ufeff",
        "\u202e",
        "\u2028",
        "\ufffd",
        "\ud83d",
        "\udc00",
    ),
    *(
        "<|endoftext|>",
        "<|im_start|>",
        "\r\n",
        "\r",
        "\t",
        "\n\n",
        "\n",
        " ",
        "  ",
        "\u00a0",
        "\u3000",
        "---\n",
        "\n\n\n\n",
    ),
    *(
        "fox",
        "the",
        "a",
        "not",
        "witness",
        "reports",
        "1987",
        "3.5 km",
        "https://example.org/a?b=c#d",
        "`x = y`",
        "{name}",
    ),
    *(
        "x" * 70,
        "aGVsbG8gd29ybGQ" * 5,
        "Document [1]:",
        "<document>",
        "</document>",
        "[2]",
        "Source:",
        ".",
        ",",
        "(",
        "”",
    ),
)
_SENTENCES = (
    "The quick brown fox was late, he said to nobody in particular. ",
    "A witness thinks that meetings of 12 May 1987 were not held in Geneva. ",
    "See https://example.org/a/b?c=1 and `code` for 3.5 percent of reports. ",
    "It was the best of times, it was the worst of times, it was late.\n\n",
    "日本語の文もあります。 ",
    "Ünïcödé 👩‍👩‍👧 and ภาษาไทย stand here.\n\n",
)
_EDGES = (
    *("", " ", "\n\n\t \r\n", "fox", "f", "👩‍👩‍👧", "\ud83d", "\x00", "é", "3.5 km"),
    "1987 3.5 km https://example.org/a 12 May 1987 {name} `x = y` $1,200.50 -7 % not never " * 4,
    "fox " * 300,
    "\n" * 400,
    "\n\n".join(["fox"] * 60),
    "\u0301" * 100,
    "日" * 200,
    "👩‍👩‍👧" * 40,
)

_strewn = st.integers(0, 10**6).map(lambda seed: strewn_text(seed).text)
texts = st.one_of(
    _strewn,
    st.lists(_strewn, min_size=2, max_size=4).map("\n\n".join),
    st.lists(st.sampled_from(_SENTENCES), min_size=2, max_size=16).map("".join),
    st.lists(st.sampled_from(_ODD), max_size=80).map("".join),
    st.lists(st.sampled_from(_ODD), max_size=80).map(" ".join),
    st.lists(st.one_of(st.text(max_size=20), st.sampled_from(_ODD)), max_size=30).map(" ".join),
    st.sampled_from(_EDGES),
)
rates = st.one_of(st.sampled_from(EXTREMES), st.floats(0.01, 1.0))
questions = st.sampled_from(
    ("", "   ", "Who was late?", "誰が遅れた？", "<|endoftext|>", "\ud83d", "👩‍👩‍👧?", "Who said so? " * 400)
)


@st.composite
def targets(draw: st.DrawFn) -> Target:
    """Rates and numbers of tokens, with a question or none, with protection or none."""
    protect = draw(st.sampled_from((None, None, (), ("numbers",))))
    question = draw(questions)
    if draw(st.integers(0, 5)) == 0:
        return Target(
            tokens=draw(st.sampled_from((1, 2, 20, 100))), model=MODEL, question=question, protect=protect
        )
    return Target(rate=draw(rates), model=MODEL, question=question, protect=protect)


def options(**others: st.SearchStrategy[OptionValue]) -> st.SearchStrategy[Told]:
    """Any options of a method: some of these, and of what every method takes."""
    forced: dict[str, st.SearchStrategy[OptionValue]] = {
        "force_tokens": st.sampled_from(
            ((".", "\n"), ("the",), ("。", "fox", "\n\n"), ("👩‍👩‍👧", "e"), (" ",))
        ),
        "force_reserve_digit": st.booleans(),
        "drop_consecutive": st.booleans(),
    }
    return st.fixed_dictionaries({}, optional={**others, **forced})


SENTENCES: dict[str, st.SearchStrategy[OptionValue]] = {
    "use_sentence_level_filter": st.booleans(),
    "keep_first_sentence": st.integers(0, 3),
    "keep_last_sentence": st.integers(0, 3),
    "keep_sentence_number": st.integers(0, 3),
    "high_priority_bonus": st.sampled_from((0.0, 100.0, -5.0)),
    "token_budget_ratio": st.sampled_from((0.01, 1.0, 1.4, 50.0)),
    "keep_split": st.booleans(),
}
READING: dict[str, st.SearchStrategy[OptionValue]] = {
    "level": st.sampled_from(("word", "token")),
    "kv": st.sampled_from(("exact", "fast")),
    "iterative_size": st.sampled_from((7, 50, 200, 1_000_000)),
    "precision": st.sampled_from(("auto", "full")),
    "use_context_level_filter": st.booleans(),
    "context_budget": st.sampled_from(("+100", "*2", "-50", "/2", "+0", "*1000000", "/1000000")),
}


@dataclass(slots=True, repr=False)
class Workshop:
    """Makes a method's compressors on tiny random weights, each once."""

    name: str
    weights: str
    resources: Resources = field(default_factory=lambda: Resources(Counters(), threads=1))
    made: dict[Method, Compressor] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Workshop({self.name})"  # of what it has made hypothesis would print all

    @classmethod
    def in_folder(cls, name: str, folder: Path, window: int = 4096) -> "Workshop":
        return cls(name, str(save_tiny_lm(folder, window=window)))

    def __call__(self, told: Told) -> Compressor:
        method = Method(self.name, tuple(sorted({**told, "weights": self.weights}.items())))
        if method not in self.made:
            self.made[method] = make_compressor(method, self.resources)
        return self.made[method]

    def count(self, text: str) -> int:
        return self.resources.counters.counter_for(MODEL).count(text)


def shortened(compressor: Compressor, text: str, target: Target) -> Outcome:
    [outcome] = compressor.compress([text], [target])
    return outcome


def hold_in_order(workshop: Workshop, text: str, target: Target, told: Told) -> Outcome:
    """Compress a text by a method that leaves order alone; hold what comes of it against every promise."""
    compressor = workshop(told)
    outcome = shortened(compressor, text, target)
    check(workshop, text, target, outcome)
    check_order(outcome)
    check_characters(text, target, told, outcome)
    check_held(text, target, told, outcome)
    if not outcome.reason and outcome.tokens_after > budget_of(target, outcome.tokens_before):
        # Exactly what must stay goes out where that alone has more than was asked for.
        least = shortened(compressor, text, Target(tokens=1, model=MODEL, protect=target.protect))
        assert outcome.text == least.text
    return outcome


def check(workshop: Workshop, text: str, target: Target, outcome: Outcome) -> None:
    """Hold an outcome against what is promised of all of them."""
    assert (outcome.tokens_before, outcome.tokens_after) == (
        workshop.count(text),
        workshop.count(outcome.text),
    )
    assert outcome.tokens_after <= outcome.tokens_before
    if outcome.reason:
        assert outcome.reason in LEFT_ALONE
        assert (outcome.text, outcome.kept) == (text, ())
        return
    assert outcome.tokens_after < outcome.tokens_before
    assert outcome.text == "".join(text[span.start : span.end] for span in outcome.kept)
    ascending = sorted(outcome.kept)
    assert all(left.end <= right.start for left, right in pairwise(ascending)), "said twice"
    assert all(0 <= span.start < span.end <= len(text) for span in ascending)


def check_order(outcome: Outcome) -> None:
    """What stays stands in order, and apart."""
    assert all(left.end < right.start for left, right in pairwise(outcome.kept))


def check_characters(text: str, target: Target, told: Told, outcome: Outcome) -> None:
    """No slice ends within what a reader takes for one character, but where something that stays does."""
    edges = {at for span in held(text, target, told) for at in (span.start, span.end)}
    for span in outcome.kept:
        for at in (span.start, span.end):
            assert _apart(text, at) or at in edges, text[max(at - 3, 0) : at + 3]


def _apart(text: str, at: int) -> bool:
    """Whether a character that readers see ends here; a mark upon a blank is one by itself."""
    return may_cut(text, at) or (text[at - 1].isspace() and text[at] != "\n")


def held(text: str, target: Target, told: Told) -> tuple[Span, ...]:
    """Return what must stay: what is protected, digits and strings that are forced."""
    return merged(_held_each(text, target, told))


def _held_each(text: str, target: Target, told: Told) -> list[tuple[int, int]]:
    spans = [(span.start, span.end) for span in find_spans(text, target.protect)]
    spans += digit_spans(text) if told.get("force_reserve_digit") else ()
    if not told.get("drop_consecutive"):
        spans += occurrences(text, forced_strings(told))
    return spans


def forced_strings(told: Told) -> tuple[str, ...]:
    given = told.get("force_tokens", ())
    assert isinstance(given, tuple)
    return (*given, *(("\n\n",) if told.get("keep_split") else ()))


def check_held(text: str, target: Target, told: Told, outcome: Outcome, *, documents: bool = False) -> None:
    """What must stay is there whole; with `documents`, unless its whole document has gone."""
    if outcome.reason:
        return
    # What stays may touch what goes with the next document: each by itself, then.
    wanted = [Span(*one) for one in _held_each(text, target, told)] if documents else held(text, target, told)
    gone = _gone(text, target, outcome.kept) if documents else ()
    for span in wanted:
        inner = text[span.start : span.end]
        start, end = span.end - len(inner.lstrip()), span.start + len(inner.rstrip())
        if start >= end or any(one.start <= start and end <= one.end for one in gone):
            continue
        assert any(one.start <= start and end <= one.end for one in outcome.kept), text[start:end]


def _gone(text: str, target: Target, kept: Sequence[Span]) -> list[Span]:
    """Return the documents of which nothing stays, with the gaps around them."""
    stays = np.zeros(len(text) + 1, bool)
    for span in kept:
        stays[span.start : span.end] = True
    found = cut(text, find_spans(text, target.protect))
    gone = [one for one in found.documents if not stays[one.start : one.end].any()]
    return [Span(_before(text, one.start), _after(text, one.end)) for one in gone]


def _before(text: str, at: int) -> int:
    return len(text[:at].rstrip())


def _after(text: str, at: int) -> int:
    return at + len(text[at:]) - len(text[at:].lstrip())


COMPANY = (
    "".join(_SENTENCES) * 3,
    "",
    "fox " * 200,
    "\n\n".join(_SENTENCES),
    strewn_text(7).text,
    " ",
    strewn_text(11).text,
    "".join(_SENTENCES) * 3,
)


def check_company(workshop: Workshop, told: Told) -> None:
    """Texts of one call come out as each alone, by a compressor that has done nothing before."""
    rates = (0.5, 0.5, 0.2, 0.33, 0.7, 0.5, 0.4, 0.3)
    wanted = [Target(rate=rate, model=MODEL, question="Who was late?") for rate in rates]
    together = workshop(told).compress(COMPANY, wanted)
    backwards = workshop(told).compress(COMPANY[::-1], wanted[::-1])[::-1]
    workshop.made.clear()
    alone = [shortened(workshop(told), text, target) for text, target in zip(COMPANY, wanted, strict=True)]
    assert together == backwards == alone
    assert sum(not outcome.reason for outcome in alone) >= 3


def check_ten_thousand_words(workshop: Workshop, told: Told) -> None:
    """Of equal words as many stay as were asked for, to the token."""
    text = "fox " * 10_000
    outcome = shortened(workshop(told), text, Target(rate=0.3, model=MODEL))
    check(workshop, text, Target(rate=0.3, model=MODEL), outcome)
    assert outcome.reason == ""
    assert 0.3 * outcome.tokens_before - 2 <= outcome.tokens_after <= 0.3 * outcome.tokens_before


def budget_of(target: Target, total: int) -> float:
    return float(target.tokens) if target.tokens is not None else (target.rate or 1.0) * total + 1e-6
