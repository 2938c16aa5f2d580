"""What is known of a conversation, what is settled of it, and what is written."""

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from elision.policies.model import Endpoint
from elision.proxy import values
from elision.proxy.bodies import parse
from elision.proxy.edit_script import pieces_between
from elision.proxy.ledger import Conversation, Ledger, Made, Settled
from elision.proxy.ledger_chain import Origin
from elision.proxy.ledger_entries import Figures, Lineage, Sent, pack, unpack_lineage
from elision.proxy.store import Kind, MemoryStore, make_key, scope_of
from elision.proxy.store_tiers import Tiers
from fakes.shared_level import SharedLevel

Message = dict[str, Any]
SYSTEM = {"role": "system", "content": "Be brief."}
ASKED = {"role": "user", "content": "A long story. What is it?"}
SAID = {"role": "assistant", "content": "A mill."}
NEXT = {"role": "user", "content": "Another long story. Whose?"}
DAY_S = 86400.0


class World:
    """A store and the ledger over it."""

    def __init__(self, memory: MemoryStore | None = None, shared: SharedLevel | None = None) -> None:
        self.memory = memory or MemoryStore(1 << 20)
        store = Tiers(self.memory, shared)
        self.ledger = Ledger(store, self.memory, DAY_S, is_sure=lambda: store.is_sure)

    def conversation(
        self, messages: list[Message], policy: str = "p@1", team: str = "t", pinned: int = 0
    ) -> Conversation:
        body = parse(json.dumps({"messages": messages}).encode(), Endpoint.CHAT)
        return self.ledger.conversation(body, Origin(), team, policy, pinned)

    async def send(
        self, messages: list[Message], made: Mapping[int, str], policy: str = "p@1", rejected: str = ""
    ) -> Settled:
        """Send messages, of which some are made something else if nobody knows better."""
        conversation = self.conversation(messages, policy)
        recalled = await self.ledger.recall(conversation)
        settled = self.ledger.settle(
            recalled, {at: changed(conversation, at, made.get(at)) for at in range(len(messages))}
        )
        settled.sent()
        if rejected:
            settled.withdrawn(rejected)
        await self.ledger.close()
        return settled

    async def known(self, messages: list[Message], policy: str = "p@1", team: str = "t") -> dict[int, str]:
        recalled = await self.ledger.recall(self.conversation(messages, policy, team))
        return {at: known.texts.get(at, "as it was") for at, known in recalled.known.items()}

    async def tail(self, messages: list[Message], shown: set[int] | None = None, pinned: int = 0) -> int:
        recalled = await self.ledger.recall(self.conversation(messages, pinned=pinned))
        return recalled.tail(shown or set())


def changed(conversation: Conversation, index: int, text: str | None) -> Made:
    if text is None:
        return Made({}, Figures())
    original = conversation.body.texts[index].text
    return Made({index: Sent(text, pieces_between(original, text))}, Figures((("context", 9, 5),), ("m",)))


async def test_what_was_sent_is_known_of_every_later_request() -> None:
    """Exchanged or not; what is new is not."""
    world = World()
    settled = await world.send([SYSTEM, ASKED], {1: "story. What"})
    assert settled.texts() == {1: "story. What"}
    assert await world.known([SYSTEM, ASKED, SAID, NEXT]) == {0: "as it was", 1: "story. What"}
    assert await world.known([SYSTEM, ASKED]) == {0: "as it was", 1: "story. What"}


async def test_it_stays_though_another_would_be_made_now() -> None:
    """The first word counts."""
    world = World()
    await world.send([SYSTEM, ASKED], {1: "story. What"})
    assert (await world.send([SYSTEM, ASKED, SAID], {0: "Be", 1: "long"})).texts() == {1: "story. What"}


async def test_of_requests_at_once_the_first_to_be_settled_counts() -> None:
    """Both were recalled before either was settled."""
    world = World()
    conversation = world.conversation([ASKED])
    first, second = await asyncio.gather(*(world.ledger.recall(conversation) for _ in range(2)))
    mine = world.ledger.settle(first, {0: changed(conversation, 0, "story")})
    other = world.ledger.settle(second, {0: changed(conversation, 0, "long")})
    assert mine.texts() == other.texts() == {0: "story"}
    assert (mine.new, other.new) == ({0}, set())


async def test_what_is_noted_besides_is_kept_at_once_and_written_over_what_was_there() -> None:
    """Another request of the process finds it before it is written."""
    shared, key = SharedLevel(), make_key(scope_of("t"), Kind.HEAD, bytes(16))
    world = World(shared=shared)
    recalled = await world.ledger.recall(world.conversation([ASKED]), [key])
    assert recalled.others == {key: None}
    for value in map(values.pack, (b"one", b"two")):
        settled = world.ledger.settle(recalled, {}, {key: value})
        assert (await world.ledger.recall(recalled.conversation, [key])).others == {key: value}
        settled.sent()
        await world.ledger.close()
    other = World(shared=shared)
    found = await other.ledger.recall(other.conversation([ASKED]), [key])
    assert found.others == {key: values.pack(b"two")}


async def test_a_policy_that_changes_meanwhile_changes_nothing_of_requests_at_once() -> None:
    """The one that is settled later goes on under the policy of the first."""
    world = World()
    before, after = world.conversation([ASKED]), world.conversation([ASKED], "p@2")
    recalled = [await world.ledger.recall(conversation) for conversation in (before, after)]
    world.ledger.settle(recalled[0], {0: changed(before, 0, "story")})
    settled = world.ledger.settle(recalled[1], {0: changed(after, 0, "long")})
    assert (settled.texts(), settled.lineage) == ({0: "story"}, "p@1")


async def test_a_new_conversation_is_decided_by_the_policy_of_today() -> None:
    """Even where it begins with the words of a running one, which stays as it is."""
    world = World()
    await world.send([SYSTEM, ASKED], {0: "Be", 1: "story"})
    assert await world.known([SYSTEM, NEXT], "p@2") == {}
    assert await world.known([SYSTEM, ASKED, SAID, NEXT], "p@2") == {0: "Be", 1: "story"}
    await world.send([SYSTEM, ASKED, SAID, NEXT], {3: "Another"}, "p@2")
    await world.send([SYSTEM, NEXT], {0: "brief."}, "p@2")
    told = await world.known([SYSTEM, ASKED, SAID, NEXT, SAID], "p@3")
    assert told == {0: "Be", 1: "story", 2: "as it was", 3: "Another"}


async def test_a_second_message_without_an_answer_goes_on_as_it_began() -> None:
    """After another policy, too."""
    world = World()
    await world.send([SYSTEM, ASKED], {1: "story"})
    assert await world.known([SYSTEM, ASKED, NEXT], "p@2") == {0: "as it was", 1: "story"}


async def test_teams_know_nothing_of_one_another() -> None:
    """Nor does one conversation of another."""
    world = World()
    await world.send([SYSTEM, ASKED], {1: "story"})
    assert await world.known([SYSTEM, ASKED], team="other") == {}
    assert await world.known([ASKED]) == {}


@pytest.mark.parametrize(
    ("messages", "tail"),
    [
        ([SYSTEM, ASKED], 2),
        ([SYSTEM, ASKED, NEXT], 2),
        ([SYSTEM, ASKED, SAID, NEXT], 2),
        ([SYSTEM, ASKED, SAID, SAID, NEXT, SAID, NEXT], 2),
        ([SYSTEM, NEXT], 1),
        ([SYSTEM, NEXT, SAID, NEXT], 3),
        ([SYSTEM, SAID, NEXT], 2),
        ([NEXT], 0),
        ([NEXT, SAID], 2),
        ([], 0),
    ],
)
async def test_only_what_follows_unknown_history_is_decided(messages: list[Message], tail: int) -> None:
    """A retry, no answer, an answer and all after it, another branch, others' words."""
    world = World()
    await world.send([SYSTEM, ASKED], {})
    assert await world.tail(messages) == tail


async def test_demonstrations_are_no_history() -> None:
    """And what the client keeps is none of ours."""
    world = World()
    assert await world.tail([SYSTEM, ASKED, SAID, NEXT], {2}) == 0
    assert await world.tail([SYSTEM, ASKED, SAID, NEXT], pinned=3) == 3


async def test_where_the_store_is_in_trouble_nothing_is_taken_for_others_history() -> None:
    """Another worker has probably sent it, and decided it as this one will."""
    shared = SharedLevel()
    world = World(shared=shared)
    assert await world.tail([SYSTEM, ASKED, SAID, NEXT]) == 3
    shared.trouble = "timeout"
    assert await world.tail([SYSTEM, ASKED, SAID, NEXT]) == 0
    shared.trouble = ""
    assert await world.tail([SYSTEM, ASKED, SAID, NEXT]) == 3


async def test_pinned_messages_are_neither_known_nor_written() -> None:
    """All others are."""
    world = World()
    await world.send([SYSTEM, ASKED], {0: "Be"})
    conversation = world.conversation([SYSTEM, ASKED, SAID], pinned=2)
    recalled = await world.ledger.recall(conversation)
    settled = world.ledger.settle(recalled, {at: changed(conversation, at, None) for at in range(3)})
    assert (set(recalled.known), set(settled.messages), settled.texts()) == (set(), {2}, {})
    whole = world.conversation([SYSTEM], pinned=5)
    assert world.ledger.settle(await world.ledger.recall(whole), {}).messages == {}


async def test_all_workers_know_what_one_has_sent() -> None:
    """Once it was written; so does a proxy that was started again."""
    shared = SharedLevel()
    await World(shared=shared).send([SYSTEM, ASKED], {1: "story"})
    assert await World(shared=shared).known([SYSTEM, ASKED, SAID]) == {0: "as it was", 1: "story"}


async def test_workers_that_decide_at_once_agree_from_the_next_turn_on() -> None:
    """On the word that was written first; neither waits for it."""
    shared = SharedLevel()
    worlds = World(shared=shared), World(shared=shared)
    settled: list[Settled] = []
    for world, text in zip(worlds, ("story", "long"), strict=True):
        conversation = world.conversation([ASKED])
        recalled = await world.ledger.recall(conversation)
        settled.append(world.ledger.settle(recalled, {0: changed(conversation, 0, text)}))
    assert [one.texts() for one in settled] == [{0: "story"}, {0: "long"}]
    for world, one in reversed(list(zip(worlds, settled, strict=True))):
        one.sent()
        await world.ledger.close()
    assert [await world.known([ASKED, SAID, NEXT]) for world in worlds] == [{0: "long"}, {0: "long"}]


async def test_all_is_asked_for_in_one_trip_and_another_policy_takes_a_second() -> None:
    """What others want is asked for along."""
    shared = SharedLevel()
    await World(shared=shared).send([SYSTEM, ASKED], {1: "story"})
    for policy, trips in (("p@1", 1), ("p@2", 2)):
        world, shared.trips = World(shared=shared), []
        recalled = await world.ledger.recall(
            world.conversation([SYSTEM, ASKED, SAID, NEXT], policy), [b"k" * 25]
        )
        assert (len(shared.trips), recalled.others) == (trips, {b"k" * 25: None})


async def test_an_original_that_went_out_instead_overwrites() -> None:
    """What the upstream refused is not sent again, in this turn or a later one."""
    shared = SharedLevel()
    world = World(shared=shared)
    await world.send([SYSTEM, ASKED], {1: "story"})
    await world.send([SYSTEM, ASKED, SAID, NEXT], {3: "Another"}, rejected="upstream_400")
    for worker in (world, World(shared=shared)):
        assert set((await worker.known([SYSTEM, ASKED, SAID, NEXT])).values()) == {"as it was"}
        recalled = await worker.ledger.recall(worker.conversation([SYSTEM, ASKED, SAID, NEXT]))
        assert recalled.known[1].entry.figures == Figures((("context", 9, 9),), (), ("upstream_400",))
    again = await world.send([*MORE, SAID, ASKED], {0: "Be", 5: "story"}, rejected="upstream_400")
    assert again.texts() == {5: "story"}
    assert set((await world.known([*MORE, SAID, ASKED])).values()) == {"as it was"}


async def test_what_one_conversations_upstream_refuses_is_sent_to_others_as_before() -> None:
    """They share a system message, whose shorter form theirs took; so do earlier branches."""
    world = World()
    other = {"role": "user", "content": "Go on."}
    await world.send([SYSTEM, ASKED], {0: "Be", 1: "story"})
    await world.send([SYSTEM, other], {}, rejected="upstream_400")
    await world.send(MORE, {}, rejected="upstream_400")
    assert await world.known([SYSTEM, other, SAID]) == {0: "as it was", 1: "as it was"}
    assert set((await world.known(MORE)).values()) == {"as it was"}
    assert await world.known([SYSTEM, ASKED, SAID, other]) == {0: "Be", 1: "story", 2: "as it was"}
    assert await world.known([SYSTEM, NEXT]) == {0: "Be"}


async def test_a_bad_moment_of_one_conversation_is_not_the_word_for_all_that_begin_alike() -> None:
    """It stays with it, on every worker and under any later policy; they are decided anew."""
    shared = SharedLevel()
    here, there = World(shared=shared), World(shared=shared)
    conversation = here.conversation([SYSTEM, ASKED])
    recalled = here.ledger.apart(await here.ledger.recall(conversation), {0})
    here.ledger.settle(recalled, {at: changed(conversation, at, None) for at in range(2)}).sent()
    await here.ledger.close()
    await there.send([SYSTEM, NEXT], {0: "Be"})
    for world in (here, there):
        for policy in ("p@1", "p@2"):
            assert await world.known(MORE, policy) == {0: "as it was", 1: "as it was"}
        assert await World(shared=shared).known([SYSTEM, NEXT]) == {0: "Be", 1: "as it was"}
    await here.send(MORE, {})
    assert (await there.known([*MORE, SAID]))[3] == "as it was"


async def test_only_what_others_may_begin_with_sets_a_conversation_apart() -> None:
    """Neither the last message of a request, nor a conversation that runs already."""
    world = World()
    first = await world.ledger.recall(world.conversation([SYSTEM, ASKED]))
    assert world.ledger.apart(first, {1}) is first
    assert world.ledger.apart(first, ()) is first
    await world.send([SYSTEM, ASKED], {})
    later = await world.ledger.recall(world.conversation(MORE))
    assert world.ledger.apart(later, {2}) is later
    apart = world.ledger.apart(first, {0})
    assert apart.is_todays
    assert world.ledger.apart(apart, {0}) is apart


async def test_an_answer_that_calls_many_tools_hides_no_earlier_request() -> None:
    """After another policy, too."""
    world = World()
    await world.send([SYSTEM, ASKED], {1: "story"})
    results = [{"role": "tool", "tool_call_id": str(n), "content": f"It is {n}."} for n in range(200)]
    assert await world.known([SYSTEM, ASKED, SAID, *results], "p@2") == {0: "as it was", 1: "story"}


async def test_a_damaged_entry_is_a_miss_and_told() -> None:
    """As is one that makes another text."""
    world = World()
    await world.send([SYSTEM, ASKED], {1: "story"})
    conversation = world.conversation([SYSTEM, ASKED])
    other = world.conversation([SYSTEM, {**ASKED, "content": "short"}])
    recalled = await world.ledger.recall(conversation)
    for value in (b"x", pack(recalled.known[1].entry)):
        world.memory.put(other.message_keys("p@1")[1], value, DAY_S)
        found = await world.ledger.recall(other)
        assert (set(found.known), found.damaged) == ({0}, True)
    assert not recalled.damaged


async def test_what_is_used_lives_on() -> None:
    """A value of which a quarter of its life is over is written again, with the lineage."""
    world = World()
    await world.send([SYSTEM, ASKED], {1: "story"})
    conversation = world.conversation([SYSTEM, ASKED, SAID, NEXT])
    assert (await world.ledger.recall(conversation)).stale == {}
    key = conversation.lineage_key(2)
    world.memory.put(key, pack(Lineage(5, "p@1")), DAY_S)
    recalled = await world.ledger.recall(conversation)
    assert list(recalled.stale) == [key]
    world.ledger.settle(recalled, {}).sent()
    await world.ledger.close()
    told = unpack_lineage(world.memory.get(key) or b"")
    assert told is not None
    assert told.minutes > 5
    assert (await world.ledger.recall(conversation)).stale == {}


async def test_the_store_holds_no_words_of_a_prompt() -> None:
    """Of a message that was shortened by leaving out."""
    shared = SharedLevel()
    await World(shared=shared).send([SYSTEM, ASKED], {1: "story. What"})
    assert {key[8:9] for key in shared.values} == {Kind.MESSAGE.value, Kind.LINEAGE.value}
    assert not any(
        word in value for value in shared.values.values() for word in (b"story", b"What", b"brief")
    )


MORE = [SYSTEM, ASKED, SAID, NEXT]


async def stepped(world: World, messages: list[Message], text: str) -> Settled:
    """Send messages, of which the second is from now on sent otherwise."""
    conversation = world.conversation(messages)
    recalled = await world.ledger.recall(conversation)
    made = {1: changed(conversation, 1, text)}
    rest = {at: changed(conversation, at, None) for at in range(len(messages))}
    settled = world.ledger.settle(world.ledger.stepped(recalled, 1, made), rest)
    settled.sent()
    await world.ledger.close()
    return settled


async def test_a_step_counts_for_all_that_follows_it_on_every_worker() -> None:
    """And says how many turns it covered; under any later policy too."""
    shared = SharedLevel()
    here, there = World(shared=shared), World(shared=shared)
    await here.send(MORE[:2], {0: "Be", 1: "story. What"})
    settled = await stepped(here, MORE, "story")
    assert settled.texts() == {0: "Be", 1: "story"}
    for policy in ("p@1", "p@2"):
        recalled = await there.ledger.recall(there.conversation([*MORE, SAID, ASKED], policy))
        assert {at: dict(known.texts) for at, known in recalled.known.items()} == {
            0: {0: "Be"},
            1: {1: "story"},
            2: {},
            3: {},
        }
        assert (recalled.stepped_turns, recalled.is_todays) == (1, policy == "p@1")


async def test_a_step_is_unknown_to_other_branches() -> None:
    """Who goes on from before it is sent what was sent there."""
    world = World()
    await world.send(MORE[:2], {1: "story. What"})
    await stepped(world, MORE, "story")
    other = {"role": "user", "content": "Go on."}
    assert (await world.known([SYSTEM, ASKED, SAID, other]))[1] == "story. What"


async def test_of_a_step_and_its_twin_the_first_to_be_settled_counts() -> None:
    """Whichever of the two took the step."""
    for first_steps in (True, False):
        world = World()
        await world.send(MORE[:2], {1: "story. What"})
        conversation = world.conversation(MORE)
        recalled = await world.ledger.recall(conversation)
        step = world.ledger.stepped(recalled, 1, {1: changed(conversation, 1, "story")})
        rest = {at: changed(conversation, at, None) for at in range(4)}
        both = [step, recalled] if first_steps else [recalled, step]
        texts = [world.ledger.settle(one, rest).texts() for one in both]
        assert texts == [{1: "story" if first_steps else "story. What"}] * 2


async def test_a_step_that_was_never_sent_is_taken_again_alike() -> None:
    """What is in memory at once is enough for whoever tries again."""
    world = World()
    await world.send(MORE[:2], {1: "story. What"})
    conversation = world.conversation(MORE)
    recalled = await world.ledger.recall(conversation)
    step = world.ledger.stepped(recalled, 1, {1: changed(conversation, 1, "story")})
    world.ledger.settle(step, {at: changed(conversation, at, None) for at in range(4)})
    assert await world.known(MORE) == {0: "as it was", 1: "story", 2: "as it was", 3: "as it was"}


async def test_how_long_ago_the_last_request_was_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """A minute less at most: a prefix is not taken for colder than it is."""
    world = World()
    await world.send(MORE[:2], {})
    assert (await world.ledger.recall(world.conversation(MORE))).age_s == 0
    began = time.time()
    monkeypatch.setattr(time, "time", lambda: began + 3600)
    assert 3480 <= (await world.ledger.recall(world.conversation(MORE))).age_s <= 3600


class Stuck(SharedLevel):
    """Never answers."""

    async def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        await asyncio.Event().wait()
        raise AssertionError("nobody sets it")


async def test_a_store_that_hangs_is_not_waited_for() -> None:
    """What this process knows counts, and what it does not know may be there all the same."""
    world = World()
    await world.send([SYSTEM, ASKED], {1: "story"})
    stuck = Ledger(Tiers(world.memory, Stuck(), current_s=-1), world.memory, DAY_S)
    conversation = world.conversation([SYSTEM, ASKED, SAID, NEXT])
    recalled = await stuck.recall(conversation, [b"k" * 25], patience_s=0)
    assert (set(recalled.known), recalled.is_sure, recalled.others) == ({0, 1}, False, {b"k" * 25: None})
