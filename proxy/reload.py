"""Policies that change while the proxy runs: watched, read whole, exchanged at once.

The directory is looked at twice a second: names, sizes and times of its files, through links, since
editors and Kubernetes replace files rather than write into them. What has settled is read and
checked; if anything in it is wrong the last good policies stay, and the errors are told in the log,
in `/elision/ready` and in the metrics until they are mended.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from elision.config.errors import ConfigError
from elision.policies.model import Policy
from elision.proxy.policy_source import PolicySet

_LOOK_EVERY_S = 0.5

Look = tuple[tuple[str, int, int, int], ...]


class LivePolicies:
    """The policies of this moment.

    Attributes:
        current: those that requests are planned by; `take` exchanges them whole.
        problems: why the files' newest version was refused; () when it is the current one.
        loads, refusals: how often files were taken over, and how often they were refused.
    """

    def __init__(self, current: PolicySet) -> None:
        self.loads = 0
        self.refusals = 0
        self.problems: tuple[str, ...] = ()
        self.take(current)

    def take(self, policies: PolicySet) -> None:
        """Make these the current ones."""
        self.current = policies
        self.problems = ()
        self.loads += 1

    def refuse(self, problems: Sequence[str]) -> None:
        """Keep the current ones, and remember why."""
        self.problems = tuple(problems)
        self.refusals += 1

    @property
    def by_key(self) -> Mapping[str, str]:
        """Teams by the fingerprints of their keys."""
        return self.current.by_key

    def knows(self, team: str) -> bool:
        """Return whether a team has a policy of its own."""
        return team in self.current.by_team

    def for_team(self, team: str) -> Policy | None:
        """Return the team's policy, or the default one, or None where there is neither."""
        return self.current.for_team(team)


class PolicyWatch:
    """Keeps `LivePolicies` as the files are.

    Args:
        live: what to keep.
        directory: of the files.
        load: reads and checks all of them; raises ConfigError.
        changed: is told of every new set, after it is current.
        look_every_s: seconds between looks.
    """

    def __init__(
        self,
        live: LivePolicies,
        directory: Path,
        load: Callable[[Path], PolicySet],
        *,
        changed: Callable[[PolicySet], None],
        look_every_s: float = _LOOK_EVERY_S,
    ) -> None:
        self._live = live
        self._directory = directory
        self._load = load
        self._changed = changed
        self._look_every_s = look_every_s
        self._read = look(directory)
        self._asked = asyncio.Event()
        self._log = logging.getLogger("elision.policies")

    async def run(self) -> None:
        """Look for changes until cancelled."""
        seen = self._read
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._look_every_s):
                    await self._asked.wait()
            now = await asyncio.to_thread(look, self._directory)
            settled = now == seen  # what differs from look to look may be half written
            if self._asked.is_set() or (settled and now != self._read):
                await self._reload()
            seen = now

    def reload_soon(self) -> None:
        """Have the files read again, changed or not; may be called by a signal handler."""
        self._asked.set()

    async def _reload(self) -> None:
        """Read the files; keep the last good policies if they are wrong."""
        self._asked.clear()
        self._read = await asyncio.to_thread(look, self._directory)
        try:
            policies = await asyncio.to_thread(self._load, self._directory)
        except ConfigError as error:
            self._live.refuse(error.problems)
            for problem in error.problems:
                self._log.error("Policies stay as they were: %s", problem)
            return
        self._live.take(policies)
        self._changed(policies)
        self._log.info("Policies read again: %s", ", ".join(policy.label for policy in policies.all()))


def look(directory: Path) -> Look:
    """Return name, inode, size and time of change of every file; () where there is no directory."""
    try:
        with os.scandir(directory) as entries:
            return tuple(sorted(found for entry in entries if (found := _seen(entry)) is not None))
    except OSError:
        return ()


def _seen(entry: "os.DirEntry[str]") -> tuple[str, int, int, int] | None:
    try:
        told = entry.stat()
    except OSError:
        return None  # gone between the two calls
    return entry.name, told.st_ino, told.st_size, told.st_mtime_ns
