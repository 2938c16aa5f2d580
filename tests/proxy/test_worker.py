"""Promise 2: a compressor that is killed, hung or throwing costs a request nothing but its saving."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from random import Random

import pytest

from elision.compressors.base import Job, Method, Target
from elision.proxy.nursery import Nursery
from elision.proxy.patience import Patience
from elision.proxy.wire import Codec, Ping, Pong
from elision.proxy.worker import COMMAND as CURRENT
from elision.proxy.worker import CompressorClient, CompressorKeeper, CompressorUnavailableError
from elision.proxy.worker_process import WorkerOptions
from fakes.nurseries import COMMAND, nursery
from fakes.tiny_lm import save_tiny_lm

HALVE = Method("halve")
PATIENCE_S = 200.0
"""What a process may take for anything at all on a busy machine."""


def job(text: str) -> Job:
    return Job(text, HALVE, Target(rate=0.5))


@pytest.fixture(params=[False, True], ids=["started", "born"])
def born(request: pytest.FixtureRequest) -> Iterator[Nursery | None]:
    """A nursery for the compressor process, or none."""
    if not request.param:
        yield None
        return
    with nursery() as begun:
        yield begun


@asynccontextmanager
async def compressor(
    tmp_path: Path,
    *methods: Method,
    stuck_after_s: float = 60.0,
    ping_timeout_s: float = PATIENCE_S,
    queue_limit: int = 2,
    born: Nursery | None = None,
) -> AsyncIterator[tuple[CompressorClient, CompressorKeeper]]:
    """Keep a compressor process and a client of it until the block ends."""
    options = WorkerOptions(socket=str(tmp_path / "s"), stuck_after_s=stuck_after_s, queue_limit=queue_limit)
    keeper = CompressorKeeper(
        options, command=COMMAND, nursery=born, ping_every_s=0.1, ping_timeout_s=ping_timeout_s
    )
    client = CompressorClient(options.socket, methods or (HALVE,))
    async with asyncio.TaskGroup() as tasks:
        running = (tasks.create_task(keeper.run()), tasks.create_task(client.run()))
        await until_ready(client)
        yield client, keeper
        for task in running:
            task.cancel()
    assert keeper.pid is None, "the process ends with its keeper"


class Hold:
    """A file; while it is there, so long lasts the work of the text that names it."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "hold"
        self._path.touch()
        self.text = f"hold {self._path}"
        self.path = str(self._path)

    async def begun(self) -> None:
        """Wait until somebody is held up by it."""
        async with asyncio.timeout(60):
            while not Path(f"{self._path}.begun").exists():
                await asyncio.sleep(0.005)

    def end(self) -> None:
        """Let the work end."""
        self._path.unlink()


async def heard(folder: Path) -> None:
    """Wait until the process has read all that was sent to it by now, on whichever connection."""
    codec = Codec()
    reader, writer = await asyncio.open_unix_connection(str(folder / "s"))
    for number in range(3):
        writer.write(codec.frame(Ping(number)))
        assert await codec.read_answer(reader) == Pong(number)
    writer.close()
    await writer.wait_closed()


async def until_ready(client: CompressorClient) -> None:
    """Wait for weights too: on a busy machine torch alone takes half a minute to import."""
    async with asyncio.timeout(PATIENCE_S):
        while not client.ready:
            await asyncio.sleep(0.01)


async def shortened(client: CompressorClient, text: str) -> str:
    """Return what becomes of a text."""
    return (await client.compress(job(text), Patience.of(60))).outcome.text


async def refusal(client: CompressorClient, text: str, deadline_s: float = 60.0) -> str:
    """Return the reason why a text was not compressed."""
    with pytest.raises(CompressorUnavailableError) as refused:
        await client.compress(job(text), Patience.of(deadline_s))
    return refused.value.reason


async def test_jobs_come_back_in_order(tmp_path: Path) -> None:
    """And the method's fingerprint is known before the first of them."""
    async with compressor(tmp_path) as (client, _):
        assert client.identity(HALVE).fingerprint == "halve:1"
        results = await asyncio.gather(shortened(client, "abcd"), shortened(client, "xy"))
        assert list(results) == ["ab", "x"]


async def test_a_hung_compressor_is_given_up_at_the_deadline(tmp_path: Path) -> None:
    """The caller gets its reason then; others' work goes on after the hang."""
    async with compressor(tmp_path) as (client, _):
        assert await refusal(client, "sleep 0.5", deadline_s=0.05) == "deadline"
        assert await shortened(client, "abcd") == "ab"


async def test_work_that_waited_past_its_deadline_is_not_done(tmp_path: Path) -> None:
    """A request that nobody waits for must not keep the next one waiting."""
    hold = Hold(tmp_path)
    async with compressor(tmp_path) as (client, _):
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(shortened(client, hold.text))
            await hold.begun()
            assert await refusal(client, "sleep 100", deadline_s=0.05) == "deadline"
            await heard(tmp_path)
            hold.end()
        assert await shortened(client, "abcd") == "ab"


async def test_a_throwing_method_fails_its_own_request_only(tmp_path: Path) -> None:
    """A batch of several requests is run again one by one."""
    hold, works = Hold(tmp_path), ((refusal, "raise"), (shortened, "abcd"))
    async with compressor(tmp_path) as (client, keeper):
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(shortened(client, hold.text))
            await hold.begun()
            bad, good = (tasks.create_task(work(client, text)) for work, text in works)
            await asyncio.sleep(0)
            hold.end()
        assert (good.result(), bad.result(), keeper.starts) == ("ab", "compressor_error", 1)


async def test_a_full_queue_refuses_at_once(tmp_path: Path) -> None:
    """Rather than let requests wait in vain."""
    hold = Hold(tmp_path)
    async with compressor(tmp_path) as (client, _), asyncio.TaskGroup() as tasks:
        tasks.create_task(shortened(client, hold.text))
        await hold.begun()
        for text in ("ab", "cd"):
            tasks.create_task(shortened(client, text))
        await asyncio.sleep(0)  # both are sent, and what is sent later comes later
        assert await refusal(client, "ef") == "queue_full"
        hold.end()


async def test_a_crashed_process_is_replaced(tmp_path: Path, born: Nursery | None) -> None:
    """Whoever waits hears of it at once; soon all is well again."""
    async with compressor(tmp_path, born=born) as (client, keeper):
        assert await refusal(client, "exit") == "compressor_crashed"
        await until_ready(client)
        assert (await shortened(client, "abcd"), keeper.starts) == ("ab", 2)


async def test_a_process_that_cannot_be_started_is_tried_again(tmp_path: Path) -> None:
    """The machine may have no memory for it at this moment; requests go on without it."""
    program = tmp_path / "program"
    options = WorkerOptions(socket=str(tmp_path / "s"))
    keeper = CompressorKeeper(options, command=(str(program), COMMAND[1]))
    client = CompressorClient(options.socket, (HALVE,))
    async with asyncio.TaskGroup() as tasks:
        running = (tasks.create_task(keeper.run()), tasks.create_task(client.run()))
        async with asyncio.timeout(20):
            while keeper.starts < 2:
                await asyncio.sleep(0.01)
        assert keeper.pid is None
        (tmp_path / "script").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        (tmp_path / "script").chmod(0o700)
        (tmp_path / "script").rename(program)
        await until_ready(client)
        for task in running:
            task.cancel()


async def test_a_killed_process_is_replaced(tmp_path: Path, born: Nursery | None) -> None:
    """SIGKILL from outside, in the middle of work."""
    hold = Hold(tmp_path)
    async with compressor(tmp_path, born=born) as (client, keeper):
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(refusal(client, hold.text))
            await hold.begun()
            assert keeper.pid is not None
            os.kill(keeper.pid, signal.SIGKILL)
        assert waiting.result() == "compressor_crashed"
        with pytest.raises(CompressorUnavailableError, match="compressor_crashed"):
            client.identity(HALVE)
        await until_ready(client)


async def test_a_nursery_that_dies_is_done_without(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Its process works on; the next one is started plainly, and the operator told once."""
    with nursery() as born:
        async with compressor(tmp_path, born=born) as (client, keeper):
            os.kill(born.pid, signal.SIGKILL)
            assert await shortened(client, "abcd") == "ab"
            for starts in (2, 3):
                assert await refusal(client, "exit") == "compressor_crashed"
                await until_ready(client)
                assert (await shortened(client, "abcd"), keeper.starts) == ("ab", starts)
    assert sum("nursery" in record.getMessage() for record in caplog.records) == 1


async def test_a_frozen_process_is_killed_and_replaced(tmp_path: Path, born: Nursery | None) -> None:
    """It does not answer pings: SIGSTOP stands for any deadlock."""
    async with compressor(tmp_path, born=born, ping_timeout_s=2.0) as (client, keeper):
        assert keeper.pid is not None
        os.kill(keeper.pid, signal.SIGSTOP)
        assert await refusal(client, "abcd", deadline_s=0.05) == "deadline"
        async with asyncio.timeout(60):
            while keeper.starts < 2:
                await asyncio.sleep(0.01)
        await until_ready(client)


async def test_a_batch_that_never_ends_ends_the_process(tmp_path: Path, born: Nursery | None) -> None:
    """Pings are answered all the while; the process finds itself stuck."""
    async with compressor(tmp_path, born=born, stuck_after_s=0.2) as (client, keeper):
        assert await refusal(client, "sleep 100") == "compressor_crashed"
        await until_ready(client)
        assert keeper.starts == 2


async def test_a_fault_of_the_process_itself_ends_it(tmp_path: Path, born: Nursery | None) -> None:
    """Without its computing thread it would answer pings, and nobody else, for ever."""
    async with compressor(tmp_path, born=born) as (client, keeper):
        assert await refusal(client, "fewer") == "compressor_crashed"
        await until_ready(client)
        assert keeper.starts == 2


async def test_one_method_that_cannot_be_loaded_leaves_the_others(tmp_path: Path) -> None:
    """The reason is there for the operator, without a crash loop."""
    broken = Method("broken")
    async with compressor(tmp_path, HALVE, broken) as (client, _):
        assert client.errors == {"broken": "no weights here"}
        assert client.identity(HALVE).fingerprint == "halve:1"
        with pytest.raises(CompressorUnavailableError, match="method_unavailable"):
            client.identity(broken)


async def test_methods_that_are_wanted_later_are_prepared_without_a_restart(tmp_path: Path) -> None:
    """As a changed policy asks for; those of before go on meanwhile."""
    doubled = Method("halve", (("twice", True),))
    async with compressor(tmp_path) as (client, keeper):
        client.want((HALVE, doubled))
        assert client.identity(HALVE).fingerprint == "halve:1"
        assert not client.ready
        await until_ready(client)
        assert client.identity(doubled).fingerprint == "halve:1"
        assert keeper.starts == 1


async def test_weights_that_load_keep_no_running_method_waiting(tmp_path: Path) -> None:
    """Requests of before are answered meanwhile."""
    hold = Hold(tmp_path)
    heavy = Method("halve", (("heavy", hold.path),))
    async with compressor(tmp_path) as (client, _):
        client.want((HALVE, heavy))
        await hold.begun()
        assert (await shortened(client, "abcd"), client.ready) == ("ab", False)
        hold.end()
        await until_ready(client)
        assert client.identity(heavy).fingerprint == "halve:1"


@pytest.mark.parametrize("is_real", [False, True], ids=["fake", "tiny model"])
async def test_64_requests_at_once_give_what_each_gives_alone(tmp_path: Path, is_real: bool) -> None:
    """To the byte, whatever they share batches with; the model's scores are sums in another order."""
    method = HALVE
    if is_real:
        method = Method("selective_context", (("level", "word"), ("weights", str(save_tiny_lm(tmp_path)))))
    random = Random(64)
    jobs = [Job(prose(random), method, Target(rate=random.choice((0.3, 0.5, 0.8)))) for _ in range(64)]
    options = WorkerOptions(socket=str(tmp_path / "s"))
    keeper = CompressorKeeper(options, command=CURRENT if is_real else COMMAND, ping_timeout_s=PATIENCE_S)
    client = CompressorClient(options.socket, (method,))
    async with asyncio.TaskGroup() as tasks:
        running = (tasks.create_task(keeper.run()), tasks.create_task(client.run()))
        await until_ready(client)
        together = await asyncio.gather(*(client.compress(job, Patience.of(600)) for job in jobs))
        alone = [await client.compress(job, Patience.of(600)) for job in jobs]
        for task in running:
            task.cancel()
    outcomes = [result.outcome for result in alone]
    assert [result.outcome for result in together] == outcomes
    assert all(outcome.tokens_after < outcome.tokens_before for outcome in outcomes)


async def crashed(client: CompressorClient) -> None:
    """Crash the process; on a busy machine it may refuse at first, lest others be late."""
    async with asyncio.timeout(30):
        while await refusal(client, "exit") != "compressor_crashed":
            await asyncio.sleep(0.01)


async def test_nothing_wedges(tmp_path: Path, born: Nursery | None) -> None:
    """Short deadlines, callers that leave, texts that fail, a full queue, a crash: all at random."""
    random = Random(5)
    texts = ("abcd", "raise", "sleep 0.002", "sleep 0.02")

    async def one(client: CompressorClient) -> None:
        work = client.compress(
            job(random.choice(texts)), Patience.of(random.random() / 10), beside=random.randint(0, 5000)
        )
        async with asyncio.timeout(random.random() / 5):
            with suppress(CompressorUnavailableError):
                await work

    async with compressor(tmp_path, born=born, queue_limit=1000) as (client, keeper):
        for crash in (False, True):
            crowd = [one(client) for _ in range(300)]
            crowd += [crashed(client)] if crash else []
            told = await asyncio.gather(*crowd, return_exceptions=True)
            assert {type(error) for error in told if isinstance(error, BaseException)} <= {TimeoutError}
            await until_ready(client)
            assert (await shortened(client, "abcd"), keeper.starts) == ("ab", 1 + crash)


async def test_a_short_request_passes_a_long_text_in_its_breaks(tmp_path: Path) -> None:
    """By a real model, in the same process; and a long text that nobody waits for is given up."""
    method = Method("selective_context", (("weights", str(save_tiny_lm(tmp_path))),))
    random = Random(6)
    long = Job(" ".join(prose(random) for _ in range(1500)), method, Target(rate=0.5))
    short = Job(prose(random), method, Target(rate=0.5))
    options = WorkerOptions(socket=str(tmp_path / "s"))
    keeper = CompressorKeeper(options, ping_timeout_s=PATIENCE_S)
    client = CompressorClient(options.socket, (method,))
    async with asyncio.TaskGroup() as tasks:
        running = (tasks.create_task(keeper.run()), tasks.create_task(client.run()))
        await until_ready(client)
        for _ in range(4):
            await client.compress(Job(prose(random), method, Target(rate=0.5)), Patience.of(600))
        reading = tasks.create_task(client.compress(long, Patience.of(3600)))
        await asyncio.sleep(0)
        await client.compress(short, Patience.of(3600))
        assert not reading.done(), "it was not kept waiting by the long one"
        reading.cancel()
        outcome = (await client.compress(short, Patience.of(3600))).outcome
        assert outcome.tokens_after < outcome.tokens_before
        assert keeper.starts == 1
        for task in running:
            task.cancel()


def prose(random: Random) -> str:
    """Return 5 to 40 sentences of common words."""
    words = ("the", "a", "fox", "dog", "report", "meeting", "was", "late", "held", "in", "Geneva", "said")
    sentences = (
        " ".join(random.choices(words, k=random.randint(4, 18))) for _ in range(random.randint(5, 40))
    )
    return " ".join(sentence.capitalize() + "." for sentence in sentences)


async def test_a_method_that_could_not_be_prepared_is_tried_again_when_it_is_wanted(tmp_path: Path) -> None:
    """Its weights may be there by now; one that nobody wants any more is no error."""
    missing = Method("broken")
    async with compressor(tmp_path, HALVE, missing) as (client, _):
        assert set(client.errors) == {"broken"}
        client.want((HALVE, missing))
        assert client.errors == {}
        await until_ready(client)
        assert set(client.errors) == {"broken"}
        client.want((HALVE,))
        assert (client.ready, client.errors) == (True, {})


async def test_before_the_process_is_there_every_call_is_refused(tmp_path: Path) -> None:
    """At once, and as starting rather than crashed."""
    client = CompressorClient(str(tmp_path / "none"), (HALVE,))
    assert not client.ready
    with pytest.raises(CompressorUnavailableError, match="compressor_starting"):
        client.identity(HALVE)
    assert await refusal(client, "abcd") == "compressor_crashed"


async def test_no_time_left_is_said_without_asking(tmp_path: Path) -> None:
    """The cache may have taken all of it."""
    client = CompressorClient(str(tmp_path / "none"), (HALVE,))
    assert await refusal(client, "abcd", deadline_s=0.0) == "deadline"


async def test_a_cancelled_caller_cancels_its_work(tmp_path: Path) -> None:
    """A client that left must not occupy the compressor."""
    hold = Hold(tmp_path)
    async with compressor(tmp_path) as (client, _):
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(shortened(client, hold.text))
            await hold.begun()
            left = tasks.create_task(client.compress(job("sleep 100"), Patience.of(200)))
            await asyncio.sleep(0)
            left.cancel()
            await asyncio.wait((left,))
            await heard(tmp_path)
            hold.end()
        assert await shortened(client, "abcd") == "ab"


async def test_equal_jobs_of_several_workers_run_once(tmp_path: Path) -> None:
    """While it runs, whoever asks for the same waits for it; all get the same bytes."""
    hold = Hold(tmp_path)
    async with compressor(tmp_path) as (client, _):
        other = CompressorClient(str(tmp_path / "s"), (HALVE,))
        task = asyncio.get_running_loop().create_task(other.run())
        await until_ready(other)
        patience = Patience.of(60)
        slow = Job(hold.text, Method("halve", (("counts", True),)), Target(rate=0.5))
        async with asyncio.TaskGroup() as tasks:
            asking = [tasks.create_task(one.compress(slow, patience)) for one in (client, other, other)]
            await hold.begun()
            await heard(tmp_path)
            hold.end()
        assert [asked.result().outcome.text[-1] for asked in asking] == ["1"] * 3
        again = await other.compress(slow, patience)
        assert again.outcome.text[-1] == "2", "it was run a second time only when asked anew"
        task.cancel()


async def test_scores_come_back_once_and_are_taken_along(tmp_path: Path) -> None:
    """With an outcome that needed them; not where they were given."""
    async with compressor(tmp_path) as (client, _):
        assert client.identity(HALVE).scorer == "halve:scorer"
        first = await client.compress(job("abcd"), Patience.of(10))
        assert first.scores == b"abcd"
        again = await client.compress(job("abcd"), Patience.of(10), scores=first.scores)
        assert (again.outcome, again.scores) == (first.outcome, b"")


async def test_who_is_waited_for_longer_is_not_given_up(tmp_path: Path) -> None:
    """Neither by the client nor by the process, where the work has not begun when the first time is over."""
    hold = Hold(tmp_path)
    async with compressor(tmp_path) as (client, _):
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(shortened(client, hold.text))
            await hold.begun()
            patience = Patience.of(0.5)
            waiting = tasks.create_task(client.compress(job("abcd"), patience))
            await asyncio.sleep(0)
            patience.prolong(patience.ends + 60)
            await heard(tmp_path)
            assert await refusal(client, "xy", deadline_s=0.5) == "deadline", "the first time is over by now"
            hold.end()
        assert waiting.result().outcome.text == "ab"


async def test_who_joins_at_the_moment_of_giving_up_is_not_failed_by_it(tmp_path: Path) -> None:
    """His request comes in the same turn of the loop in which the first one's time is over."""
    async with compressor(tmp_path) as (client, _):
        patience = Patience.of(0.05)
        begun = asyncio.get_running_loop().create_task(client.compress(job("sleep 0.2"), patience))
        await asyncio.sleep(0)
        while patience.left_s > 0:  # the loop is busy until then
            pass
        for _ in range(2):
            await asyncio.sleep(0)  # the timer has rung, and whom it wakes is not yet awake
        patience.prolong(patience.ends + 20)
        with suppress(CompressorUnavailableError):
            await begun
        assert await shortened(client, "abcd") == "ab"
