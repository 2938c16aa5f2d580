"""Which documents bear on a question, in which order they go, and how much of each stays.

Ranks documents by what a causal model finds likely, or by shared words, and does the arithmetic of
LongLLMLingua's coarse stage; all but `model_scores` is pure. It cuts no texts and chooses no words.
Source: Jiang et al., LongLLMLingua, arXiv:2310.06839, sections 4.1 to 4.3.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise
from math import inf, log

import numpy as np
from numpy.typing import NDArray

from elision.compressors.causal_lm import CausalLM
from elision.compressors.errors import BadOption
from elision.compressors.units import is_unspaced, words

RESTRICTION = " We can get the answer to this question in the given documents."
"""What stands behind the question whose likelihood after a document is its score (section 4.1)."""

_BUDGET = re.compile(r"\s*([-+*/])\s*(\d{1,12}(?:\.\d{1,12})?)\s*")
_QUESTION_TOKENS = 256
_SATURATION = 1.5
_LENGTH_WEIGHT = 0.75
# Scores that differ by less are equal: the last bits of sums depend on the company in a batch.
_DIGITS = 5


class Condition(StrEnum):
    """What is read for a document's score, and after what.

    Attributes:
        NONE: the document by itself; the more surprising, the better.
        BEFORE: the document after the question; the less surprising, the better.
        AFTER: the question after the document; the less surprising, the better.
    """

    NONE = "none"
    BEFORE = "before"
    AFTER = "after"


class Reorder(StrEnum):
    """In which order documents go.

    Attributes:
        ORIGINAL: as they came.
        SORT: the best first.
        TWO_STAGE: the best at both ends, the least in the middle.
    """

    ORIGINAL = "original"
    SORT = "sort"
    TWO_STAGE = "two_stage"


@dataclass(frozen=True, slots=True)
class Query:
    """Documents that are ranked against one another."""

    documents: Sequence[str]
    question: str
    condition: Condition


def model_scores(lm: CausalLM, queries: Sequence[Query]) -> list[list[float]]:
    """Return how well each document of each query answers, more is better; read in shared batches.

    A document longer than what the model reads before a question is read in parts, and the part that
    answers best counts. Of a question of more than 256 tokens the end is asked: it is read for every
    document.
    """
    queries = [replace(query, question=_end(lm, query.question)) for query in queries]
    parts = [[_parts(lm, document) for document in query.documents] for query in queries]
    told = [
        _pair(query, part)
        for query, documents in zip(queries, parts, strict=True)
        for own in documents
        for part in own
    ]
    found = iter([_mean(one.nll) for one in lm.conditional(told)])
    scores: list[list[float]] = []
    for query, documents in zip(queries, parts, strict=True):
        sign = 1.0 if query.condition is Condition.NONE else -1.0
        scores.append([max((sign * next(found) for _ in own), default=-inf) for own in documents])
    return scores


def bm25_scores(question: str, documents: Sequence[str]) -> list[float]:
    """Return how well each document answers to the question by the words that both have; 0: none.

    `elision.policies.ranking` ranks whole segments by the same formula. Rooms below the proxy may
    not import one another, and policies may not load what this room loads; the formula is the whole
    of what both know, and a test holds the two against each other.

    Source: Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond (2009),
        section 3, with `log(1 + ...)` as the weight of a word, which is never negative.
    """
    asked = frozenset(_terms(question))
    terms = [_terms(document) for document in documents]
    counts = [Counter(term for term in own if term in asked) for own in terms]
    mean = max(1.0, sum(map(len, terms)) / max(1, len(terms)))
    held = {term: sum(term in own for own in counts) for term in sorted(asked)}
    weight = {term: log(1 + (len(terms) - n + 0.5) / (n + 0.5)) for term, n in held.items()}
    scores = []
    for own, all_ in zip(counts, terms, strict=True):
        norm = _SATURATION * (1 - _LENGTH_WEIGHT + _LENGTH_WEIGHT * len(all_) / mean)
        scores.append(
            sum((weight[t] * own[t] * (_SATURATION + 1) / (own[t] + norm) for t in weight if own[t]), 0.0)
        )
    return scores


def best_first(scores: Sequence[float]) -> tuple[int, ...]:
    """Return the numbers of documents, the best first; equals as they came."""
    return tuple(sorted(range(len(scores)), key=lambda at: (-round(scores[at], _DIGITS), at)))


def staying(
    ranked: Sequence[int], sizes: Sequence[int], budget: float, forced: Collection[int] = ()
) -> tuple[int, ...]:
    """Return which documents stay, the best first: those that must, and others until the budget is spent.

    The last one may exceed it (LLMLingua, arXiv:2310.05736, section 3.1): what is too much is taken
    away word by word. The best one always stays.

    Args:
        ranked: all documents, the best first.
        sizes: tokens of each document.
    """
    left = budget - sum(sizes[at] for at in set(forced))
    taken = set(forced)
    for at in ranked:
        if at in taken:
            continue
        if left <= 0 and taken:
            break
        taken.add(at)
        left -= sizes[at]
    return tuple(at for at in ranked if at in taken)


def reordered(ranked: Sequence[int], how: Reorder) -> tuple[int, ...]:
    """Return documents in the order in which they go.

    Args:
        ranked: those that stay, the best first.
    """
    if how is Reorder.ORIGINAL:
        return tuple(sorted(ranked))
    if how is Reorder.SORT:
        return tuple(ranked)
    return (*ranked[::2], *reversed(ranked[1::2]))


def read_context_budget(written: str) -> tuple[str, float]:
    """Read `+100`, `-50`, `*1.2` or `/2`: what is done to the tokens of a target, and with what.

    Raises: BadOption.
    """
    match = _BUDGET.fullmatch(written)
    if match is None or (match[1] == "/" and not float(match[2])):
        raise BadOption(
            f"context_budget must be +, -, * or / and a number, '+100' for instance, not {written!r}"
        )
    return match[1], float(match[2])


def context_budget(written: str, target: float) -> float:
    """Return how many tokens the documents that stay may have, by a target and `context_budget`.

    Raises: BadOption.
    """
    sign, number = read_context_budget(written)
    if sign in "+-":
        return target + number if sign == "+" else target - number
    return target * number if sign == "*" else target / number


def slopes(count: int, delta: float) -> list[float]:
    """Return what the rate of each of so many ranked documents is above the common one, the best first.

    From `delta` to `-delta` in equal steps; for a negative `delta` the last keeps most.
    """
    return [delta * (1 - 2 * rank / (count - 1)) if count > 1 else 0.0 for rank in range(count)]


def dynamic_rates(sizes: Sequence[int], budget: float, above: Sequence[float]) -> list[float]:
    """Return the rate of each document, so that all together keep the budget exactly.

    Each is a common rate plus the document's own `above`, held within 0 and 1; the common rate is the
    one by which the sum of tokens is `budget`. (The reference takes the plain rate for the common one,
    and misses the budget by whatever the bounds cut off and by how long the best documents are.)

    Args:
        sizes: tokens of each document.
        budget: tokens for all of them.
        above: as `slopes` has it.
    """
    size, up = np.asarray(sizes, np.float64), np.asarray(above, np.float64)
    budget = min(max(budget, 0.0), float(size.sum()))

    def kept(common: float) -> float:
        return float((size * np.clip(common + up, 0.0, 1.0)).sum())

    # Between two neighbouring ones of these the sum is linear in the common rate.
    corners = sorted({*(-up).tolist(), *(1 - up).tolist()})
    for low, high in pairwise(corners):
        least, most = kept(low), kept(high)
        if least <= budget <= most and most > least:
            common = low + (high - low) * (budget - least) / (most - least)
            return [min(max(common + one, 0.0), 1.0) for one in up.tolist()]
    return [1.0 if budget else 0.0] * len(size)


def _pair(query: Query, document: str) -> tuple[str, str]:
    """Return what is read before, and the text whose surprise counts."""
    if query.condition is Condition.NONE:
        return "", document
    if query.condition is Condition.BEFORE:
        return query.question + "\n\n", document
    return document, query.question + RESTRICTION


def _end(lm: CausalLM, question: str) -> str:
    """Return the last tokens of a question, all of a short one."""
    [told] = lm.tokenise([question])
    at = int(told.offsets[-_QUESTION_TOKENS, 0]) if len(told.ids) > _QUESTION_TOKENS else 0
    return question[at:]


def _parts(lm: CausalLM, document: str) -> list[str]:
    """Return a document in parts that are read whole before a question (`CausalLM.head`), or nearly so."""
    most = max(1, lm.window // 2 - 1)
    tokens = lm.count(document)
    if tokens <= most:
        return [document]
    bounds = words(document)
    each = max(1, len(bounds) * most * 4 // (tokens * 5))
    edges = [*bounds[::each, 0].tolist(), len(document)]
    return [document[start:end] for start, end in pairwise(edges)] or [document]


def _mean(nll: NDArray[np.float64]) -> float:
    return float(nll.mean()) if len(nll) else 0.0


def _terms(text: str) -> list[str]:
    """Return a text's words in lower case; of scripts without spaces pairs of neighbouring characters."""
    text = unicodedata.normalize("NFKC", text).lower()
    found: list[str] = []
    run: list[str] = []
    for start, end in [*words(text).tolist(), (len(text), len(text))]:
        word = _bare(text[start:end])
        if word and is_unspaced(word[0]):
            run.append(word)
            continue
        found += [a + b for a, b in pairwise(run)] or run
        run = []
        found += [part for part in re.split(r"[^\w\u0300-\u036f\u0900-\u0dff]+", word) if part]
    return found


def _bare(word: str) -> str:
    """Return a word without the marks around it."""
    while word and not (word[0].isalnum() or unicodedata.category(word[0]).startswith("M")):
        word = word[1:]
    while word and not (word[-1].isalnum() or unicodedata.category(word[-1]).startswith("M")):
        word = word[:-1]
    return word
