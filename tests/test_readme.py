"""What the README shows is true: its policy loads, its commands, headers and methods exist."""

import re
from dataclasses import fields
from pathlib import Path

import typer.main

from elision.compressors.registry import method_names
from elision.config.settings import load_settings, with_upstreams
from elision.config.upstreams import UpstreamEntry
from elision.policies.model import KEEP, Mode
from elision.proxy.cli import app
from elision.proxy.policy_source import load_policies

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return README.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def rows(title: str) -> list[list[str]]:
    """Return the cells of a section's table, without its head."""
    lines = [line for line in section(title).splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_policy_is_a_valid_one(tmp_path: Path) -> None:
    """Whoever copies it has a policy that loads."""
    [text] = re.findall(r"```yaml\n(.*?)```", section("A policy"), re.DOTALL)
    (tmp_path / "default.yaml").write_text(text, encoding="utf-8")
    policy = load_policies(tmp_path, method_names()).default
    assert policy is not None
    assert (policy.name, policy.mode, len(policy.rules)) == ("careful", Mode.ENFORCE, 2)


def test_the_upstreams_are_valid_ones(tmp_path: Path) -> None:
    """Whoever copies them has a settings file that serves."""
    [text] = re.findall(r"```yaml\n(.*?)```", section("Several upstreams"), re.DOTALL)
    (tmp_path / "settings.yaml").write_text(text, encoding="utf-8")
    settings = load_settings(tmp_path / "settings.yaml", {}, {})
    upstreams = with_upstreams(settings, {"AZURE_KEY": "a", "LOCAL_KEY": "b"}).upstreams
    assert [entry.headers for entry in upstreams.values()] == [
        {},
        {"api-key": "a"},
        {"Authorization": "Bearer b"},
    ]
    keys = {field.name for field in fields(UpstreamEntry)}
    named = {key for row in rows("Several upstreams") for key in re.findall(r"`(\w+)`", row[0])}
    assert named <= keys


def test_the_table_of_methods_names_those_that_exist() -> None:
    """No method is claimed that is not there, and none is kept from the reader."""
    named = [row[0].strip("`") for row in rows("A policy")]
    assert sorted(named) == sorted([KEEP, *method_names()])


def test_the_headers_shown_are_ones_that_are_documented() -> None:
    """By the page that has all of them."""
    shown = re.findall(r"^(x-elision-[\w-]+):", section("What answers say"), re.MULTILINE)
    page = (ROOT / "docs/headers.md").read_text(encoding="utf-8")
    assert shown
    assert [name for name in shown if f"| `{name}` |" not in page] == []


def test_the_table_of_commands_names_commands_and_flags_that_exist() -> None:
    """Every command is there, and every flag named belongs to its command."""
    commands = getattr(typer.main.get_command(app), "commands")  # noqa: B009 - not in typer's types
    flags = {
        name: {flag for parameter in command.params for flag in parameter.opts}
        for name, command in commands.items()
    }
    table = rows("The command line")
    named = {row[0].strip("`").split()[1]: set(re.findall(r"--[a-z]+", " ".join(row))) for row in table}
    assert set(named) == set(flags)
    assert {name: wanted - flags[name] for name, wanted in named.items() if wanted - flags[name]} == {}


def test_every_make_command_in_the_documents_exists() -> None:
    """`make X` in a document is a target of the Makefile."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/*.md")]
    told = {name for page in pages for name in re.findall(r"(?:^|`)make ([a-z]+)", page.read_text(), re.M)}
    assert told - targets == set()
