"""Plan, compress, splice, report; and whatever fails, the original."""

import asyncio
import json
import logging
import threading
from dataclasses import replace

import pytest

from elision.compressors.base import Outcome
from elision.policies.model import Kind, Mode, Plan, Policy, Rule, Use, When
from elision.proxy.ledger import Ledger
from elision.proxy.pipeline import Pipeline
from elision.proxy.planner import Planned, Planner
from elision.proxy.policy_rewriter import PolicyRewriter
from elision.proxy.rewriter import Ask
from elision.proxy.store import MemoryStore
from fakes.halving import Halving
from fakes.plans import KEEP, LEFT_OUT, decision, plan

LONG = "A fact of some length. " * 100
ASK = Ask("POST", "/v1/chat/completions", "t")
BODY = json.dumps(
    {"model": "m", "seed": 1.50, "messages": [{"role": "user", "content": f"{LONG}\n\nWhat is it?"}]}
).encode()


class Words:
    """Counts words, or fails."""

    name = "words"

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error

    def count(self, text: str) -> int:
        if self._error is not None:
            raise self._error
        return len(text.split())


class OnePolicy:
    """The same policy for every team."""

    def __init__(self, mode: Mode, deadline_s: float = 2.0) -> None:
        self._mode = mode
        self._deadline_s = deadline_s

    def for_team(self, team: str) -> Policy:
        rule = Rule("documents", When(segment=(Kind.CONTEXT,)), Use("halve", rate=0.5))
        return Policy("rag", "1", self._mode, self._deadline_s, (rule,))


def ledger() -> Ledger:
    """Return one that is empty."""
    memory = MemoryStore(1 << 20)
    return Ledger(memory, memory)


def rewriter(
    halving: Halving, *, mode: Mode = Mode.ENFORCE, error: Exception | None = None
) -> PolicyRewriter:
    planner = Planner(OnePolicy(mode), lambda model: Words(error))
    return PolicyRewriter(planner, Pipeline(MemoryStore(1 << 20), halving), ledger())


async def test_only_the_planned_text_changes() -> None:
    """The question and every other byte stay; the report tells what was saved."""
    done = await rewriter(Halving()).rewrite(BODY, Ask("POST", "/v1/chat/completions", "search"))
    assert done.changed
    assert len(done.body) < len(BODY) * 0.6
    assert json.loads(done.body)["messages"][0]["content"].endswith("What is it?")
    assert b'"seed": 1.5,' in done.body
    assert (done.report.team, done.report.policy, done.report.methods) == ("search", "rag@1", ("halve",))
    assert done.report.tokens_before > done.report.tokens_after > 0
    assert (done.report.cache, done.report.bypass) == ("miss", ())


async def test_the_same_request_is_the_same_bytes_again() -> None:
    """A hit."""
    same = rewriter(Halving())
    first = await same.rewrite(BODY, ASK)
    await asyncio.sleep(0)  # the cache is written beside the request
    second = await same.rewrite(BODY, ASK)
    assert (first.body, second.report.cache) == (second.body, "hit")


async def test_audit_reports_and_forwards_the_original() -> None:
    """What would have been saved."""
    done = await rewriter(Halving(), mode=Mode.AUDIT).rewrite(BODY, ASK)
    assert (done.changed, done.body) == (False, BODY)
    assert (done.report.mode, done.report.methods) == ("audit", ("halve",))
    assert done.report.tokens_before > done.report.tokens_after


@pytest.mark.parametrize("reason", ["deadline", "compressor_crashed", "queue_full"])
async def test_what_was_not_compressed_goes_out_as_it_was(reason: str) -> None:
    """Byte for byte, with the reason."""
    done = await rewriter(Halving(failing=reason)).rewrite(BODY, ASK)
    assert (done.changed, done.body, done.report.bypass) == (False, BODY, (reason,))
    assert done.report.tokens_before == done.report.tokens_after


async def test_a_body_that_is_not_ours_to_read_goes_out_as_it_was() -> None:
    """With the reason."""
    done = await rewriter(Halving()).rewrite(b"not json", ASK)
    assert (done.body, done.report.bypass) == (b"not json", ("malformed_body",))


async def test_a_request_may_ask_for_its_plan_in_place_of_an_answer() -> None:
    """Nothing is compressed, nothing forwarded, nothing of the prompt is quoted."""
    halving = Halving()
    ask = Ask("POST", "/v1/chat/completions", "t", [("X-Elision", "explain")])
    done = await rewriter(halving).rewrite(BODY, ask)
    assert done.answer is not None
    segments = json.loads(done.answer)["segments"]
    assert [(part["segment"], part["method"]) for part in segments] == [
        ("context", "halve"),
        ("question", "keep"),
    ]
    assert (done.changed, halving.asked) == (False, [])
    assert "A fact" not in done.answer.decode()


async def test_a_fault_of_ours_goes_out_as_it_was_and_tells_no_text(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The log names the error's type and place; its message might quote the prompt."""
    with caplog.at_level(logging.ERROR):
        done = await rewriter(Halving(), error=ValueError("the prompt said X")).rewrite(BODY, ASK)
    assert (done.body, done.report.bypass) == (BODY, ("internal_error",))
    assert "ValueError" in caplog.text
    assert "prompt said" not in caplog.text


async def test_a_body_that_takes_too_long_to_plan_goes_out_at_the_deadline() -> None:
    """Planning is part of the time that the policy allows."""
    release = threading.Event()

    def count_slowly(model: str) -> Words:
        release.wait(10)
        return Words()

    large = BODY.replace(b"{", b"{" + b" " * 10_000, 1)
    planner = Planner(OnePolicy(Mode.ENFORCE, deadline_s=0.05), count_slowly)
    done = await PolicyRewriter(planner, Pipeline(MemoryStore(1), Halving()), ledger()).rewrite(large, ASK)
    release.set()
    assert (done.body, done.report.bypass) == (large, ("deadline",))
