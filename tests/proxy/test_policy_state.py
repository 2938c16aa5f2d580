"""What is told of the policies."""

from pathlib import Path

from elision.proxy.policy_source import load_policies
from elision.proxy.policy_state import placed, policies_told
from elision.proxy.reload import LivePolicies


def test_policies_and_what_is_wrong_are_told_apart(tmp_path: Path) -> None:
    """The last good ones stay in view while new files are refused, with file and line."""
    (tmp_path / "default.yaml").write_text("extends: lossless\n")
    (tmp_path / "search.yaml").write_text("extends: gentle\nmode: audit\n")
    live = LivePolicies(load_policies(tmp_path))
    live.refuse([f"{tmp_path}/search.yaml:2:1: unknown key"])
    told = policies_told(live, {"ready": False, "methods": {"m": "no weights"}, "policies": {"loads": 1}})
    found = told["policies"]
    assert isinstance(found, list)
    default, search = found
    assert (default["team"], default["is_default"], default["methods"]) == ("default", True, ["lossless"])
    assert (search["team"], search["mode"], search["extends"]) == ("search", "audit", "gentle")
    assert told["refused"] == [
        {"file": f"{tmp_path}/search.yaml", "line": 2, "column": 1, "message": "unknown key"}
    ]
    assert told["refusals"] == 1
    assert told["health"] == {"ready": False, "methods": {"m": "no weights"}}


def test_without_policies_there_is_health_alone() -> None:
    """Nothing is invented."""
    told = policies_told(None, {"ready": True})
    assert told["policies"] == []
    assert told["health"] == {"ready": True}


def test_a_problem_without_a_place_is_told_whole() -> None:
    """Some concern a directory, not a line; a column may be missing."""
    assert placed(["the directory is empty", "/a b/c.yaml:7: wrong: very"]) == [
        {"file": "", "message": "the directory is empty"},
        {"file": "/a b/c.yaml", "line": 7, "column": None, "message": "wrong: very"},
    ]
