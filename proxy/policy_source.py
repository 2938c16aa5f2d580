"""Policies from a directory: which files, which team, which keys, which version.

This module owns reading policy files and presets, and finding a team's policy; what the files mean
is `elision.policies`' matter, and how their errors are placed `elision.config`'s. A `PolicySet` is
an immutable value, so that a reload can exchange it whole.
"""

import hashlib
import logging
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType

from elision.compressors import registry
from elision.compressors.base import Method
from elision.compressors.errors import BadOption, UnknownMethod
from elision.compressors.protect import check_classes
from elision.compressors.registry import DEFAULT_METHOD, check_method
from elision.config.errors import ConfigError
from elision.config.problems import Problem, nearest
from elision.config.strict_yaml import Document, parse_document, refusal, validate
from elision.policies.model import Ability, Policy, TextKind
from elision.policies.problems import Problem as PolicyProblem
from elision.policies.problems import Severity, problems
from elision.policies.scalars import NAME_PATTERN
from elision.policies.schema import HowSpec, PolicyFile, build, merged

DEFAULT_TEAM = "default"
_SUFFIX = ".yaml"
_VERSION_DIGITS = 8


@dataclass(frozen=True, slots=True)
class PolicySet:
    """The policies of all teams.

    Attributes:
        by_team: a team's own policy, by the team's name.
        default: for every other team; None: they have none, and nothing of theirs is looked at.
        by_key: the team of each API key's fingerprint.
        extends: the preset that a team's policy extends, where it does.
        warnings: a line with file, line and column for each thing that works and is unwise.
    """

    by_team: Mapping[str, Policy]
    default: Policy | None
    by_key: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    extends: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    warnings: tuple[str, ...] = ()

    def __reduce__(self) -> tuple[object, ...]:
        """Let the set be sent to a worker process; views of mappings cannot be, their copies can."""
        views = (self.by_team, self.by_key, self.extends)
        by_team, by_key, extends = (dict(view) for view in views)
        return _received, (by_team, self.default, by_key, extends, self.warnings)

    def for_team(self, team: str) -> Policy | None:
        """Return the team's policy, else the default one, else None; "" is no team."""
        return self.by_team.get(team, self.default)

    def all(self) -> tuple[Policy, ...]:
        """Return every policy once, by the names of the teams."""
        return tuple(self.by_team[team] for team in sorted(self.by_team))


def _received(
    by_team: dict[str, Policy],
    default: Policy | None,
    by_key: dict[str, str],
    extends: dict[str, str],
    warnings: tuple[str, ...],
) -> PolicySet:
    views = (MappingProxyType(by_key), MappingProxyType(extends))
    return PolicySet(MappingProxyType(by_team), default, *views, warnings)


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was found in a directory: a set, unless anything is wrong; lines with file, line and column."""

    policies: PolicySet | None
    errors: tuple[str, ...]
    warnings: tuple[str, ...]

    def sound(self) -> PolicySet:
        """Return the set.

        Raises: ConfigError if anything is wrong.
        """
        if self.policies is None:
            raise ConfigError(self.errors)
        return self.policies


@dataclass(frozen=True, slots=True)
class _Loaded:
    """One policy file without errors, or with nothing but them."""

    document: Document | None = None
    policy: Policy | None = None
    extends: str = ""
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def abilities() -> dict[str, Ability]:
    """Return what each installed method was made for, in the policies' words.

    Raises: ConfigError if an installed package says what cannot be understood.
    """
    return {name: _ability(name, told) for name, told in registry.abilities().items()}


def _ability(name: str, told: registry.Ability) -> Ability:
    known = {kind.value: kind for kind in TextKind}
    for kind in sorted((told.text_kinds or frozenset()) - known.keys()):
        message = f'the method "{name}" says that it is for texts of the kind "{kind}"'
        raise ConfigError([f"{message}; {nearest(kind, known)}"])
    text_kinds = None if told.text_kinds is None else frozenset(known[kind] for kind in told.text_kinds)
    return Ability(told.languages, text_kinds, told.needs_target)


def _usable(methods: Collection[str] | None) -> dict[str, Ability]:
    return {name: told for name, told in abilities().items() if methods is None or name in methods}


def load_policies(directory: Path, methods: Collection[str] | None = None) -> PolicySet:
    """Read every `*.yaml` in a directory; a file's name without it is the team's.

    `default.yaml`, or the only file, is for every team that has none. What is unwise in the files
    is logged.

    Args:
        directory: of policy files.
        methods: names of the compression methods that may be used; None: all that are installed.
    Raises: ConfigError with a line for each wrong thing in any of the files.
    """
    policies = inspect_policies(directory, methods).sound()
    for line in policies.warnings:
        logging.getLogger("elision.policies").warning("Unwise in a policy: %s", line)
    return policies


def inspect_policies(directory: Path, methods: Collection[str] | None = None) -> Inspection:
    """Read as `load_policies` does, and tell everything wrong and unwise in all files.

    Raises: ConfigError if the directory cannot be read, or holds no policy.
    """
    usable = _usable(methods)
    found, misnamed = _policy_files(directory)
    loaded = {file.stem: _load(file, usable) for file in found}
    errors = [*misnamed, *(line for one in loaded.values() for line in one.errors), *_shared_keys(loaded)]
    warnings = tuple(line for one in loaded.values() for line in one.warnings)
    if errors:
        return Inspection(None, tuple(errors), warnings)
    by_team = {team: one.policy for team, one in loaded.items() if one.policy is not None}
    only = next(iter(by_team.values())) if len(by_team) == 1 else None
    policies = PolicySet(
        MappingProxyType(by_team),
        by_team.get(DEFAULT_TEAM, only),
        MappingProxyType({key: team for team, policy in by_team.items() for key in policy.keys}),
        MappingProxyType({team: one.extends for team, one in loaded.items() if one.extends}),
        warnings,
    )
    return Inspection(policies, (), warnings)


def load_policy(file: Path, methods: Collection[str] | None = None) -> Policy:
    """Read one policy file; its version is the start of a SHA-256 of it and what it extends.

    Raises: ConfigError with a line for each wrong thing in it.
    """
    loaded = _load(file, _usable(methods))
    if loaded.policy is None:
        raise ConfigError(loaded.errors)
    return loaded.policy


def preset_names() -> tuple[str, ...]:
    """Return the names of the presets that a policy may extend."""
    folder = files("elision.policies") / "presets"
    return tuple(sorted(Path(f.name).stem for f in folder.iterdir() if f.name.endswith(_SUFFIX)))


def preset_text(name: str) -> bytes:
    """Return a preset's file, one of `preset_names`."""
    return (files("elision.policies") / "presets" / f"{name}{_SUFFIX}").read_bytes()


def preset_purpose(name: str) -> str:
    """Return what a preset is for: the first sentence of the comment that it begins with."""
    comment = []
    for line in preset_text(name).decode().splitlines():
        if not line.startswith("#"):
            break
        comment.append(line.lstrip("# "))
    return re.split(r"(?<=\.)\s", " ".join(comment), maxsplit=1)[0]


def load_preset(name: str) -> Policy:
    """Return a preset as a policy of its own, called by its own name."""
    content = preset_text(name)
    shape = validate(parse_document(content, f"{name}{_SUFFIX}"), PolicyFile)
    return build(shape, _version(content), name, DEFAULT_METHOD)


def _load(file: Path, methods: Mapping[str, Ability]) -> _Loaded:
    try:
        return _read(file, methods)
    except ConfigError as error:
        return _Loaded(errors=error.problems)


def _read(file: Path, methods: Mapping[str, Ability]) -> _Loaded:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ConfigError([f"{file}: cannot be read: {error.strerror}"]) from error
    if re.match(NAME_PATTERN, file.stem) is None:
        raise ConfigError([f"{file}: a team's name has letters, digits, . _ - only; rename the file"])
    document = parse_document(content, str(file))
    own = validate(document, PolicyFile)
    shape, preset = _extended(own, document)
    found = problems(shape, methods, DEFAULT_METHOD, len(own.rules))
    wrong = [_placed(problem, document) for problem in found if problem.severity is Severity.ERROR]
    wrong += _unusable(own)
    unwise = [_placed(problem, document) for problem in found if problem.severity is Severity.WARNING]
    warnings = refusal(document, unwise).problems
    if wrong:
        return _Loaded(document, errors=refusal(document, wrong).problems, warnings=warnings)
    policy = build(shape, _version(content, preset), file.stem, DEFAULT_METHOD)
    return _Loaded(document, policy, own.extends or "", warnings=warnings)


def _version(*contents: bytes) -> str:
    return hashlib.sha256(b"".join(contents)).hexdigest()[:_VERSION_DIGITS]


def _extended(own: PolicyFile, document: Document) -> tuple[PolicyFile, bytes]:
    """Return a file laid over the preset that it extends, and the preset's content."""
    if own.extends is None:
        return own, b""
    if own.extends not in preset_names():
        hint = nearest(own.extends, preset_names())
        raise refusal(document, [Problem(("extends",), f'no preset "{own.extends}"; {hint}')])
    content = preset_text(own.extends)
    preset = validate(parse_document(content, f"preset {own.extends}"), PolicyFile)
    return merged(own, preset), content


def _placed(problem: PolicyProblem, document: Document) -> Problem:
    """Return a problem with the path that it has in its file; a preset's own stands at `extends`."""
    if _leads_somewhere(problem.path[:2], document.data):
        return Problem(problem.path, problem.message)
    place = ".".join(map(str, problem.path))
    return Problem(("extends",), f"{place}, of the preset: {problem.message}")


def _leads_somewhere(path: Sequence[str | int], data: object) -> bool:
    for step in path:
        if isinstance(data, Mapping):
            data = data.get(step)
        elif isinstance(data, list) and isinstance(step, int):
            data = data[step] if step < len(data) else None
        else:
            return False
    return data is not None


def _shared_keys(loaded: Mapping[str, _Loaded]) -> Iterator[str]:
    """Yield a line for each key that two teams claim."""
    first: dict[str, tuple[str, str]] = {}
    for team, one in loaded.items():
        if one.document is None or one.policy is None:
            continue
        for number, key in enumerate(one.policy.keys):
            other, place = first.setdefault(key, (team, one.document.place(("keys", number))))
            if other != team:
                message = f"this key is also that of team {other}, {place}; remove one of them"
                yield one.document.line(Problem(("keys", number), message))


def _unusable(shape: PolicyFile) -> Iterator[Problem]:
    """Yield what the compressors do not take, which only they can tell."""
    hows: list[tuple[tuple[str | int, ...], HowSpec]] = [
        (("rules", index, "use"), rule.use) for index, rule in enumerate(shape.rules)
    ]
    for place, how in (*hows, (("history",), shape.history)):
        try:
            check_method(Method(how.method or DEFAULT_METHOD, tuple(sorted(how.options.items()))))
        except BadOption as error:
            yield Problem((*place, "options"), str(error))
        except UnknownMethod:
            pass  # `keep`, or told already
        for number, name in enumerate(how.protect or ()):
            try:
                check_classes((name,))
            except BadOption as error:
                yield Problem((*place, "protect", number), str(error))


def _policy_files(directory: Path) -> tuple[list[Path], list[str]]:
    """Return the policy files of a directory, and a line for each that only looks like one."""
    try:
        entries = sorted(directory.iterdir())
    except OSError as error:
        message = f"{directory}: not a readable directory ({error.strerror})"
        raise ConfigError([f"{message}; name one that holds policy files"]) from error
    # Editors and Kubernetes keep files of their own under names that begin with a dot.
    yamls = [entry for entry in entries if entry.suffix.lower() in (".yml", ".yaml")]
    policies = [entry for entry in yamls if not entry.name.startswith(".")]
    others = [entry for entry in policies if entry.suffix != _SUFFIX]
    if not policies:
        raise ConfigError([f"{directory}: no policy file in it; add {DEFAULT_TEAM}{_SUFFIX}"])
    misnamed = [f"{entry}: not read; call it {entry.stem}{_SUFFIX}" for entry in others]
    return [entry for entry in policies if entry.suffix == _SUFFIX], misnamed
