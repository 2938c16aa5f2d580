"""A process from which others are forked, so that what was loaded before is in memory once for all.

`begin` forks it from a process that has no threads yet; it makes none itself, so that forking from it
is safe at any later time, whatever runs in the proxy by then. It does three things: it forks a process
when the proxy asks, says how that process ended, and ends when the proxy does. It decides nothing, and
nobody depends on it: who cannot have a process from here starts one plainly.

For each process there is a line, a socket pair: over it come the process's id with a descriptor that
stands for it (a pidfd), and in the end its exit code. Linux only.
"""

import asyncio
import ctypes
import gc
import os
import select
import signal
import socket as sockets
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from types import MappingProxyType
from typing import NoReturn

from elision.compressors.base import TokenCounter
from elision.compressors.memory import trim

UNKNOWN = 255
"""The exit code of a process of which nobody can say how it ended, as in `multiprocessing`."""
_NAME, _NAME_OF_BORN = "elision-nursery", "worker_process"
_SET_NAME = 15
_MESSAGE_BYTES = 1 << 16
_REPORT_S = 5.0


class NurseryLostError(Exception):
    """The nursery has ended, or does not answer."""


class Nursling:
    """A process that was forked in the nursery; to its keeper what a subprocess of asyncio is.

    Args:
        pid: its id.
        handle: a pidfd; closed when the process has been waited for.
        line: over which its exit code comes.
        stdin: the writing end of its standard input, by whose end it knows that its keeper is gone.
    """

    def __init__(self, pid: int, handle: int, line: sockets.socket, stdin: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._handle = handle
        self._line = line
        self._stdin = stdin

    def kill(self) -> None:
        """End it if it has not ended; no other process can be hit, whatever became of its id."""
        if self.returncode is None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)

    async def wait(self) -> int:
        """Return its exit code when it has ended, -N where signal N ended it."""
        if self.returncode is None:
            await _readable(self._handle)
            self.returncode = await self._code()
            self._line.close()
            os.close(self._handle)
            os.close(self._stdin)
        return self.returncode

    async def _code(self) -> int:
        with suppress(TimeoutError, OSError):
            async with asyncio.timeout(_REPORT_S):
                await _readable(self._line.fileno())
            if told := self._line.recv(_MESSAGE_BYTES):
                return int(told)
        return self._own_code()

    def _own_code(self) -> int:
        """Return the code of a child: without a nursery, process 1 inherits it, and that may be this one."""
        with suppress(ChildProcessError):
            if ended := os.waitid(os.P_PIDFD, self._handle, os.WEXITED | os.WNOHANG):
                return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status
        return UNKNOWN


class Nursery:
    """The nursery as the process sees it that began it.

    Args:
        control: over which it is asked.
        pid: its process id; a child of this process.
        counters: of tokens, by encoding, that were loaded before it began and are therefore shared.
        patience_s: how long to wait for a process.
    """

    def __init__(
        self,
        control: sockets.socket,
        pid: int,
        counters: Mapping[str, TokenCounter] = MappingProxyType({}),
        patience_s: float = 30.0,
    ) -> None:
        self.pid = pid
        self.counters = counters
        self._control = control
        self._control.setblocking(False)
        self._patience_s = patience_s

    async def bear(self, argument: str) -> Nursling:
        """Have a process forked that does with the argument what `begin` was told.

        Raises:
            NurseryLostError: there is nobody, or no answer in time.
            OSError: the system has no room for another process at this moment.
        """
        with ExitStack() as unless_born:
            line, theirs = sockets.socketpair(sockets.AF_UNIX, sockets.SOCK_SEQPACKET)
            unless_born.callback(line.close)
            reading, writing = os.pipe()
            unless_born.callback(os.close, writing)
            line.setblocking(False)
            try:
                sockets.send_fds(self._control, [argument.encode()], [reading, theirs.fileno()])
            except OSError as error:
                raise NurseryLostError(f"cannot be asked: {error.strerror}") from error
            finally:
                os.close(reading)
                theirs.close()
            told, handle = await self._answer(line)
            if handle is None:
                raise OSError(told, os.strerror(told))
            unless_born.pop_all()
            return Nursling(told, handle, line, writing)

    async def _answer(self, line: sockets.socket) -> tuple[int, int | None]:
        """Return a process's id and handle; or the number of the error with which there is none."""
        try:
            async with asyncio.timeout(self._patience_s):
                await _readable(line.fileno())
            told, handles, _, _ = sockets.recv_fds(line, _MESSAGE_BYTES, 1)
        except (OSError, TimeoutError) as error:
            raise NurseryLostError("does not answer") from error
        if not told:
            raise NurseryLostError("has ended")
        return int(told), handles[0] if handles else None

    def close(self) -> None:
        """End it, once; who was born there lives on until the end of its standard input."""
        if self._control.fileno() < 0:
            return  # its id may be another's by now
        self._control.close()
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)


def may_begin() -> bool:
    """Whether a nursery can be forked here: the system knows pidfds, and this process has no threads yet."""
    # Python has each of them only where it was built on a system that does.
    known = hasattr(os, "pidfd_open") and hasattr(os, "P_PIDFD") and hasattr(signal, "pidfd_send_signal")
    if sys.platform != "linux" or not known or len(list(Path("/proc/self/task").iterdir())) > 1:
        return False
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError:
        return False
    return True


def begin(be: Callable[[str], object], counters: Mapping[str, TokenCounter]) -> Nursery | None:
    """Fork the nursery; None where that cannot be.

    Args:
        be: what a process is that is born there, given the argument of `Nursery.bear`; with its return
            the process ends.
        counters: see `Nursery`.
    """
    if not may_begin():
        return None
    ours, theirs = sockets.socketpair(sockets.AF_UNIX, sockets.SOCK_SEQPACKET)
    # What the collector never looks at, it never writes to: such pages stay one for all.
    gc.collect()
    gc.freeze()
    trim()
    try:
        pid = os.fork()
    except OSError:
        ours.close()
        theirs.close()
        return None
    if not pid:
        ours.close()
        _end_after(lambda: tend(theirs, be))
    theirs.close()
    return Nursery(ours, pid, counters)


def tend(control: sockets.socket, be: Callable[[str], object]) -> None:
    """Be the nursery until nobody can ask any more: fork processes when asked, and tell how they end."""
    for file in list(Path("/proc/self/fd").iterdir()):  # the operator's, and what was open before
        if int(file.name) > 2 and int(file.name) != control.fileno():
            with suppress(OSError):
                os.close(int(file.name))
    # A terminal, or whoever stops a service, signals all processes; when to end is the proxy's to say.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    _be_called(_NAME)
    _Nurse(control, be).work()


class _Nurse:
    """The nursery at work: one thread, which waits for questions and for ends of processes."""

    def __init__(self, control: sockets.socket, be: Callable[[str], object]) -> None:
        self._control = control
        self._be = be
        self._born: dict[int, tuple[int, sockets.socket]] = {}
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)

    def work(self) -> None:
        """Answer until the other end of `control` is closed."""
        while True:
            for number, _ in self._poll.poll():
                if number in self._born:
                    self._tell_end(number)
                    continue
                argument, given, _, _ = sockets.recv_fds(self._control, _MESSAGE_BYTES, 2)
                if len(given) != 2:
                    return
                self._bear(argument.decode(), given[0], sockets.socket(fileno=given[1]))

    def _bear(self, argument: str, stdin: int, line: sockets.socket) -> None:
        try:
            pid = os.fork()
        except OSError as error:
            _tell(line, error.errno or 0)
            line.close()
            os.close(stdin)
            return
        if not pid:
            _end_after(lambda: self._live(argument, stdin, line))
        os.close(stdin)
        handle = os.pidfd_open(pid)
        self._born[handle] = (pid, line)
        self._poll.register(handle, select.POLLIN)
        _tell(line, pid, handle)

    def _live(self, argument: str, stdin: int, line: sockets.socket) -> None:
        """Be the process that was born, without what is the nursery's."""
        os.dup2(stdin, 0)
        os.close(stdin)
        line.close()
        self._control.close()
        for handle, (_, other) in self._born.items():
            os.close(handle)
            other.close()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        _be_called(_NAME_OF_BORN)
        self._be(argument)

    def _tell_end(self, handle: int) -> None:
        pid, line = self._born.pop(handle)
        self._poll.unregister(handle)
        os.close(handle)
        _, status = os.waitpid(pid, 0)
        _tell(line, os.waitstatus_to_exitcode(status))
        line.close()


def _end_after(work: Callable[[], object]) -> NoReturn:
    """Do what a forked process is for, and end it: with what was under way its parent goes on."""
    try:
        work()
        os._exit(0)
    except BaseException:  # noqa: BLE001  whatever it is, nobody above may catch it
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(1)


def _tell(line: sockets.socket, number: int, *handles: int) -> None:
    """Send a number, and descriptors, to whoever may have stopped listening."""
    with suppress(OSError):
        sockets.send_fds(line, [b"%d" % number], handles)


def _be_called(name: str) -> None:
    """Set the process's name, which `ps` and `top` show; its command line stays the proxy's."""
    ctypes.CDLL(None).prctl(_SET_NAME, name.encode(), 0, 0, 0)


async def _readable(number: int) -> None:
    """Wait until a descriptor can be read, or has come to its end."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(number, _wake, ready)
    try:
        await ready
    finally:
        loop.remove_reader(number)


def _wake(ready: "asyncio.Future[None]") -> None:
    if not ready.done():
        ready.set_result(None)
