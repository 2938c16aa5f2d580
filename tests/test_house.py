"""What the house promises of itself: sizes, one test file per source file, true documents.

Reads files and parses them; runs nothing. `make check` runs it with the linters.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("proxy", "policies", "compressors", "config", "evaluation", "training", "accounts")
CODE = (*ROOMS, "tests", "docs/examples", "benchmarks")

MAX_FUNCTION_LINES = 60
MAX_FILE_LINES = 500

# What may be larger than the limits, by `path` or `path::function`, with the reason. These lists
# may only shrink: an entry that is no longer needed fails its test, and a new one needs a better
# reason than "it grew".
LONG_FUNCTIONS: dict[str, str] = {}
LONG_FILES: dict[str, str] = {}

# Files with no behaviour of their own to test.
WITHOUT_TESTS = {"__init__.py", "__main__.py"}


class Function(NamedTuple):
    """A function or method, by the place that an exception names, and its length in lines."""

    place: str
    lines: int


def python_files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def functions(path: Path) -> Iterator[Function]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            yield Function(f"{relative(path)}::{node.name}", node.end_lineno - node.lineno + 1)


def too_long(sizes: dict[str, int], limit: int) -> dict[str, int]:
    return {place: size for place, size in sizes.items() if size > limit}


def room_table() -> dict[str, set[str]]:
    """Return the source files that docs/ARCHITECTURE.md names in its table of rooms, by room."""
    text = (ROOT / "docs/ARCHITECTURE.md").read_text(encoding="utf-8")
    table = text.split("\n## Rooms\n", 1)[1].split("\n## ", 1)[0]
    named: dict[str, set[str]] = {room: set() for room in ROOMS}
    room = ""
    for line in table.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) < 2 or cells[0] == "room" or set(cells[0]) == {"-"}:
            continue
        room = cells[0] or room
        named[room].update(re.findall(r"`([^`]+)`", cells[1]))
    return named


def source_names(room: str) -> set[str]:
    """Return a room's files as the table names them: modules without `.py`, other files whole."""
    files = [path for path in (ROOT / room).rglob("*") if path.suffix in {".py", ".yaml", ".json", ".gz"}]
    named = {path.relative_to(ROOT / room).as_posix().removesuffix(".py") for path in files}
    return {name for name in named if not name.endswith("__init__")}


def test_functions_stay_short() -> None:
    """No function is longer than 60 lines, but those that are listed with a reason."""
    sizes = {f.place: f.lines for path in python_files(*CODE) for f in functions(path)}
    assert set(too_long(sizes, MAX_FUNCTION_LINES)) == set(LONG_FUNCTIONS)


def test_files_stay_short() -> None:
    """No file of code is longer than 500 lines, but those that are listed with a reason."""
    sizes = {relative(p): len(p.read_text(encoding="utf-8").splitlines()) for p in python_files(*CODE)}
    assert set(too_long(sizes, MAX_FILE_LINES)) == set(LONG_FILES)


@pytest.mark.parametrize("room", ROOMS)
def test_every_source_file_has_its_test_file(room: str) -> None:
    """`room/name.py` is tested by `tests/room/test_name.py`, so that nobody has to search."""
    sources = [path for path in python_files(room) if path.name not in WITHOUT_TESTS]
    wanted = {f"tests/{relative(path.parent)}/test_{path.name}" for path in sources}
    missing = sorted(name for name in wanted if not (ROOT / name).is_file())
    assert missing == []


@pytest.mark.parametrize("room", ROOMS)
def test_every_test_file_tests_a_source_file(room: str) -> None:
    """A test file whose source file was moved or removed goes with it."""
    tests = python_files(f"tests/{room}")
    orphans = [
        relative(path)
        for path in tests
        if path.name.startswith("test_")
        and not (ROOT / path.parent.relative_to(ROOT / "tests") / path.name.removeprefix("test_")).is_file()
    ]
    assert orphans == []


@pytest.mark.parametrize("path", python_files("tests"), ids=relative)
def test_every_test_checks_something(path: Path) -> None:
    """A test function contains an assertion, or expects an error or a warning."""
    silent = [
        node.name
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and not re.search(r"\bassert\b|\braises\(|\bwarns\(", ast.unparse(node))
        and "assert_" not in ast.unparse(node)
    ]
    assert silent == []


@pytest.mark.parametrize("room", ROOMS)
def test_the_architecture_names_the_files_that_exist(room: str) -> None:
    """The table of rooms in docs/ARCHITECTURE.md is the list of source files, no more, no less."""
    named, existing = room_table()[room], source_names(room)
    assert sorted(named - existing) == [], "named there, not in the tree"
    assert sorted(existing - named) == [], "in the tree, not named there"


@pytest.mark.parametrize("page", sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]), ids=relative)
def test_documents_point_to_what_exists(page: Path) -> None:
    """Every relative link, and every path of the tree in backquotes, leads to a file or folder."""
    text = page.read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", text)
    broken = [link for link in links if not (page.parent / link).exists()]
    paths = re.findall(rf"`((?:{'|'.join(CODE)}|docs)/[\w./-]+)`", text)
    broken += [path for path in paths if not (ROOT / path).exists()]
    assert broken == []


def test_the_changelog_knows_this_version() -> None:
    """What is released is described; before a release it stands under Unreleased."""
    version = re.search(r'^version = "([^"]+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version is not None
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "## [Unreleased]" in changes or f"## [{version[1]}]" in changes
