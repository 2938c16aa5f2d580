"""Policies that change while the proxy runs."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from elision.proxy.policy_source import PolicySet, load_policies
from elision.proxy.reload import LivePolicies, PolicyWatch

GOOD = "name: {name}\nrules:\n  - use: {{method: lossless}}\n"


def load(directory: Path) -> PolicySet:
    return load_policies(directory, ["lossless"])


@asynccontextmanager
async def watched(directory: Path) -> AsyncIterator[tuple[LivePolicies, PolicyWatch, list[PolicySet]]]:
    """Watch a directory until the block ends."""
    live, told = LivePolicies(load(directory)), list[PolicySet]()
    watch = PolicyWatch(live, directory, load, changed=told.append, look_every_s=0.02)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(watch.run())
        yield live, watch, told
        running.cancel()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.01)


def name_of(live: LivePolicies) -> str:
    policy = live.for_team("")
    return policy.name if policy is not None else ""


async def test_a_changed_file_is_taken_over(tmp_path: Path) -> None:
    """Without a restart; whoever needs to know is told the new policies once."""
    (tmp_path / "default.yaml").write_text(GOOD.format(name="first"))
    async with watched(tmp_path) as (live, _, told):
        assert name_of(live) == "first"
        (tmp_path / "default.yaml").write_text(GOOD.format(name="second"))
        await until(lambda: name_of(live) == "second")
        assert told == [live.current]
        assert (live.loads, live.refusals, live.problems) == (2, 0, ())


async def test_a_wrong_version_is_refused_and_the_last_good_one_stays(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Loudly, until it is mended."""
    file = tmp_path / "default.yaml"
    file.write_text(GOOD.format(name="first"))
    async with watched(tmp_path) as (live, _, told):
        file.write_text("rulez: []\n")
        await until(lambda: bool(live.problems))
        assert "default.yaml:1:1" in live.problems[0]
        assert "rulez" in caplog.text
        assert (name_of(live), live.refusals, told) == ("first", 1, [])
        file.write_text(GOOD.format(name="third"))
        await until(lambda: name_of(live) == "third")
        assert live.problems == ()


async def test_new_and_vanished_files_count_as_changes(tmp_path: Path) -> None:
    """A team may come and go."""
    (tmp_path / "default.yaml").write_text(GOOD.format(name="all"))
    async with watched(tmp_path) as (live, _, _told):
        (tmp_path / "search.yaml").write_text(GOOD.format(name="search"))
        await until(lambda: "search" in live.current.by_team)
        (tmp_path / "search.yaml").unlink()
        await until(lambda: "search" not in live.current.by_team)
        assert name_of(live) == "all"


async def test_an_exchanged_link_counts_as_a_change(tmp_path: Path) -> None:
    """As Kubernetes exchanges the files of a config map."""
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "default.yaml").write_text(GOOD.format(name=name))
    directory = tmp_path / "policies"
    directory.mkdir()
    (directory / "..data").symlink_to(tmp_path / "old")
    (directory / "default.yaml").symlink_to(directory / "..data" / "default.yaml")
    async with watched(directory) as (live, _, _told):
        (directory / "..tmp").symlink_to(tmp_path / "new")
        (directory / "..tmp").replace(directory / "..data")
        await until(lambda: name_of(live) == "new")
        assert live.loads == 2


async def test_a_directory_that_vanishes_changes_nothing(tmp_path: Path) -> None:
    """It is told, and the policies stay."""
    directory = tmp_path / "policies"
    directory.mkdir()
    (directory / "default.yaml").write_text(GOOD.format(name="first"))
    async with watched(directory) as (live, _, _told):
        directory.rename(tmp_path / "elsewhere")
        await until(lambda: bool(live.problems))
        assert name_of(live) == "first"


async def test_policies_can_be_read_again_at_once(tmp_path: Path) -> None:
    """As SIGHUP asks for, changed or not."""
    (tmp_path / "default.yaml").write_text(GOOD.format(name="first"))
    async with watched(tmp_path) as (live, watch, told):
        watch.reload_soon()
        await until(lambda: len(told) == 1)
        assert live.loads == 2
