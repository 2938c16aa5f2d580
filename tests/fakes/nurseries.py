"""Nurseries of compressor processes that do what the text says.

Started by a script rather than forked: a test's process has threads.
"""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from elision.proxy.nursery import Nursery

COMMAND = (sys.executable, str(Path(__file__).with_name("compressor_main.py")))
"""Of one such process by itself."""


@contextmanager
def nursery(patience_s: float = 120.0) -> Iterator[Nursery]:
    """Keep a nursery until the block ends."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        number = theirs.fileno()
        process = subprocess.Popen((*COMMAND, str(number)), pass_fds=(number,), stdin=subprocess.DEVNULL)
    begun = Nursery(ours, process.pid, patience_s=patience_s)
    try:
        yield begun
    finally:
        begun.close()
        process.wait()
