"""Tests of elision.proxy.cli_policies: what is told where, with which exit code."""

import io
import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from elision.compressors.registry import DEFAULT_METHOD, method_names
from elision.proxy.cli import run
from elision.proxy.commands import EXIT_USAGE, EXIT_WRONG
from elision.proxy.policy_source import preset_names
from elision.proxy.teams import fingerprint
from fakes.commands import POLICY, failed

pytestmark = pytest.mark.usefixtures("no_settings_of_this_machine")

ROOT = Path(__file__).parent.parent.parent
UNWISE = "rules:\n  - when: {position: last}\n    use: lossless\n"


def test_check_tells_what_is_loaded(policies: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each team with its version, mode and number of rules."""
    (policies / "search.yaml").write_text("mode: audit\n")
    assert run(["check", str(policies)]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("default: default@")
    assert first.endswith(", enforce, 1 rule, for every other team too")
    assert second.startswith("search: search@")
    assert second.endswith(", audit, 0 rules")


def test_check_tells_all_errors_of_all_files(policies: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1, a line each, with file, line and column."""
    (policies / "a.yaml").write_text("mod: audit\ndeadline_s: 0\n")
    (policies / "b.yaml").write_text("rules:\n  - use: {method: loseless}\n")
    code, lines = failed(capsys, "check", policies)
    assert code == EXIT_WRONG
    assert lines == [
        f'error: {policies}/a.yaml:1:1: unknown key "mod"; did you mean "mode"?',
        f"error: {policies}/a.yaml:2:13: must be a number above 0 and at most 600, not 0",
        f'error: {policies}/b.yaml:2:19: unknown method "loseless"; did you mean "lossless"?',
    ]


def test_explain_shows_each_segment(policies: Path, body: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As a table for people and as JSON for tools."""
    command = ["explain", str(body), "--policies", str(policies)]
    assert run(command) == 0
    table = capsys.readouterr().out
    assert "/messages/0/content" in table
    assert "rule `documents` matched" in table
    assert run([*command, "--team", "search", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert [segment["segment"] for segment in plan["segments"]] == ["instruction", "context", "question"]
    assert [segment["method"] for segment in plan["segments"]] == ["keep", "lossless", "keep"]
    assert plan["encoding"] == "o200k_base"


def test_explain_knows_the_windows_that_the_settings_name(
    policies: Path, body: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A budget that fits a model's window is as in the running proxy."""
    (policies / "default.yaml").write_text("extends: balanced\nbudget: {fit: true, reply: 1}\n")
    settings = tmp_path / "settings.yaml"
    settings.write_text('windows: {"GPT-4o*": 64}\n')
    command = ["explain", str(body), "--policies", str(policies), "--json"]
    assert run(command) == 0
    assert json.loads(capsys.readouterr().out)["notes"] == []
    assert run([*command, "--settings", str(settings)]) == 0
    assert "the budget of" in json.loads(capsys.readouterr().out)["notes"][-1]


def test_explain_tells_what_a_repeated_prefix_costs(
    tmp_path: Path, policies: Path, body: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the prices that the settings name, for as many turns as are asked about."""
    settings = tmp_path / "settings.yaml"
    settings.write_text("prefix_terms: [{upstreams: [eu], read: 0.3, minimum: 4}]\n")
    command = ["explain", str(body), "--policies", str(policies), "--json"]
    assert run([*command, "--settings", str(settings), "--upstream", "eu", "--turns", "7"]) == 0
    prefix = json.loads(capsys.readouterr().out)["prefix"]
    assert (prefix["terms"]["read"], prefix["terms"]["minimum"], prefix["expected_turns"]) == (0.3, 4, 7)
    assert run([*command, "--settings", str(settings)]) == 0
    assert json.loads(capsys.readouterr().out)["prefix"]["terms"]["read"] != 0.3


def test_explain_finds_policies_by_variable_and_body_on_standard_input(
    policies: Path,
    body: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The settings are those of `serve`."""
    monkeypatch.setenv("ELISION_POLICIES", str(policies))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(body.read_bytes())))
    assert run(["explain", "-"]) == 0
    assert "documents" in capsys.readouterr().out


def test_explain_refuses_what_the_proxy_would_pass_on(
    policies: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not JSON; no policies; a team without a policy."""
    file = tmp_path / "no.json"
    file.write_text("{")
    code, [line] = failed(capsys, "explain", file, "--policies", policies)
    assert (code, line) == (
        EXIT_WRONG,
        f"error: {file}: malformed_body: the proxy would pass this body on untouched",
    )
    code, [line] = failed(capsys, "explain", file)
    assert (code, "--policies DIR" in line) == (EXIT_USAGE, True)
    (policies / "default.yaml").rename(policies / "a.yaml")
    (policies / "b.yaml").write_text(POLICY)
    code, [line] = failed(capsys, "explain", file, "--policies", policies, "--team", "c")
    assert (code, line) == (EXIT_USAGE, "error: --team: c has no policy; there are: a, b")


def test_explain_shows_what_a_budget_leaves_of_each_document(
    policies: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A segment that the budget has split is shown in its parts, without a gap."""
    (policies / "default.yaml").write_text("extends: rag\n")
    texts = [f"Document {n}: " + f"The mill number {n} stood by the river Aare. " * 40 for n in range(1, 6)]
    asked = "\n\n".join([*texts, "Question: Who owned mill number 2?"])
    file = tmp_path / "rag.json"
    file.write_text(json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": asked}]}))
    assert run(["explain", str(file), "--policies", str(policies), "--json"]) == 0
    parts = json.loads(capsys.readouterr().out)["segments"]
    edges = [(part["start"], part["end"]) for part in parts]
    assert [end for _, end in edges[:-1]] == [start for start, _ in edges[1:]]
    assert (edges[0][0], edges[-1][1]) == (0, len(asked))
    methods = [part["method"] for part in parts if part["segment"] == "context"]
    assert "drop" in methods
    assert DEFAULT_METHOD in methods
    assert all(miss["rule"] == "machine-output" for part in parts[:-1] for miss in part["why_not"])


def test_check_tells_errors_and_warnings_of_all_files(
    policies: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong file does not hide what is unwise in another."""
    (policies / "a.yaml").write_text("mod: audit\n")
    (policies / "b.yaml").write_text(UNWISE)
    code, [error, warning] = failed(capsys, "check", policies)
    assert code == EXIT_WRONG
    assert error.startswith(f"error: {policies}/a.yaml:1:1: ")
    assert warning.startswith(f"warning: {policies}/b.yaml:2:22: a turn is not last for ever")


def test_warnings_alone_are_no_failure_unless_asked(
    policies: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--strict` is for continuous integration."""
    (policies / "default.yaml").write_text(UNWISE)
    assert run(["check", str(policies)]) == 0
    streams = capsys.readouterr()
    assert streams.out.startswith("default: default@")
    assert streams.err.startswith("warning: ")
    code, [line] = failed(capsys, "check", policies, "--strict")
    assert (code, line[:7]) == (EXIT_WRONG, "error: ")


def test_policies_shows_what_is_loaded_and_what_may_be_extended(
    policies: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """For people; keys are counted, never shown."""
    key = fingerprint("sk-test")
    (policies / "search.yaml").write_text(f"extends: rag\nkeys: ['{key}']\n")
    assert run(["policies", "--policies", str(policies)]) == 0
    told = capsys.readouterr().out
    for cell in ("default (and every other)", "search@", "rag", "0.5 of each turn", "documents (lossless)"):
        assert cell in told
    assert key not in told
    for name in preset_names():
        assert f"  {name} " in told


def test_policies_as_json(policies: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """For tools: a row for each team, presets, and warnings."""
    (policies / "search.yaml").write_text("extends: rag\nmode: audit\n")
    assert run(["policies", "--policies", str(policies), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    default, search = told["policies"]
    assert (default["team"], default["default"], default["budget"]) == ("default", True, None)
    assert (search["extends"], search["mode"], search["budget"]["rate"]) == ("rag", "audit", 0.5)
    assert set(told["presets"]) == set(preset_names())
    assert told["warnings"] == []


def test_policies_without_a_directory_shows_the_presets(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever begins sees what to begin with."""
    assert run(["policies"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("no policies are loaded")
    assert "  balanced " in told


def test_the_schema_names_what_is_installed(capsys: pytest.CaptureFixture[str]) -> None:
    """Methods, presets and protected classes of this machine."""
    assert run(["schema"]) == 0
    text = capsys.readouterr().out
    schema = json.loads(text)
    assert schema["properties"]["extends"]["anyOf"][0]["enum"] == list(preset_names())
    assert all(f'"{name}"' in text for name in (*method_names(), "keep", "numbers"))


@pytest.mark.parametrize("sent", ["sk-test", "sk-test\n", "Bearer sk-test\n", "  bearer  sk-test  "])
def test_a_fingerprint_is_that_of_the_key_as_the_proxy_reads_it(
    sent: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """From standard input or a variable; the line can be put into a policy as it is."""
    monkeypatch.setattr("sys.stdin", io.StringIO(sent))
    assert run(["fingerprint"]) == 0
    monkeypatch.setenv("TEAM_KEY", sent)
    assert run(["fingerprint", "--env", "TEAM_KEY"]) == 0
    assert capsys.readouterr().out.splitlines() == [fingerprint("sk-test")] * 2


def test_a_key_is_never_an_argument(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shell would remember it; nor is one repeated in an error."""
    code, [line] = failed(capsys, "fingerprint", "sk-test")
    assert code == EXIT_USAGE
    assert "argument" in line
    code, [line] = failed(capsys, "fingerprint", "--env", "NO_SUCH_VARIABLE")
    assert (code, "NO_SUCH_VARIABLE must hold one API key" in line) == (EXIT_USAGE, True)
    monkeypatch.setattr("sys.stdin", io.StringIO("sk-one sk-two"))
    code, [line] = failed(capsys, "fingerprint")
    assert (code, "sk-" in line) == (EXIT_USAGE, False)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--endpoint", "chats"], 'did you mean "chat"?'),
        (["--rate", "0"], "--rate: must be above 0 and at most 1, not 0"),
        (["--header", "x-class"], "--header: must be NAME:VALUE, not x-class"),
    ],
)
def test_explain_tells_wrong_flags(
    arguments: list[str], says: str, policies: Path, body: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one line, with what would be right."""
    code, [line] = failed(capsys, "explain", body, "--policies", policies, *arguments)
    assert code == EXIT_USAGE
    assert says in line


def test_explain_knows_the_other_endpoints(
    policies: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A body of the Responses API has other texts."""
    file = tmp_path / "responses.json"
    file.write_text(json.dumps({"model": "gpt-4o", "instructions": "Be brief.", "input": "Who?"}))
    command = ["explain", str(file), "--policies", str(policies), "--endpoint", "responses", "--json"]
    assert run(command) == 0
    places = [segment["place"] for segment in json.loads(capsys.readouterr().out)["segments"]]
    assert sorted(places) == ["/input", "/instructions"]


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_is_valid_without_any_warning(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a file of its own, and extended by a file that says nothing else."""
    (tmp_path / "default.yaml").write_text(f"extends: {name}\n")
    (tmp_path / "copy.yaml").write_bytes((ROOT / "policies/presets" / f"{name}.yaml").read_bytes())
    assert run(["check", str(tmp_path), "--strict"]) == 0
    streams = capsys.readouterr()
    assert (streams.err, len(streams.out.splitlines())) == ("", 2)


def test_presets_and_documented_policies_fit_the_schema(capsys: pytest.CaptureFixture[str]) -> None:
    """What an editor would underline must not be in our own pages."""
    assert run(["schema"]) == 0
    validator = jsonschema.Draft202012Validator(json.loads(capsys.readouterr().out))
    texts = [file.read_text() for file in (ROOT / "policies/presets").glob("*.yaml")]
    for page in ("README.md", "docs/policies.md"):
        texts += re.findall(r"```yaml\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    policies = [data for text in texts if "upstreams" not in (data := yaml.safe_load(text))]
    assert len(policies) > len(preset_names())
    assert [error.message for data in policies for error in validator.iter_errors(data)] == []


def test_the_page_about_policies_names_every_key_and_preset(capsys: pytest.CaptureFixture[str]) -> None:
    """In its tables; what is not there would be found by accident."""
    assert run(["schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    models = [schema, *(schema["$defs"][name] for name in schema["$defs"] if name != "RatesSpec")]
    keys = {key for model in models for key in model.get("properties", {})}
    page = (ROOT / "docs/policies.md").read_text()
    named = set(re.findall(r"`([\w-]+)`", page))
    assert (keys | set(preset_names())) - named == set()
