"""Requests that begin alike cost no more with Elision than without, but for the first writes of a beginning.

Whatever is asked, and by which preset it is shortened; a simulated provider (`fakes.prefix_cache`) bills
them by each provider's rules. docs/prefix-cache.md states the bound.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from elision.proxy.policy_source import load_preset
from fakes.author import Author
from fakes.billed import Bodies, Machinery, World, bills_of, bodies_with, bodies_without, total
from fakes.prefix_cache import provider_rules
from fakes.shared_talks import long_questions, separate, shared_talks
from fakes.talks import Talk

RULES = provider_rules()
FINDERS = ("gpt-4o", "gpt-4.1", "gpt-5", "deepseek-v4-flash", "deepseek-v4-pro", "gemini-2.5-flash")
"""Whose caches find beginnings of messages."""
TALKS = {talk.name: talk for talk in shared_talks(Author("heads"))}


@pytest.fixture(scope="module")
def machinery() -> Machinery:
    """Return what plans and compresses, which remembers from test to test."""
    return Machinery()


def next_worker(world: World, _: float) -> None:
    """Each request comes to another worker."""
    world.turn += 1


def held(machinery: Machinery, talk: Talk, model: str, preset: str, workers: int = 1) -> Bodies:
    """Return what the provider gets through the proxy."""
    machinery.apply(load_preset(preset))

    async def through() -> Bodies:
        world = World(machinery, Random(0))
        world.start(workers)
        return await bodies_with(world, talk, model, next_worker)

    return asyncio.run(through())


def costs(machinery: Machinery, talk: Talk, model: str, preset: str) -> tuple[Fraction, Fraction]:
    """Return the bills without and with Elision."""
    without = total(bills_of(machinery.tokens, talk, bodies_without(talk, model)))
    return without, total(bills_of(machinery.tokens, talk, held(machinery, talk, model, preset)))


def bound(machinery: Machinery, talk: Talk, model: str) -> Fraction:
    """Return by how much the bill may be above the one without.

    Every token of the client's beginnings that came twice is written once more, at most; and hits may be
    rounded down by a step in every request.
    """
    ways: dict[tuple[int, str], int] = {}
    passed: Counter[int] = Counter()
    for body in bodies_without(talk, model):
        node = 0
        for piece in machinery.tokens.prompt(body):
            for token in piece.tokens:
                node = ways.setdefault((node, token), len(ways) + 1)
                passed[node] += 1
    rules = RULES[model]
    rounded = (1 - rules.read) * (rules.step - 1) * len(talk.requests)
    return rules.write * sum(count > 1 for count in passed.values()) + rounded


PAIRS = [(name, FINDERS[at % len(FINDERS)]) for at, name in enumerate(TALKS)]


@pytest.mark.parametrize(("name", "model"), PAIRS)
@pytest.mark.parametrize("preset", ["rag", "aggressive"])
def test_a_beginning_that_is_shared_costs_no_more_than_to_be_written_again(
    machinery: Machinery, name: str, model: str, preset: str
) -> None:
    """One document, a few, parts of them, with long questions, short ones, or hours between them."""
    without, with_ = costs(machinery, TALKS[name], model, preset)
    assert with_ <= without + bound(machinery, TALKS[name], model)


@pytest.mark.parametrize("name", ["pool", "passages"])
def test_workers_share_what_they_remember(machinery: Machinery, name: str) -> None:
    """Three send what one sends."""
    one, three = (held(machinery, TALKS[name], "gpt-5", "rag", workers) for workers in (1, 3))
    assert one == three


@pytest.mark.parametrize("model", ["gpt-5", "gpt-5.6", "deepseek-v4-flash"])
def test_documents_that_all_differ_keep_their_saving(machinery: Machinery, model: str) -> None:
    """They are ranked by the question as before: about half of the bill is saved."""
    without, with_ = costs(machinery, TALKS["all differ"], model, "rag")
    assert with_ < Fraction(55, 100) * without


@pytest.mark.parametrize("model", ["gpt-5", "deepseek-v4-pro"])
def test_often_asked_about_the_same_document_costs_less_than_without(
    machinery: Machinery, model: str
) -> None:
    """The second writing is paid for by what each question costs less."""
    talk = long_questions(Author("often"), 24)
    without, with_ = costs(machinery, talk, model, "rag")
    assert with_ < without


def requests_of(choices: Sequence[tuple[Sequence[int], int]]) -> Talk:
    """Return requests with some of a few documents each, and a question of so many words."""
    author = Author("drawn")
    books = [f"<document>\n{author.document(260)}\n</document>" for _ in range(4)]
    contents: list[object] = []
    for chosen, words in choices:
        found = "\n".join(books[number] for number in chosen)
        asked = f"{author.answer(words) if words else ''} {author.question()}"
        contents.append(f"{found}\n\nQuestion: {asked}")
    return separate("drawn", author, contents)


@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.tuples(st.permutations(range(4)).map(lambda order: order[:3]), st.sampled_from([0, 40, 150])),
        min_size=2,
        max_size=7,
    ),
    st.sampled_from(FINDERS),
    st.sampled_from(["rag", "aggressive"]),
)
def test_whatever_is_drawn_the_bill_is_within_its_bound(
    machinery: Machinery, choices: list[tuple[list[int], int]], model: str, preset: str
) -> None:
    """Cost with Elision is at most the cost without and one writing of each beginning that came twice."""
    talk = requests_of(choices)
    without, with_ = costs(machinery, talk, model, preset)
    assert with_ <= without + bound(machinery, talk, model)
