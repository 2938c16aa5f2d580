"""Tests of elision.proxy.policy_source."""

import hashlib
from pathlib import Path

import pytest

from elision.config.errors import ConfigError
from elision.policies.model import Mode
from elision.proxy.policy_source import load_policies, load_policy

METHODS = ("lossless", "selective_context")
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


def test_what_a_compressor_would_refuse_is_refused_here(tmp_path: Path) -> None:
    """Wrong options and unknown protected classes must not wait for the first request."""
    text = (
        "rules:\n"
        "  - use:\n"
        "      {method: selective_context, rate: 0.5, options: {levl: word}, protect: [urls, nmbers]}\n"
    )
    first, second = problems(directory(tmp_path, a=text))
    assert first.startswith("a.yaml:3:55: selective_context has no option 'levl'")
    assert second == 'a.yaml:3:85: no protected class "nmbers"; did you mean "numbers"?'


def test_a_directory_that_cannot_serve_is_the_operators_error(tmp_path: Path) -> None:
    """It is missing, empty, a file, or has files that would be overlooked."""
    assert "not a readable directory" in problems(tmp_path / "none")[0]
    assert problems(tmp_path) == [": no policy file in it; add default.yaml"]
    (tmp_path / "a.yml").write_text(GOOD)
    assert problems(tmp_path) == ["a.yml: not read; call it a.yaml"]
    (tmp_path / "a.yml").unlink()
    (tmp_path / "a.yaml").mkdir()
    assert problems(tmp_path) == ["a.yaml: cannot be read: Is a directory"]


def test_hidden_files_are_no_policies(tmp_path: Path) -> None:
    """Editors' locks and Kubernetes' links begin with a dot."""
    directory(tmp_path, default=GOOD)
    (tmp_path / ".#default.yaml").write_text("{")
    assert list(load_policies(tmp_path, METHODS).by_team) == ["default"]
