"""The wheel holds the tree, the whole tree, and nothing outside `elision`.

A room or file that `pyproject.toml` forgets would be silently absent from the wheel, and a name such
as `config` at its top would overwrite other people's packages: both have happened to others.
"""

import os
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("proxy", "policies", "compressors", "config", "evaluation", "training", "accounts")
SHIPPED = {".py", ".yaml", ".json", ".gz", ".html", ".js", ".css", ".svg", ".txt", ".typed", ".onnx", ".md"}


def version() -> str:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return str(project["version"])


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a copy of what a clone has, so that nothing stale can slip in."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    unwanted = shutil.ignore_patterns("__pycache__")
    for room in ROOMS:
        shutil.copytree(ROOT / room, source / room, ignore=unwanted)
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, source)
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(source)]
    done = subprocess.run(build, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(out.glob("*.whl"))


def test_the_wheel_holds_every_file_of_the_rooms(wheel: Path) -> None:
    """Code, data and type markers of the seven rooms, each under `elision`, byte for byte."""
    tree = {
        f"elision/{path.relative_to(ROOT).as_posix()}": path.read_bytes()
        for room in ROOMS
        for path in (ROOT / room).rglob("*")
        if path.is_file() and path.suffix in SHIPPED
    }
    with zipfile.ZipFile(wheel) as archive:
        built = {name: archive.read(name) for name in archive.namelist() if ".dist-info/" not in name}
    assert sorted(built) == sorted(tree)
    assert built == tree


def test_the_rooms_hold_no_kind_of_file_that_the_wheel_forgets(wheel: Path) -> None:
    """A new kind of data file must be named in pyproject.toml, and here."""
    with zipfile.ZipFile(wheel) as archive:
        built = set(archive.namelist())
    kept = [path for room in ROOMS for path in (ROOT / room).rglob("*") if path.is_file()]
    files = {f"elision/{path.relative_to(ROOT).as_posix()}" for path in kept if path.suffix != ".pyc"}
    assert files - built == set()


def test_nothing_but_elision_lands_in_site_packages(wheel: Path) -> None:
    """No `config`, no `proxy`: those names belong to others."""
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.split("/")[0] for name in archive.namelist()}
    assert tops == {"elision", f"elision-{version()}.dist-info"}


@pytest.mark.parametrize("name", ["LICENSE", "NOTICE"])
def test_the_licences_are_in_the_wheel(wheel: Path, name: str) -> None:
    """Whoever has the wheel has our licence, and the notices of what we took from others."""
    with zipfile.ZipFile(wheel) as archive:
        [held] = [held for held in archive.namelist() if held.endswith(f"/licenses/{name}")]
        assert archive.read(held) == (ROOT / name).read_bytes()


def test_the_installed_wheel_runs(wheel: Path, tmp_path: Path) -> None:
    """In an environment of its own, `elision --version` answers from the wheel, not from the tree."""
    home = tmp_path / "venv"
    venv.create(home, with_pip=False, symlinks=True)
    purelib = next((home / "lib").glob("python*")) / "site-packages"
    install = [sys.executable, "-m", "pip", "--python", str(home / "bin/python"), "install", "--quiet"]
    subprocess.run([*install, "--no-deps", "--no-index", str(wheel)], check=True, timeout=120)
    # Dependencies come from this environment, behind the wheel's own files; its editable install
    # of the tree, which is a hook of a .pth file, does not come with them.
    outside = {**os.environ, "PYTHONPATH": next(p for p in sys.path if p.endswith("site-packages"))}

    def told(*command: str) -> str:
        done = subprocess.run(
            command, env=outside, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    where = "import elision.proxy.cli as cli; print(cli.__file__)"
    assert told(str(home / "bin/python"), "-c", where).startswith(str(purelib))
    assert told(str(home / "bin/elision"), "--version").endswith(version())
