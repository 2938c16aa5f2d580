"""What the benchmark needs on this machine, made once and kept in .cache/bench/ (git ignores it).

Python peers get a virtual environment each, with the interpreter that runs the benchmark; the mock
and the load are compiled; nginx is the system's, or unpacked from its Debian package without being
installed. Whoever cannot be had raises `UnavailableError` with the reason.
"""

import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

CACHE = Path(__file__).parent.parent / ".cache" / "bench"
_MINUTES = 60
_INSTALL_LIMIT_S = 20 * _MINUTES


class UnavailableError(Exception):
    """A peer or tool that cannot be installed or started here; the message says why."""


def environment(name: str, requirements: Sequence[str]) -> Path:
    """Return the interpreter of a virtual environment that holds `requirements`.

    Raises:
        UnavailableError: they cannot be installed.
    """
    folder = CACHE / name
    stamp = folder / ".holds"
    wanted = "\n".join([platform.python_version(), *requirements])
    if not stamp.is_file() or stamp.read_text(encoding="utf-8") != wanted:
        run([sys.executable, "-m", "venv", str(folder)], f"a virtual environment for {name}")
        pip = [str(interpreter(name)), "-m", "pip", "install", "--quiet", "--no-input"]
        run([*pip, "--disable-pip-version-check", *requirements], f"installing {' '.join(requirements)}")
        stamp.write_text(wanted, encoding="utf-8")
    return interpreter(name)


def interpreter(name: str) -> Path:
    """Return the interpreter of an environment that `environment` has made."""
    return CACHE / name / "bin/python"


def installed_version(python: Path, package: str) -> str:
    """Return the version of a package in an environment."""
    asked = f"import importlib.metadata as m; print(m.version({package!r}))"
    return run([str(python), "-c", asked], f"asking for {package}'s version").strip()


def compiled(name: str) -> Path:
    """Return the program made of `benchmarks/NAME.c`.

    Raises:
        UnavailableError: there is no C compiler, or it refuses.
    """
    source, program = Path(__file__).with_name(f"{name}.c"), CACHE / name
    if not program.is_file() or program.stat().st_mtime < source.stat().st_mtime:
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            raise UnavailableError("a C compiler is needed: apt-get install gcc libc6-dev")
        CACHE.mkdir(parents=True, exist_ok=True)
        run([compiler, "-O2", "-o", str(program), str(source)], f"compiling {source.name}")
    return program


def nginx() -> Path:
    """Return an nginx program.

    Raises:
        UnavailableError: there is none, and no Debian package to take it from.
    """
    kept = CACHE / "nginx" / "usr/sbin/nginx"
    own = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
    if own or kept.is_file():
        return Path(own) if own else kept
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        raise UnavailableError("nginx is not installed, and this is no Debian to take it from")
    with tempfile.TemporaryDirectory(prefix="elision-bench-") as folder:
        try:
            run(["apt-get", "-qq", "download", "nginx"], "fetching nginx", Path(folder))
        except UnavailableError:
            run(["apt-get", "-qq", "update"], "asking for lists of packages")
            run(["apt-get", "-qq", "download", "nginx"], "fetching nginx", Path(folder))
        package = next(Path(folder).glob("nginx_*.deb"))
        run(["dpkg", "-x", str(package), str(CACHE / "nginx")], "unpacking nginx")
    run([str(kept), "-v"], "starting nginx")
    return kept


def run(words: Sequence[str], what: str, folder: Path | None = None) -> str:
    """Run a command to its end; return what it wrote.

    Raises:
        UnavailableError: it failed, or took longer than 20 minutes.
    """
    try:
        done = subprocess.run(  # noqa: S603  the commands are ours
            words,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=_INSTALL_LIMIT_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnavailableError(f"{what}: {error}") from error
    if done.returncode != 0:
        said = [line for line in done.stdout.splitlines() if line.strip() and "WARNING" not in line]
        raise UnavailableError(f"{what} failed: {said[-1].strip() if said else 'without a word'}")
    return done.stdout
