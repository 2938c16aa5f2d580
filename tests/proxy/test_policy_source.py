"""Tests of elision.proxy.policy_source."""

import hashlib
from pathlib import Path

import pytest

from elision.compressors import registry
from elision.config.errors import ConfigError
from elision.policies.model import Ability, Mode, TextKind
from elision.proxy.policy_source import (
    PolicySet,
    abilities,
    inspect_policies,
    load_policies,
    load_policy,
    load_preset,
    preset_names,
    preset_purpose,
    preset_text,
)

METHODS = ("embedded", "frequency", "lossless", "selective_context")
KEY = "sha256:" + "0a" * 32
GOOD = "rules:\n  - use: {method: lossless}\n"


def directory(tmp_path: Path, **files: str) -> Path:
    """Write policy files and return where they lie."""
    for name, text in files.items():
        (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")
    return tmp_path


def problems(path: Path) -> list[str]:
    """Return the lines of the error that a directory causes, its own name left out."""
    with pytest.raises(ConfigError) as caught:
        load_policies(path, METHODS)
    return [line.removeprefix(f"{path}").removeprefix("/") for line in caught.value.problems]


def test_each_file_is_a_teams_and_the_default_is_everybody_elses(tmp_path: Path) -> None:
    """A team without a file of its own goes by `default.yaml`."""
    policies = load_policies(directory(tmp_path, default=GOOD, search="mode: off\n"), METHODS)
    search, other, nobody = (policies.for_team(team) for team in ("search", "other", ""))
    assert search is not None
    assert (search.name, search.mode) == ("search", Mode.OFF)
    assert other is nobody is policies.by_team["default"]
    assert policies.all() == (other, search)


def test_an_only_file_is_everybodys(tmp_path: Path) -> None:
    """Whoever starts with one file need not know about teams."""
    policies = load_policies(directory(tmp_path, search=GOOD), METHODS)
    assert policies.for_team("") is policies.by_team["search"]


def test_several_files_without_a_default_leave_other_teams_alone(tmp_path: Path) -> None:
    """Nobody is compressed by another team's policy."""
    assert load_policies(directory(tmp_path, a=GOOD, b=GOOD), METHODS).for_team("c") is None


def test_the_version_is_the_files_digest(tmp_path: Path) -> None:
    """Two versions of a file are told apart in headers and logs, by a comment even."""
    path = directory(tmp_path, search=GOOD) / "search.yaml"
    digest = hashlib.sha256(GOOD.encode()).hexdigest()[:8]
    assert load_policy(path, METHODS).label == f"search@{digest}"
    directory(tmp_path, search=GOOD + "# changed\n")
    assert load_policy(path, METHODS).label != f"search@{digest}"


def test_all_errors_of_all_files_are_told_with_their_places(tmp_path: Path) -> None:
    """Shape, meaning and syntax alike, in one run."""
    files = {
        "a": "rules:\n  - usee: {}\n    use: {method: lossless}\ndeadline_s: -1\n",
        "b": "rules:\n  - use:\n      method: losless\n",
        "c": "rules: [\n",
        "d": GOOD,
        "e": "mode: of\nmode: off\n",
    }
    end = "'<stream end>'"
    assert problems(directory(tmp_path, **files)) == [
        'a.yaml:2:5: unknown key "usee"; did you mean "use"?',
        "a.yaml:4:13: must be a number above 0 and at most 600, not -1",
        'b.yaml:3:15: unknown method "losless"; did you mean "lossless"?',
        f"c.yaml:2:1: not YAML: expected the node content, but found {end} (while parsing a flow node)",
        'e.yaml:2:1: the key "mode" is already set in line 1; remove one',
    ]


def test_a_single_value_for_a_list_is_told_what_it_may_be(tmp_path: Path) -> None:
    """Not that it should have been a list, which it need not."""
    text = "rules:\n  - use: keep\n    when: {kind: text, segment: [contxt], role: 3}\n"
    kinds = "prose, code, json, markup, table, log, config, links, encoded"
    segments = "instruction, demonstrations, context, question, tool_result, history"
    roles = "system, developer, user, assistant, tool, function"
    assert problems(directory(tmp_path, a=text)) == [
        f'a.yaml:3:18: must be one of {kinds}, not "text"; valid: ' + ", ".join(sorted(kinds.split(", "))),
        f'a.yaml:3:34: must be one of {segments}, not "contxt"; did you mean "context"?',
        f"a.yaml:3:49: must be one of {roles}, not 3",
    ]


def test_protected_patterns_are_checked_when_they_are_read(tmp_path: Path) -> None:
    """RE2's only: any other could hold a request up without end."""
    rule = "rules:\n  - use: {{rate: 0.5, protect: [default, '{}']}}\n"
    good = directory(tmp_path, a=rule.format(r"re:ORD-\d+"))
    assert load_policies(good).by_team["a"].rules[0].use.protect == ("default", r"re:ORD-\d+")
    [line] = problems(directory(tmp_path, a=rule.format(r"re:(a)\1")))
    assert line.startswith("a.yaml:2:")
    assert "RE2" in line


def test_what_a_compressor_would_refuse_is_refused_here(tmp_path: Path) -> None:
    """Wrong options and unknown protected classes must not wait for the first request."""
    text = (
        "rules:\n"
        "  - use:\n"
        "      {method: selective_context, rate: 0.5, options: {levl: word}, protect: [urls, nmbers]}\n"
    )
    first, second = problems(directory(tmp_path, a=text))
    assert first.startswith("a.yaml:3:55: selective_context has no option 'levl'")
    assert second == "a.yaml:3:85: no protected class 'nmbers'; did you mean 'numbers'?"


def test_how_old_turns_are_shortened_is_checked_where_it_stands(tmp_path: Path) -> None:
    """Keys with the nearest valid one, options and protected classes, each with file, line and column."""
    old = "history:\n  older_than_turns: 8\n  method: selective_context\n  rate: 0.4\n"
    wrong = f"{old}  options: {{levl: word}}\n  protect: [urls, nmbers]\n"
    first, second = problems(directory(tmp_path, default=f"{GOOD}{wrong}"))
    assert first.startswith("default.yaml:7:12: ")
    assert "levl" in first
    assert second.startswith("default.yaml:8:19: ")
    [line] = problems(directory(tmp_path, default=f"{GOOD}history: {{older_then_turns: 8}}\n"))
    assert line == 'default.yaml:3:11: unknown key "older_then_turns"; did you mean "older_than_turns"?'
    [line] = problems(directory(tmp_path, default=f"{GOOD}history: shorten\n"))
    assert line.startswith("default.yaml:3:10: must be keep, compress, or a mapping such as")


def test_a_directory_that_cannot_serve_is_the_operators_error(tmp_path: Path) -> None:
    """It is missing, empty, a file, or has files that would be overlooked."""
    assert "not a readable directory" in problems(tmp_path / "none")[0]
    assert problems(tmp_path) == [": no policy file in it; add default.yaml"]
    (tmp_path / "a.yml").write_text(GOOD)
    assert problems(tmp_path) == ["a.yml: not read; call it a.yaml"]
    (tmp_path / "b.yaml").write_text("mod: off")
    assert problems(tmp_path)[1] == 'b.yaml:1:1: unknown key "mod"; did you mean "mode"?'
    (tmp_path / "a.yml").unlink()
    (tmp_path / "b.yaml").unlink()
    (tmp_path / "a.yaml").mkdir()
    assert problems(tmp_path) == ["a.yaml: cannot be read: Is a directory"]


def test_hidden_files_are_no_policies(tmp_path: Path) -> None:
    """Editors' locks and Kubernetes' links begin with a dot."""
    directory(tmp_path, default=GOOD)
    (tmp_path / ".#default.yaml").write_text("{")
    assert list(load_policies(tmp_path, METHODS).by_team) == ["default"]


def test_a_preset_is_laid_under_a_file(tmp_path: Path) -> None:
    """Its rules come after the file's own; the set tells which it was."""
    text = "extends: balanced\ndeadline_s: 1\nrules:\n  - name: mine\n    use: lossless\n"
    policies = load_policies(directory(tmp_path, search=text), METHODS)
    search, balanced = policies.by_team["search"], load_preset("balanced")
    assert [rule.name for rule in search.rules] == ["mine", *(rule.name for rule in balanced.rules)]
    assert (search.name, search.deadline_s, search.budget) == ("search", 1.0, balanced.budget)
    assert policies.extends == {"search": "balanced"}


def test_the_version_knows_the_preset_too(tmp_path: Path) -> None:
    """A release that changes a preset changes what the same file means."""
    text = "extends: rag\n"
    path = directory(tmp_path, search=text) / "search.yaml"
    digest = hashlib.sha256(text.encode() + preset_text("rag")).hexdigest()[:8]
    assert load_policy(path, METHODS).version == digest


def test_an_unknown_preset_names_the_nearest(tmp_path: Path) -> None:
    """At the line that names it."""
    assert problems(directory(tmp_path, a="mode: off\nextends: balancd\n")) == [
        'a.yaml:2:10: no preset "balancd"; did you mean "balanced"?'
    ]


def test_what_a_preset_does_not_allow_is_told_where_it_is_extended(tmp_path: Path) -> None:
    """The file has no line for it; the message has the key."""
    text = "budget:\n  min_rate: {context: 0.9, tool_result: 0.9}\nextends: rag\nrules:\n"
    text += "  - {name: machine-output, when: {segment: history}, use: keep}\n"
    [line] = problems(directory(tmp_path, a=text))
    assert line.startswith("a.yaml:3:10: budget.rate, of the preset: no prompt can be brought to 0.5: ")


def test_a_team_is_known_by_its_keys(tmp_path: Path) -> None:
    """By their fingerprints; any other key is nobody's."""
    policies = load_policies(directory(tmp_path, a=f"keys: ['{KEY}']\n", default=GOOD), METHODS)
    assert policies.by_key.get(KEY) == "a"
    assert policies.by_key.get("sha256:" + "0" * 64) is None
    assert policies.by_key
    assert not PolicySet({}, None).by_key


def test_a_key_of_two_teams_is_an_error_that_names_both(tmp_path: Path) -> None:
    """Otherwise the order of files would decide who pays."""
    files = {"a": f"keys:\n  - '{KEY}'\n", "b": f"mode: off\nkeys: '{KEY}'\n"}
    told = f"this key is also that of team a, {tmp_path}/a.yaml:2:5; remove one of them"
    assert problems(directory(tmp_path, **files)) == [f"b.yaml:2:7: {told}"]


def test_a_key_itself_is_refused_and_not_repeated(tmp_path: Path) -> None:
    """It would go from the log into everybody's hands."""
    [line] = problems(directory(tmp_path, a="keys: [sk-secret]\n"))
    assert line.startswith("a.yaml:1:8: must be sha256: and 64 lower-case hexadecimal digits; `elision ")
    assert "secret" not in line


def test_warnings_are_logged_and_refuse_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """In the order of the files and their lines."""
    low = "rules:\n  - use: {method: selective_context, rate: 0.1}\n"
    files = directory(tmp_path, b=low + "few_shot: {leading_pairs: 1}\n", a=low)
    policies = load_policies(files, METHODS)
    places = [line.removeprefix(f"{tmp_path}/").split(": ")[0] for line in policies.warnings]
    assert places == ["a.yaml:2:44", "b.yaml:2:44", "b.yaml:3:27"]
    logged = [f"Unwise in a policy: {line}" for line in policies.warnings]
    assert [record.getMessage() for record in caplog.records] == logged
    assert inspect_policies(files, METHODS).warnings == policies.warnings
    assert len(caplog.records) == len(logged)


def test_errors_do_not_hide_warnings(tmp_path: Path) -> None:
    """Neither those of the same file nor those of another."""
    unwise = "rules:\n  - use: {method: selective_context, rate: 0.1}\n"
    wrong = unwise + "  - {name: twice, use: keep}\n  - {name: twice, use: keep}\n"
    found = inspect_policies(directory(tmp_path, a=wrong, b=unwise), METHODS)
    assert found.policies is None
    assert [line.split(": ")[0] for line in found.warnings] == [
        f"{tmp_path}/a.yaml:2:44",
        f"{tmp_path}/b.yaml:2:44",
    ]
    assert found.errors[0].startswith(f"{tmp_path}/a.yaml:3:5: never reached")


def test_a_file_whose_name_cannot_be_a_teams_is_refused(tmp_path: Path) -> None:
    """It stands in paths and headers."""
    assert problems(directory(tmp_path, **{"my team": GOOD})) == [
        "my team.yaml: a team's name has letters, digits, . _ - only; rename the file"
    ]


def test_every_preset_says_what_it_is_for() -> None:
    """In one sentence, at its head."""
    assert {"gentle", "balanced", "aggressive", "rag", "agent", "few-shot", "lossless", "audit"} == set(
        preset_names()
    )
    for name in preset_names():
        purpose = preset_purpose(name)
        assert purpose.startswith(("For ", "A "))
        assert purpose.endswith(".")
        assert "\n" not in purpose


def test_the_audit_preset_is_balanced_without_consequences() -> None:
    """What it shows is what `balanced` would do."""
    audit, balanced = load_preset("audit"), load_preset("balanced")
    assert audit.mode is Mode.AUDIT
    assert (audit.rules, audit.budget) == (balanced.rules, balanced.budget)


def test_abilities_are_put_into_the_policies_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an installed package says of itself is checked."""
    known = abilities()
    assert known["lossless"] == Ability(needs_target=False)
    assert known["selective_context"] == Ability(frozenset({"en"}), frozenset({TextKind.PROSE}))
    odd = {"odd": registry.Ability(text_kinds=frozenset({"prosa"}))}
    monkeypatch.setattr(registry, "abilities", lambda: odd)
    with pytest.raises(ConfigError, match='for texts of the kind "prosa"; did you mean "prose"'):
        abilities()
