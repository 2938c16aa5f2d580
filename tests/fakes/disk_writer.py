"""Another process that uses a store's file; started as a script: `FILE write` or `FILE add COUNT`.

`write` writes batches of ten for ever, and says the number of each that is down; `add` says which of
COUNT keys it was the first to add.
"""

import sqlite3
import sys
import time
from pathlib import Path

from elision.proxy.disk_file import DiskFile, Item
from elision.proxy.store import Kind, make_key, scope_of

BATCH = 10


def key_of(number: int, place: int = 0) -> bytes:
    return make_key(scope_of("a"), Kind.MESSAGE, number.to_bytes(16, "big") + bytes([place]))


def items_of(number: int, *, only_new: bool = False) -> list[Item]:
    """Return a batch whose values say which it is."""
    ends = time.time() + 3600
    value = number.to_bytes(8, "big") * 40
    return [Item(key_of(number, place), value, ends, only_new) for place in range(BATCH)]


def _write(file: DiskFile) -> None:
    number = time.time_ns()
    while True:
        number += 1
        file.write(items_of(number))
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()


def _add(file: DiskFile, count: int) -> None:
    ends = time.time() + 3600
    won = [number for number in range(count) if file.add(Item(key_of(number), b"", ends, True))]
    sys.stdout.write(" ".join(map(str, won)) + "\n")


if __name__ == "__main__":
    store = DiskFile(Path(sys.argv[1]), 64 << 20, 30.0)
    try:
        if sys.argv[2] == "write":
            _write(store)
        else:
            _add(store, int(sys.argv[3]))
        store.close()
    except sqlite3.Error as problem:
        sys.exit(str(problem))
