"""The simulated providers bill as theirs do: every figure here is worked out by hand."""

import json
from collections.abc import Sequence
from fractions import Fraction

import pytest

from fakes.author import Author
from fakes.billing_upstream import BillingUpstream, heard, usage_of
from fakes.prefix_cache import Bill, Piece, PrefixCache, Provider, Reach, Rules, Tokens, provider_rules
from fakes.running import raw_exchange, request_bytes
from fakes.talks import Talk, agent, all_talks, chat, edited, window

RULES = provider_rules()


def piece(name: str, size: int, *, marked: bool = False) -> Piece:
    """Return a message of so many tokens, none of which another name shares."""
    tokens = tuple(f"{name}{number}" for number in range(size))
    return Piece(" ".join(tokens), tokens, marked=marked)


def cached(model: str, *prompts: Sequence[Piece], apart_s: float = 10.0) -> list[int]:
    """Return how much of each prompt is read from the cache."""
    cache = PrefixCache(RULES[model])
    return [cache.bill(prompt, number * apart_s).cached for number, prompt in enumerate(prompts)]


def words(text: str) -> list[str]:
    return text.split()


def test_openai_until_5_5_reads_in_steps_of_128_from_1024() -> None:
    """1,300 of 1,500 tokens are common: 1,280 are read at a tenth, a quarter or half, 220 in full."""
    head = piece("a", 1300)
    for model, read in (("gpt-4o", "0.5"), ("gpt-4.1", "0.25"), ("gpt-5", "0.1")):
        cache = PrefixCache(RULES[model])
        first = cache.bill([head, piece("b", 200)], 0.0)
        assert first == Bill(1500, 0, 0, 0, Fraction(1500))
        second = cache.bill([head, piece("c", 200)], 1.0)
        assert second == Bill(1500, 1280, 0, 1300, 220 + 1280 * Fraction(read))


@pytest.mark.parametrize(("common", "read"), [(1023, 0), (1024, 1024), (1151, 1024), (1152, 1152)])
def test_the_smallest_prefix_and_the_steps(common: int, read: int) -> None:
    """Below 1,024 nothing is read; above, whole steps."""
    head = piece("a", common)
    assert cached("gpt-5", [head, piece("b", 900)], [head, piece("c", 900)])[1] == read


def test_a_common_beginning_within_a_message_counts_where_the_longest_prefix_does() -> None:
    """OpenAI until 5.5 and Gemini look at tokens, not at messages; OpenAI from 5.6 on at breakpoints."""
    one, other = piece("a", 3000), piece("a", 3000)
    tail = tuple(f"z{number}" for number in range(1000))
    other = Piece("other", (*other.tokens[:2000], *tail))
    assert cached("gpt-5", [one], [other]) == [0, 1920]
    assert cached("gemini-2.5-flash", [one], [other]) == [0, 0]  # 2,000 is less than 2,048
    assert cached("gpt-5.6", [one], [other]) == [0, 0]


def test_openai_from_5_6_writes_at_one_and_a_quarter_and_reads_at_a_tenth() -> None:
    """1,500 tokens written; then 1,500 read and 300 written, without rounding."""
    cache = PrefixCache(RULES["gpt-5.6"])
    head = [piece("a", 1500)]
    assert cache.bill(head, 0.0) == Bill(1500, 0, 1500, 0, Fraction(1875))
    assert cache.bill([*head, piece("b", 300)], 1.0) == Bill(1800, 1500, 300, 1500, Fraction(150 + 375))
    assert cache.bill([piece("c", 1000)], 2.0) == Bill(1000, 0, 0, 0, Fraction(1000))


def test_openai_from_5_6_misses_where_only_the_suffix_changes() -> None:
    """The breakpoint stands at the newest message: the same head before another tail is written anew."""
    head = piece("a", 2000)
    assert cached("gpt-5.6", [head, piece("b", 10)], [head, piece("c", 10)]) == [0, 0]
    marked = piece("a", 2000, marked=True)
    assert cached("gpt-5.6", [marked, piece("b", 10)], [marked, piece("c", 10)]) == [0, 2000]


def test_openai_from_5_6_writes_four_breakpoints_at_most() -> None:
    """Of five marked messages the last three are kept, beside the prompt's end."""
    marked = [piece(name, 1100, marked=True) for name in "abcde"]
    for number, read in ((1, 0), (2, 0), (3, 3300), (4, 4400), (5, 5500)):
        prompts = ([*marked, piece("f", 5)], [*marked[:number], piece("g", 5)])
        assert cached("gpt-5.6", *prompts)[1] == read


def test_openai_from_5_6_looks_at_the_latest_eighty_breakpoints() -> None:
    """A prompt that went on for 80 messages elsewhere no longer finds where it began."""
    head, tail = [piece("a", 2000)], [piece(f"m{number}-", 2) for number in range(80)]
    assert cached("gpt-5.6", head, [*head, *tail[:79]])[1] == 2000
    assert cached("gpt-5.6", head, [*head, *tail])[1] == 0


@pytest.mark.parametrize(("model", "ttl_s"), [("gpt-5", 600), ("gpt-5.6", 1800), ("claude-sonnet-5", 300)])
def test_a_prefix_lives_on_from_its_last_use(model: str, ttl_s: float) -> None:
    """Within the time it is read, and lives as long again; after it, it is gone."""
    head = piece("a", 1280)
    prompts = [[head, *(piece(f"m{n}-", 1) for n in range(at))] for at in range(3)]
    assert cached(model, *prompts, apart_s=ttl_s - 1)[1:] == [1280, 1280 if model == "gpt-5" else 1281]
    assert cached(model, *prompts, apart_s=ttl_s + 1) == [0, 0, 0]


@pytest.mark.parametrize(
    ("model", "minimum"), [("claude-opus-5", 512), ("claude-sonnet-5", 1024), ("claude-haiku-4-5", 4096)]
)
def test_anthropic_has_a_minimum_for_each_model(model: str, minimum: int) -> None:
    """What is below it is neither written nor read; what is not, costs a quarter more, then a tenth."""
    cache = PrefixCache(RULES[model])
    below = [piece("a", minimum - 1)]
    assert cache.bill(below, 0.0).cost == cache.bill(below, 1.0).cost == minimum - 1
    head = [piece("b", minimum)]
    assert cache.bill(head, 2.0).cost == Fraction("1.25") * minimum
    assert cache.bill([*head, piece("c", 8)], 3.0).cost == Fraction("0.1") * minimum + 10


@pytest.mark.parametrize(("model", "minimum"), [("gemini-2.5-flash", 2048), ("gemini-3-pro", 4096)])
def test_gemini_takes_nine_tenths_off(model: str, minimum: int) -> None:
    """From its minimum on, without a fee and without steps."""
    head = piece("a", minimum + 5)
    cache = PrefixCache(RULES[model])
    assert cache.bill([head], 0.0).cost == minimum + 5
    assert cache.bill([head, piece("b", 100)], 1.0).cost == Fraction(minimum + 5, 10) + 100
    short = piece("c", minimum - 1)
    assert cached(model, [short], [short, piece("d", 9)]) == [0, 0]


def test_deepseek_reads_whole_units() -> None:
    """The ends of a prompt and of its answer are units; a common beginning from the second time on."""
    cache = PrefixCache(RULES["deepseek-v4-flash"])
    head, answer = piece("a", 400), piece("answer", 100)
    assert cache.bill([head], 0.0, answer).cost == 400
    assert cache.bill([head, answer, piece("b", 50)], 1.0).cached == 500
    document, asked = piece("d", 900), [piece(name, 20) for name in "xyz"]
    hits = [cache.bill([document, one], 2.0).cached for one in asked]
    assert hits == [0, 0, 900]
    assert cache.bill([document, asked[0]], 3.0).cost == Fraction(3, 150) * 920


def test_deepseek_makes_a_unit_of_what_two_messages_have_in_common() -> None:
    """The beginning of a message that two prompts share is read by the third, and only as a whole."""
    cache = PrefixCache(RULES["deepseek-v4-pro"])
    document = [f"d{number}" for number in range(700)]
    asked = [Piece(name, (*document, name)) for name in "xyz"]
    assert [cache.bill([one], 0.0).cached for one in asked] == [0, 0, 700]
    shorter = Piece("s", (*document[:600], "s"))
    assert cache.bill([shorter], 1.0).cached == 0


def test_without_a_cache_every_token_costs() -> None:
    """A server that bills nothing by prefix."""
    cache = PrefixCache(RULES["llama-3.3-70b"])
    assert [cache.bill([piece("a", 5000)], 0.0).cost for _ in range(2)] == [5000, 5000]


@pytest.mark.parametrize(("kept", "further"), [(500, 10.5), (330, 4.66)])
def test_when_rewriting_a_warm_prefix_pays(kept: int, further: float) -> None:
    """Rewritten to a share p, it pays after (1.25 p - 0.1) / (0.1 (1 - p)) further turns, not before."""
    left: list[Fraction] = []
    rewritten: list[Fraction] = []
    for name, bills in (("a", left), ("b", rewritten)):
        cache = PrefixCache(Rules(Reach.BREAKPOINTS, Fraction("0.1"), Fraction("1.25"), 0, 1e9))
        cache.bill([piece("a", 1000)], 0.0)
        head = piece(name, 1000 if name == "a" else kept)
        bills += [cache.bill([head], float(turn)).cost for turn in range(1, 20)]
    dearer = [sum(rewritten[:turn]) > sum(left[:turn]) for turn in range(1, 20)]
    assert dearer.index(False) == int(further) + 1


def test_the_cliff_below_the_smallest_prefix() -> None:
    """1,500 warm tokens cost 150 a turn; shrunk to 900 they cost 900."""
    for size, cost in ((1500, 150), (900, 900)):
        cache = PrefixCache(Rules(Reach.ANYWHERE, Fraction("0.1"), minimum=1024))
        assert [cache.bill([piece("a", size)], 0.0).cost for _ in range(3)][1:] == [cost, cost]


def test_customers_and_models_share_nothing() -> None:
    """Another key, and another model, begin with an empty cache."""
    provider = Provider(Tokens(words))
    body = {"model": "gpt-5", "prompt_cache_key": "t", "messages": [{"role": "user", "content": "a " * 2000}]}
    hits = [provider.serve(name, {**body, "model": model}).cached > 0 for name, model in _CUSTOMERS]
    assert hits == [False, True, False, False]
    assert [len(provider.bills[name, "t"]) for name in ("one", "two")] == [3, 1]


_CUSTOMERS = (("one", "gpt-5"), ("one", "gpt-5"), ("two", "gpt-5"), ("one", "gpt-4o"))


def test_a_prompt_is_its_tools_and_messages_in_order() -> None:
    """Every message is a piece; of several parts, several, which explicit breakpoints may end."""
    parts = [{"type": "text", "text": "b c", "prompt_cache_breakpoint": {}}, {"type": "text", "text": "d"}]
    messages = [
        {"role": "system", "content": "a"},
        {"role": "user", "content": parts},
        {"role": "tool", "content": None, "x": 1},
    ]
    made = Tokens(words).prompt({"tools": [{"name": "f"}], "messages": messages})
    assert [(one.ends, one.marked) for one in made] == [
        (True, False),
        (True, False),
        (False, True),
        (False, False),
        (True, False),
        (True, False),
    ]
    assert made[2].tokens == ("<|start|>user:<|message|>", "b", "c")


@pytest.mark.parametrize("make", [chat, agent, edited, window])
def test_conversations_go_on_from_their_own_answers(make: object) -> None:
    """Each request but a repeated or changed one is the last one, its answer and something more."""
    assert callable(make)
    talk: Talk = make(Author(3))
    assert make(Author(3)) == talk
    followed = [
        after.messages[: len(before.messages) + 1] == (*before.messages, before.answer)
        for before, after in zip(talk.requests, talk.requests[1:], strict=False)
    ]
    if talk.name in ("chat", "agent"):
        assert all(followed)
    else:
        assert 0 < sum(followed) < len(followed)


def test_every_sort_of_conversation_has_a_name_of_its_own() -> None:
    """Bills are kept by it."""
    talks = all_talks(Author(3))
    assert len({talk.name for talk in talks}) == len(talks) == 14


@pytest.mark.parametrize("stream", [False, True])
async def test_the_upstream_says_what_it_bills(stream: bool) -> None:
    """Usage as the provider words it; the conversation's next answer, streamed or whole."""
    talk = chat(Author(3), turns=3)
    async with BillingUpstream([talk], Tokens(words)) as upstream:
        told = []
        for sent in talk.requests:
            body = {"model": "deepseek-v4-pro", "prompt_cache_key": "chat", "stream": stream}
            data = json.dumps({**body, "messages": sent.messages}).encode()
            headers = [("Authorization", "Bearer k"), ("Connection", "close")]
            answer = await raw_exchange(
                upstream.port, request_bytes("POST", "/v1/chat/completions", headers, data)
            )
            assert heard(answer.body) == sent.answer
            told.append(answer.body.decode())
        bills = upstream.provider.bills["Bearer k", "chat"]
    for bill, text in zip(bills, told, strict=True):
        assert f'"prompt_cache_hit_tokens": {bill.cached}' in text
    assert [bill.cached > 0 for bill in bills] == [False, True, True]


def test_usage_is_worded_as_each_provider_does() -> None:
    """The figures that a user finds in his own answers."""
    bill = Bill(2000, 1500, 500, 1500, Fraction(0))
    assert usage_of(bill, "gpt-5.6")["prompt_tokens_details"] == {
        "cached_tokens": 1500,
        "cache_write_tokens": 500,
    }
    assert usage_of(bill, "claude-sonnet-5")["cache_creation_input_tokens"] == 500
    assert usage_of(bill, "deepseek-v4-pro")["prompt_cache_miss_tokens"] == 500
    assert usage_of(bill, "gpt-4o")["prompt_tokens_details"] == {"cached_tokens": 1500}
