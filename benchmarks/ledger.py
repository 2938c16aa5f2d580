"""What the ledger costs a request: CPU time for conversations of 10, 100 and 1,000 messages.

`python -m benchmarks.ledger` lets a conversation go on by one turn, in three states. *Steady*: this
process served the turn before. *Cold*: another one did, or this one was started again; the entries
come from the store. *New*: nobody has seen any of it. Half of the messages were shortened by a
method that drops every other 40 characters, so that each has a script of some 25 copies. Time of one
thread, parse and plan beside it for comparison; the store is memory alone.
"""

import argparse
import asyncio
import gc
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from benchmarks.conversations import conversation
from benchmarks.machine import description
from elision.policies.model import Endpoint
from elision.proxy.app import settle_garbage
from elision.proxy.bodies import Body, parse, splice
from elision.proxy.ledger import Conversation, Ledger, Made, Recalled, Settled
from elision.proxy.ledger_chain import Origin, last_answer
from elision.proxy.ledger_entries import Figures, Sent
from elision.proxy.store import MemoryStore
from elision.proxy.store_tiers import Tiers

T = TypeVar("T")

MESSAGES = (10, 100, 1000)
MESSAGE_BYTES = 2000
STATES = ("steady", "cold", "new")
STEPS = ("parse", "chain", "recall", "settle", "splice", "ledger alone")
PIECE = 40
ROUNDS = 15


@dataclass(frozen=True, slots=True)
class World:
    """One process: its memory, and the ledger over it."""

    memory: MemoryStore
    ledger: Ledger

    @classmethod
    def over(cls, memory: MemoryStore) -> "World":
        """Return a process that was started on what is kept."""
        return cls(memory, Ledger(Tiers(memory), memory))


def shortened(body: Body, index: int) -> Made:
    """Return a message without every other 40 characters, if the user or a tool wrote it."""
    if body.messages[index].role not in ("user", "tool"):
        return Made({}, Figures((("history", 400, 400),)))
    sent: dict[int, Sent] = {}
    for place, text in enumerate(body.texts):
        if text.message == index:
            ends = [(at, min(at + PIECE, len(text.text))) for at in range(0, len(text.text), 2 * PIECE)]
            sent[place] = Sent("".join(text.text[start:end] for start, end in ends), ends)
    return Made(sent, Figures((("context", 400, 200),), ("halve",)))


async def sent(world: World, raw: bytes, spent: Callable[[str, float], None]) -> bytes:
    """Send a request, and tell how much CPU time each step took, in ms."""

    def timed(step: str, work: Callable[[], T]) -> T:
        started = time.thread_time_ns()
        result = work()
        spent(step, (time.thread_time_ns() - started) / 1e6)
        return result

    body = timed("parse", partial(parse, raw, Endpoint.CHAT))
    named: Conversation = timed("chain", partial(world.ledger.conversation, body, Origin(), "t", "p@1"))
    started = time.thread_time_ns()
    recalled: Recalled = await world.ledger.recall(named)
    spent("recall", (time.thread_time_ns() - started) / 1e6)
    unknown = [index for index in range(len(named)) if index not in recalled.known]
    made = {index: shortened(body, index) for index in unknown}
    settled: Settled = timed("settle", partial(world.ledger.settle, recalled, made))
    out = timed("splice", lambda: splice(body, settled.texts()))
    settled.sent()
    await world.ledger.close()
    return out


async def measured(messages: int, state: str, rounds: int) -> dict[str, float]:
    """Return the median of each step, in ms."""
    whole = json.loads(conversation(0, messages * MESSAGE_BYTES, messages))
    raw = json.dumps(whole).encode()
    answered = last_answer(parse(raw, Endpoint.CHAT).messages)
    before = json.dumps({**whole, "messages": whole["messages"][:answered]}).encode()
    found: dict[str, list[float]] = {step: [] for step in STEPS}
    for _ in range(rounds):
        world = World.over(MemoryStore(1 << 28))
        first = await sent(world, before, lambda step, ms: None) if state != "new" else b""
        if state == "cold":
            world = World.over(world.memory)
        gc.collect()
        spent: dict[str, float] = {}
        out = await sent(world, raw, spent.__setitem__)
        if first and json.loads(out)["messages"][:answered] != json.loads(first)["messages"]:
            raise SystemExit("the prefix was not the same: nothing was measured")
        spent["ledger alone"] = sum(spent[step] for step in ("chain", "recall", "settle"))
        for step, ms in spent.items():
            found[step].append(ms)
    return {step: statistics.median(values) for step, values in found.items()}


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    rounds = parser.parse_args().rounds
    settle_garbage()
    told = [f"- {name}: {value}" for name, value in description().items()]
    told += [f"- CPU ms, median of {rounds}", "", "| messages | state | " + " | ".join(STEPS) + " |"]
    told.append("|---" * (len(STEPS) + 2) + "|")
    for messages in MESSAGES:
        for state in STATES:
            row = asyncio.run(measured(messages, state, rounds))
            told.append(
                f"| {messages} | {state} | " + " | ".join(f"{row[step]:.2f}" for step in STEPS) + " |"
            )
    sys.stdout.write("\n".join(told) + "\n")


if __name__ == "__main__":
    main()
