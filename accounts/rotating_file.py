"""A file of lines that only grows, until it is large enough: then it becomes `NAME.1`, `NAME.2` and so on.

For one writer. What is appended is there whole or not at all: where the disk takes but a part, the
part is taken back. Readable to its owner alone, since lines may hold texts.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path


class RotatingFile:
    """Appends lines.

    Attributes:
        lines: how many were written.

    Args:
        path: of the newest file; opened when something is appended.
        max_bytes: beyond this a new file begins; a line that is larger has one of its own.
        files: so many older ones are kept.
    """

    def __init__(self, path: Path, max_bytes: int, files: int) -> None:
        self.path = path
        self._max_bytes = max_bytes
        self._files = files
        self._descriptor: int | None = None
        self.lines = 0
        self._size = 0

    def append(self, lines: Sequence[bytes]) -> None:
        """Append lines, each with its end.

        Raises: OSError if some of the last, or all, could not be written; `lines` says how many were.
        """
        self._open()
        batch: list[bytes] = []
        size = self._size
        for line in lines:
            if size and size + len(line) > self._max_bytes:
                self._write(batch)
                batch, size = [], 0
                self._rotate()
            batch.append(line)
            size += len(line)
        self._write(batch)

    def close(self) -> None:
        """Let go of the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _open(self) -> None:
        """Open the file, anew where somebody has moved it away."""
        if self._descriptor is not None:
            with suppress(FileNotFoundError):
                mine, there = os.fstat(self._descriptor), self.path.stat()
                if (mine.st_dev, mine.st_ino) == (there.st_dev, there.st_ino):
                    return
            self.close()
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self._descriptor = os.open(self.path, flags, 0o600)
        self._size = os.fstat(self._descriptor).st_size
        if self._size and os.pread(self._descriptor, 1, self._size - 1) != b"\n":
            self._write([b"\n"], lines=0)  # the last line of a writer that was killed stays broken, and alone

    def _write(self, batch: Sequence[bytes], lines: int | None = None) -> None:
        if self._descriptor is None:
            raise ValueError("the file is not open")
        data, done = b"".join(batch), 0
        try:
            while done < len(data):
                done += os.write(self._descriptor, data[done:])
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._descriptor, self._size)
            self.close()
            raise
        self._size += done
        self.lines += len(batch) if lines is None else lines

    def _rotate(self) -> None:
        """Make room for a new file."""
        self.close()
        names = [self.path, *(Path(f"{self.path}.{number}") for number in range(1, self._files + 1))]
        names[-1].unlink(missing_ok=True)
        for older, newer in zip(reversed(names), list(reversed(names))[1:], strict=False):
            with suppress(FileNotFoundError):
                newer.replace(older)
        self._open()
