"""Policies from a directory: which files, which team, which version.

This module owns reading policy files and finding a team's policy; what the files mean is
`elision.policies`' matter, and how their errors are placed `elision.config`'s. Read once; a
`PolicySet` is an immutable value, so that a later reload can exchange it whole.
"""

import hashlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from elision.compressors.base import Method
from elision.compressors.errors import BadOption, UnknownMethod
from elision.compressors.protect import CLASSES
from elision.compressors.registry import check_method
from elision.config.errors import ConfigError
from elision.config.problems import Problem, nearest
from elision.config.strict_yaml import parse_document, refusal, validate
from elision.policies.model import Policy
from elision.policies.schema import PolicyFile, build, problems

DEFAULT_TEAM = "default"
_SUFFIX = ".yaml"
_VERSION_DIGITS = 8


@dataclass(frozen=True, slots=True)
class PolicySet:
    """The policies of all teams.

    Attributes:
        by_team: a team's own policy, by the team's name.
        default: for every other team; None: they have none, and nothing of theirs is looked at.
    """

    by_team: Mapping[str, Policy]
    default: Policy | None

    def for_team(self, team: str) -> Policy | None:
        """Return the team's policy, else the default one, else None; "" is no team."""
        return self.by_team.get(team, self.default)

    def all(self) -> tuple[Policy, ...]:
        """Return every policy once, by the names of the teams."""
        return tuple(self.by_team[team] for team in sorted(self.by_team))


def load_policies(directory: Path, methods: Collection[str]) -> PolicySet:
    """Read every `*.yaml` in a directory; a file's name without it is the team's.

    `default.yaml`, or the only file, is for every team that has none.

    Args:
        directory: of policy files.
        methods: names of the compression methods that there are.
    Raises: ConfigError with a line for each wrong thing in any of the files.
    """
    files = _policy_files(directory)
    by_team: dict[str, Policy] = {}
    lines: list[str] = []
    for file in files:
        try:
            by_team[file.stem] = load_policy(file, methods)
        except ConfigError as error:
            lines += error.problems
    if lines:
        raise ConfigError(lines)
    only = next(iter(by_team.values())) if len(by_team) == 1 else None
    return PolicySet(MappingProxyType(by_team), by_team.get(DEFAULT_TEAM, only))


def load_policy(file: Path, methods: Collection[str]) -> Policy:
    """Read one policy file; its version is the start of its SHA-256.

    Raises: ConfigError with a line for each wrong thing in it.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ConfigError([f"{file}: cannot be read: {error.strerror}"]) from error
    document = parse_document(content, str(file))
    shape = validate(document, PolicyFile)
    found = [Problem(problem.path, problem.message) for problem in problems(shape, methods)]
    found += _unusable(shape)
    if found:
        raise refusal(document, found)
    return build(shape, hashlib.sha256(content).hexdigest()[:_VERSION_DIGITS], file.stem)


def _unusable(shape: PolicyFile) -> Iterator[Problem]:
    """Yield what the compressors do not take, which only they can tell."""
    for index, rule in enumerate(shape.rules):
        use = rule.use
        try:
            check_method(Method(use.method, tuple(sorted(use.options.items()))))
        except BadOption as error:
            yield Problem(("rules", index, "use", "options"), str(error))
        except UnknownMethod:
            pass  # `keep`, or told already
        for number, name in enumerate(use.protect or ()):
            if name not in CLASSES:
                path = ("rules", index, "use", "protect", number)
                yield Problem(path, f'no protected class "{name}"; {nearest(name, CLASSES)}')


def _policy_files(directory: Path) -> list[Path]:
    try:
        entries = sorted(directory.iterdir())
    except OSError as error:
        message = f"{directory}: not a readable directory ({error.strerror})"
        raise ConfigError([f"{message}; name one that holds policy files"]) from error
    # Editors and Kubernetes keep files of their own under names that begin with a dot.
    yamls = [entry for entry in entries if entry.suffix.lower() in (".yml", ".yaml")]
    files = [entry for entry in yamls if not entry.name.startswith(".")]
    if others := [entry for entry in files if entry.suffix != _SUFFIX]:
        raise ConfigError(f"{entry}: not read; call it {entry.stem}{_SUFFIX}" for entry in others)
    if not files:
        raise ConfigError([f"{directory}: no policy file in it; add {DEFAULT_TEAM}{_SUFFIX}"])
    return files
