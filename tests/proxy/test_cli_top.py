"""`elision top`: a running proxy's figures, team by team."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest

from elision.accounts.archive import OVERHEAD_BOUNDS_MS
from elision.config.errors import ConfigError
from elision.proxy.cli import run
from elision.proxy.cli_top import (
    Line,
    Sort,
    Unreachable,
    all_of,
    ask,
    follow,
    lines_of,
    quantile_ms,
    seconds_of,
    sorted_by,
)
from fakes.commands import failed
from fakes.raw_upstream import RawUpstream, always, answer
from fakes.serving import Served, served
from fakes.tidy import BODY, POLICY, echo

EMPTY = (0,) * (len(OVERHEAD_BOUNDS_MS) + 1)


def line(team: str, **figures: int) -> Line:
    numbers = {name: figures.get(name, 0) for name in Line.__dataclass_fields__}
    numbers |= {"team": team, "overhead": EMPTY}  # type: ignore[dict-item]
    return Line(**numbers)  # type: ignore[arg-type]


@pytest.mark.parametrize(("last", "seconds"), [("15m", 900), ("24h", 86400), ("7d", 604800)])
def test_how_far_back_is_a_number_and_a_unit(last: str, seconds: int) -> None:
    """Minutes, hours, days."""
    assert seconds_of(last) == seconds


@pytest.mark.parametrize("last", ["", "h", "24", "0h", "-1h", "1w", "1.5h", "99999d"])
def test_another_time_is_refused(last: str) -> None:
    """With an example."""
    with pytest.raises(ConfigError, match="24h for instance"):
        seconds_of(last)


def test_quantiles_are_read_off_buckets() -> None:
    """Even within one; beyond the last bound they are not known."""
    buckets = (0, 0, 10, 10, *EMPTY[4:])  # ten from 1 to 2 ms, ten from 2 to 5
    assert quantile_ms(buckets, 0.5) == 2.0
    assert quantile_ms(buckets, 0.75) == 3.5
    assert quantile_ms(EMPTY, 0.5) is None
    assert quantile_ms((*EMPTY[:-1], 1), 0.99) == float("inf")


def test_lines_are_sorted_and_summed() -> None:
    """The largest first; teams alike by name; money is known where any of it is."""
    lines = [line("b", requests=1), line("a", requests=1, saved=5, billed=2), line("c", requests=3, failed=1)]
    assert [one.team for one in sorted_by(lines, Sort.SAVED)] == ["a", "b", "c"]
    assert [one.team for one in sorted_by(lines, Sort.REQUESTS)] == ["c", "a", "b"]
    assert [one.team for one in sorted_by(lines, Sort.TEAM)] == ["a", "b", "c"]
    whole = all_of(lines)
    assert (whole.team, whole.requests, whole.saved, whole.billed, whole.failed) == ("all", 5, 5, 2, 1)


def test_money_without_a_price_is_not_zero() -> None:
    """It is not known."""
    sums = dict.fromkeys(("requests", "compressed", "tokens_before", "tokens_after", "tokens_saved"), 0)
    more = {"saved": 0, "saved_billed": 0, "priced": 0, "failed": 0, "overhead": list(EMPTY)}
    words = {"cache:hit": 2, "cache:replay": 1, "cache:miss": 1, "bypass:deadline": 3, "status:200": 4}
    [found] = lines_of([{"labels": ["t"], "sums": {**sums, **more, "words": words}}])
    assert (found.saved, found.tried, found.found, found.bypassed) == (None, 4, 3, 3)


async def test_nobody_there_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """With what to do; so is a server that is no Elision, and flags that cannot be."""
    async with RawUpstream(lambda _: always(answer(b"{}"))) as other:
        gone = other.port
        code, lines = await _in_thread(lambda: failed(capsys, "top", "--once", "--url", other.url))
    assert (code, len(lines)) == (3, 1)
    assert "answers something else than Elision" in lines[0]
    code, lines = failed(capsys, "top", "--once", "--url", f"http://127.0.0.1:{gone}")
    assert (code, "start elision serve" in lines[0]) == (3, True)
    assert failed(capsys, "top", "--url", "ftp://x")[0] == 2
    assert failed(capsys, "top", "--last", "soon")[0] == 2
    assert failed(capsys, "top", "--token-env", "NOT_SET_ANYWHERE")[0] == 2


async def _in_thread(call: Callable[[], tuple[int, list[str]]]) -> tuple[int, list[str]]:
    import asyncio

    return await asyncio.to_thread(call)


async def test_a_running_proxys_figures_are_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By team, with a line for all; where a token is wanted, with it alone."""
    monkeypatch.setenv("OF_THIS_TEST", "a-token-of-some-length")
    (tmp_path / "policies").mkdir()
    for team in ("default", "search"):
        (tmp_path / "policies" / f"{team}.yaml").write_text(POLICY)
    (tmp_path / "settings.yaml").write_text(
        "dashboard: {token_env: OF_THIS_TEST}\naccounts: {flush_s: 0.1}\n"
    )
    arguments = ("--policies", str(tmp_path / "policies"), "--settings", str(tmp_path / "settings.yaml"))
    async with (
        RawUpstream(echo) as upstream,
        served("--upstream", upstream.url, *arguments) as running,
    ):
        await running.until_ready()
        for path in ("/v1/chat/completions", "/t/search/v1/chat/completions"):
            assert (await running.post(path, BODY)).status == 200
        url = f"http://127.0.0.1:{running.port}"
        code, lines = await _in_thread(lambda: failed(capsys, "top", "--once", "--url", url))
        assert (code, "--token-env" in lines[0]) == (3, True)
        monkeypatch.setenv("WRONG", "another")
        wrong = await _in_thread(
            lambda: failed(capsys, "top", "--once", "--url", url, "--token-env", "WRONG")
        )
        assert "does not take this token" in wrong[1][0]
        shown = await _until_two(running, url, capsys)
    told = {row.split()[0]: row.split() for row in shown if row.split()}
    saved = {name: int(told[name][3].replace(",", "")) for name in ("default", "search", "all")}
    assert saved["default"] == saved["search"] > 1000
    assert saved["all"] == 2 * saved["default"]
    assert [told[name][1] for name in ("default", "search", "all")] == ["1", "1", "2"]


async def _until_two(running: Served, url: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Show the table until both requests are in it; they are written beside the answers."""
    import asyncio

    shown: list[str] = []
    async with asyncio.timeout(60):
        while not any(row.split()[:2] == ["all", "2"] for row in shown):
            arguments = ["top", "--once", "--url", url, "--token-env", "OF_THIS_TEST"]
            assert await asyncio.to_thread(run, arguments) == 0
            shown = capsys.readouterr().out.splitlines()
    return shown


def test_the_table_follows_until_it_is_stopped() -> None:
    """A proxy that goes away leaves its last figures, and a word of it."""
    looks: list[list[Line] | Unreachable] = [
        [line("one", requests=7)],
        Unreachable("it went away"),
        [line("one", requests=8)],
    ]
    out = io.StringIO()

    def look() -> list[Line]:
        found = looks.pop(0)
        if isinstance(found, Unreachable):
            raise found
        return found

    def pause() -> None:
        if not looks:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        follow(look, Sort.SAVED, "here", out, pause)
    assert "8" in out.getvalue()
    assert looks == []


def test_the_first_look_must_succeed() -> None:
    """There is nothing to show otherwise."""
    with pytest.raises(Unreachable, match="nobody answers"):
        ask("http://127.0.0.1:1", "", 60)
