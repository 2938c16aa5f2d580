"""How soon the dashboard shows its figures when a million requests were recorded, and its pictures.

    python -m benchmarks.dashboard --requests 1000000
    python -m benchmarks.dashboard --requests 60000 --pictures docs/img

Made-up requests of four teams are added up by the product's own tally, and kept by its own writer,
in an SQLite file that a real `elision serve` then reads. Chromium opens the page in windows without
history, so that nothing is in its cache. Told are the times from navigation until the figures stand
on the page, and until charts, spending, policies and filters do as well. Needs Chromium.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import median, quantiles

import typer
from PIL import Image
from playwright.async_api import Browser

from elision.accounts.archive_sqlite import SqliteKeeper
from elision.accounts.money import Basis, Money
from elision.accounts.records import Report, RequestRecord
from elision.accounts.tally import Names, Tally
from elision.accounts.usage import Answered, Usage
from elision.config.accounts import Accounts

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from benchmarks.machine import description  # noqa: E402
from fakes.browser import chromium, view  # noqa: E402
from fakes.serving import served  # noqa: E402

DAYS = 30
AT_ONCE = 20_000
_UNTIL_READY = """() => new Promise((done) => new PerformanceObserver((marks) => {
  if (marks.getEntriesByName("all").length) { done(); }
}).observe({ type: "mark", buffered: true }))"""
"""Waits without looking again and again, which would have the page laid out each time."""
OPENINGS = 12


@dataclass(frozen=True)
class Team:
    """How a team's requests are.

    Attributes:
        ratio: of tokens after and before, of what is shortened.
        size: tokens before, usually.
        price: nano-dollars per token of a prompt.
        net: share of what was saved that stays when the provider's own cache is counted.
    """

    name: str
    policy: str
    method: str
    model: str
    ratio: float
    size: int
    price: int
    net: float


TEAMS = (
    Team("search", "search@5f0c2a11", "longllmlingua", "gpt-4o", 0.45, 3200, 2500, 0.9),
    Team("support", "support@9b1d77e0", "embedded", "gpt-4o-mini", 0.6, 2100, 150, 0.8),
    Team("agents", "agents@c4e2190a", "lossless", "claude-sonnet-4-5", 0.86, 9400, 3000, -0.2),
    Team("default", "", "", "gpt-4o", 1.0, 700, 2500, 0.0),
)
POLICIES = {
    "default": "extends: lossless\n",
    "search": "extends: rag\nspending: {monthly_usd: 4000}\n",
    "support": "extends: gentle\nspending: {monthly_usd: 40, alert_at: 0.6}\n",
    "agents": "extends: agent\n",
}


def made_up(until: float, count: int, draw: Random) -> Iterator[RequestRecord]:
    """Yield requests of `DAYS` days in order, busier by day than by night."""
    times: list[float] = []
    while len(times) < count:
        at = until - draw.random() * DAYS * 86400
        if draw.random() < 0.25 + 0.75 * max(0.0, 1 - abs(at / 3600 % 24 - 14) / 7):
            times.append(at)
    for at in sorted(times):
        yield _request(at, draw.choice(TEAMS), draw)


def _request(at: float, team: Team, draw: Random) -> RequestRecord:
    before = round(draw.lognormvariate(0, 0.5) * team.size)
    shortened = bool(team.method) and draw.random() < 0.85
    after = round(before * min(0.99, max(0.15, draw.gauss(team.ratio, 0.12)))) if shortened else before
    stated = draw.random() < 0.9
    prompt, answer = round(after * 1.02), draw.randrange(20, 400)
    usage = Usage(prompt, answer, cached_tokens=round(prompt * draw.choice((0, 0, 0.4, 0.9))))
    basis = Basis.BILLED if stated else Basis.ESTIMATE
    net = round((before - after) * team.price * team.net * draw.uniform(0.5, 1.3))
    ms = draw.lognormvariate(1.9, 0.9) if shortened else draw.lognormvariate(-0.5, 0.5)
    return RequestRecord(
        request_id=f"{draw.getrandbits(128):032x}",
        method="POST",
        path="/v1/chat/completions",
        status=draw.choices((200, 429, 400, 502), (960, 25, 10, 5))[0],
        report=_report(team, before, after, draw),
        answered=Answered(usage if stated else None, team.model, (draw.choice(("stop", "stop", "length")),)),
        overhead_ms=ms,
        total_ms=draw.lognormvariate(7, 0.5),
        at=at,
        money=Money(after * team.price + answer * team.price * 4, net, basis),
        tokens_saved=before - after,
        basis=basis,
    )


def _report(team: Team, before: int, after: int, draw: Random) -> Report:
    if not team.policy:
        return Report(model=team.model)
    context = before * 4 // 5
    shortened = after < before
    return Report(
        team=team.name,
        policy=team.policy,
        mode="enforce",
        methods=(team.method,) if shortened else (),
        tokens_before=before,
        tokens_after=after,
        segments=(
            f"context:{context}>{max(0, context - before + after)}",
            f"question:{before - context}>{before - context}",
        ),
        cache=draw.choice(("hit", "miss", "miss", "partial", "replay")) if shortened else "",
        bypass=() if shortened else (draw.choice(("too_short", "too_short", "deadline", "language")),),
        model=team.model,
    )


def filled(path: Path, count: int) -> float:
    """Record made-up requests in a file; return the seconds that it took."""
    started = time.perf_counter()
    keeper, names = SqliteKeeper(path, Accounts()), Names()
    tally = Tally(Accounts().recent)
    for number, record in enumerate(made_up(time.time(), count, Random(8)), 1):
        tally.add(record, names)
        if number % AT_ONCE == 0 or number == count:
            keeper.keep(tally)
            tally.clear()
    keeper.close()
    return time.perf_counter() - started


async def ready_ms(browser: Browser, url: str) -> tuple[float, float]:
    """Open the page in a new window; return the milliseconds until figures, and all of it, stand there."""
    async with view(browser) as seen:
        await seen.page.goto(url)
        await seen.page.evaluate(_UNTIL_READY)
        if seen.faults:
            raise RuntimeError(f"the page has faults: {seen.faults}")
        marks = "['figures', 'all'].map((name) => performance.getEntriesByName(name)[0].startTime)"
        figures, everything = await seen.page.evaluate(marks)
    return float(figures), float(everything)


async def pictures(browser: Browser, url: str, folder: Path) -> None:
    """Save the page as people see it: light and dark, on a desk and on a phone."""
    for width in (1440, 375):
        for scheme in ("light", "dark"):
            async with view(browser, width=width, scheme="dark" if scheme == "dark" else "light") as seen:
                await seen.page.goto(f"{url}?range=604800")
                await seen.page.wait_for_selector("body[data-ready=true]")
                await seen.page.wait_for_selector("#saved canvas")
                path = folder / f"dashboard-{scheme}-{width}.png"
                await seen.page.screenshot(path=path, full_page=True)
                with Image.open(path) as picture:
                    picture.quantize(128).save(path, optimize=True)
                typer.echo(f"wrote {path}")


async def main(count: int, kept: Path | None, folder: Path | None) -> None:
    """Record, serve, open, tell."""
    with tempfile.TemporaryDirectory(prefix="elision-dashboard-") as made:
        home = Path(made)
        (home / "policies").mkdir()
        for team, policy in POLICIES.items():
            (home / "policies" / f"{team}.yaml").write_text(policy)
        file = kept.absolute() if kept else home / "accounts.db"
        (home / "settings.yaml").write_text(f"accounts: {{path: {file}}}\n")
        if not file.exists():
            took = filled(file, count)
            typer.echo(f"recorded {count:,} requests in {took:.0f} s")
        typer.echo(f"{description()}\nthe file has {file.stat().st_size / 2**20:.1f} MiB")
        flags = ("--settings", str(home / "settings.yaml"), "--policies", str(home / "policies"))
        async with served("--upstream", "http://127.0.0.1:9", *flags) as proxy, chromium() as browser:
            await proxy.until_ready()
            url = f"http://127.0.0.1:{proxy.port}/elision/"
            for name, seconds in (("24 hours", 86400), ("7 days", 604800), ("30 days", 2592000)):
                times = [await ready_ms(browser, f"{url}?range={seconds}") for _ in range(OPENINGS)]
                for what, found in zip(("figures", "all of it"), zip(*times, strict=True), strict=True):
                    late = quantiles(found, n=20)[-1]
                    typer.echo(f"last {name}, {what}: median {median(found):.0f} ms, p95 {late:.0f} ms")
            if folder is not None:
                await pictures(browser, url, folder)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=1_000_000, help="how many were recorded")
    parser.add_argument("--file", type=Path, help="keeps what was recorded, or has it already")
    parser.add_argument("--pictures", type=Path, help="folder for screenshots")
    given = parser.parse_args()
    asyncio.run(main(given.requests, given.file, given.pictures))
