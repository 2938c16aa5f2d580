"""What was already done, on disk, so that a stopped run goes on where it was.

A store is a file of JSON lines, each with the key of what it answers: a digest of everything that
the result depends on, so that nothing stale is ever taken. Rows are only appended. The store of a
run holds texts: it belongs to whoever owns the data, not into a repository.
"""

import hashlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from elision.config.errors import ConfigError

Row = Mapping[str, object]


def key_of(*parts: object) -> str:
    """Return a digest of strings and numbers."""
    content = json.dumps(parts, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(content.encode()).hexdigest()


class Store:
    """Rows by key. A context manager: the file is open meanwhile, for this run alone.

    Args:
        file: made, with its folder, if it does not exist. A last line that a stopped run left
            unfinished is removed.
    Raises: ConfigError if the file cannot be used, or another run is using it.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._rows: dict[str, Row] = {}

    def __enter__(self) -> Self:
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._out = self._file.open("a+b")
            _lock(self._out)
        except BlockingIOError as error:
            self._out.close()
            raise ConfigError(
                [f"{self._file}: another run is using it; wait for it, or use another --out"]
            ) from error
        except OSError as error:
            raise ConfigError([f"{self._file}: cannot be written: {error.strerror}"]) from error
        self._out.seek(0)
        content = self._out.read()
        whole = content.rfind(b"\n") + 1
        self._out.truncate(whole)
        for at, line in enumerate(content[:whole].splitlines(), 1):
            try:
                row = json.loads(line)
                self._rows[row["key"]] = row
            except (ValueError, KeyError, TypeError) as error:
                self._out.close()
                raise ConfigError([f"{self._file}:{at}: no row of a run; use another --out"]) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._out.close()

    def get(self, key: str) -> Row | None:
        """Return the row of a key, None where there is none yet."""
        return self._rows.get(key)

    def put(self, key: str, row: Row) -> None:
        """Keep a row; it is on disk when this returns."""
        whole = {"key": key, **row}
        self._out.write(json.dumps(whole, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n")
        self._out.flush()
        self._rows[key] = whole


def _lock(file: BinaryIO) -> None:
    """Keep other runs away until the file is closed. Raises: BlockingIOError if one is using it."""
    if sys.platform != "win32":
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
