"""The demo: one question about a long report, asked directly and through Elision, all on this machine.

Starts a small real model (`elision upstream`) and the proxy in front of it (`elision serve`), asks
with the official OpenAI client, shows both answers and what was saved, asks once more to show the
cache, and serves on until Ctrl-C. `--once` ends after the questions. Run it with `make demo`.
"""

import argparse
import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import openai
from rich import box
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
QUESTION = "How many steps does the stair of the lighthouse have?"
START_LIMIT_S = 300
STOP_LIMIT_S = 15
RECEIVED = "x-received-sha256"


@dataclass(frozen=True, slots=True)
class Server:
    """A child process that answers on a port of this machine, and where its log is written."""

    name: str
    process: subprocess.Popen[bytes]
    port: int
    ready_path: str
    log: Path

    @property
    def base_url(self) -> str:
        """What goes into a client's `base_url`."""
        return f"http://127.0.0.1:{self.port}/v1"

    def is_ready(self) -> bool:
        """Ask once whether it serves; raise SystemExit if it has ended."""
        if self.process.poll() is not None:
            raise SystemExit(f"{self.name} ended at once; it said:\n{self.log.read_text()}")
        with suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            connection.request("GET", self.ready_path)
            return connection.getresponse().status == http.HTTPStatus.OK
        return False

    def wait(self) -> None:
        """Wait until it serves; raise SystemExit if that takes too long."""
        end = time.monotonic() + START_LIMIT_S
        while not self.is_ready():
            if time.monotonic() > end:
                raise SystemExit(f"{self.name} was not ready in time; it said:\n{self.log.read_text()}")
            time.sleep(0.2)


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer as a client sees it. Times are in seconds from the request on."""

    text: str
    prompt_tokens: int
    first_s: float
    whole_s: float
    headers: Mapping[str, str]


def main() -> int:
    """Run the demo; return the process's exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--once", action="store_true", help="end after the questions")
    parser.add_argument("--port", type=int, default=8484, help="the proxy's port (%(default)s); 0: any")
    arguments = parser.parse_args()
    # Both end the demo with its children stopped, even where a shell has it start with Ctrl-C ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    console = Console(highlight=False, soft_wrap=True)
    finished = False
    try:
        with servers(console, arguments.port) as (upstream, proxy):
            good = compare(console, upstream, proxy)
            finished = True
            if not arguments.once:
                serve_on(console, proxy)
    except KeyboardInterrupt:
        console.print("Stopped.")
        return 0 if finished else 130
    return 0 if good else 1


@contextmanager
def servers(console: Console, port: int) -> Iterator[tuple[Server, Server]]:
    """Run the model and the proxy until the block ends, however it ends."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="elision-demo-")))
        behind = free_port()
        address = ("--host", "127.0.0.1", "--port")
        upstream = started(stack, folder, "upstream", ("upstream", *address, str(behind)), "/health")
        settings = ("--settings", str(HERE / "settings.yaml"), "--upstream", f"http://127.0.0.1:{behind}")
        command = ("serve", *settings, *address, str(port or free_port()))
        proxy = started(stack, folder, "proxy", command, "/elision/ready")
        with console.status("starting the model and the proxy (the first time: one minute more)"):
            upstream.wait()
            proxy.wait()
        yield upstream, proxy


def started(stack: ExitStack, folder: Path, name: str, command: tuple[str, ...], ready: str) -> Server:
    """Start `elision COMMAND`, whose last word is its port, in a process group of its own."""
    log = folder / f"{name}.log"
    # What the user has set for a proxy of their own is not for this one.
    environ = {key: value for key, value in os.environ.items() if not key.startswith("ELISION_")}
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "elision.proxy", *command],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env=environ,
            start_new_session=True,
        )
    stack.callback(stop, process)
    return Server(name, process, int(command[-1]), ready, log)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a server and all that it started; impatient users are not heard meanwhile."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_LIMIT_S)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def free_port() -> int:
    """Return a port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def compare(console: Console, upstream: Server, proxy: Server) -> bool:
    """Ask directly, through the proxy, and again; return whether all went as it should."""
    report = (HERE / "report.md").read_text(encoding="utf-8").strip()
    console.print(f"\nA report of {len(report.split()):,} words, then: [bold]{QUESTION}[/]\n")
    prompt = f"{report}\n\n{QUESTION}"
    direct = ask(console, "directly", upstream, prompt)
    through = ask(console, "through Elision", proxy, prompt)
    again = ask(console, "the same again", proxy, prompt)
    console.print(table({"directly": direct, "through Elision": through, "the same again": again}))
    console.print("What the proxy's headers told the client the second time:")
    for name, value in again.headers.items():
        if name.startswith("x-elision"):
            console.print(f"  {name}: {value}", markup=False)
    same = through.headers.get(RECEIVED) == again.headers.get(RECEIVED)
    repeated = again.headers.get("x-elision-cache") == "replay"
    console.print(f"\nThe model received the same bytes both times: {'yes' if same else 'NO'}.")
    console.print(f"The second time nothing had to be shortened: {'yes' if repeated else 'NO'}.")
    return same and repeated and through.prompt_tokens < direct.prompt_tokens


def ask(console: Console, how: str, server: Server, prompt: str) -> Reply:
    """Ask one server, showing the answer as it streams in."""
    console.print(f"[cyan]{how:>16}[/]  ", end="")
    begin = time.monotonic()
    # Only the base URL tells a client of OpenAI from a client of Elision.
    client = openai.OpenAI(
        base_url=server.base_url,
        api_key="none-needed-here",
        max_retries=0,
        http_client=openai.DefaultHttpxClient(trust_env=False),
    )
    with client:
        raw = client.chat.completions.with_raw_response.create(
            model="smollm2",
            messages=[{"role": "user", "content": prompt}],
            max_tokens=48,
            stream=True,
            stream_options={"include_usage": True},
        )
        pieces: list[str] = []
        first_s, prompt_tokens = 0.0, 0
        for chunk in raw.parse():
            prompt_tokens = chunk.usage.prompt_tokens if chunk.usage else prompt_tokens
            piece = chunk.choices[0].delta.content if chunk.choices else ""
            if piece:
                first_s = first_s or time.monotonic() - begin
                pieces.append(piece)
                console.print(piece, end="", markup=False)
    console.print()
    return Reply("".join(pieces), prompt_tokens, first_s, time.monotonic() - begin, dict(raw.headers))


def table(replies: Mapping[str, Reply]) -> Table:
    """Return the figures of all replies side by side."""
    shown = Table(box=box.SIMPLE)
    shown.add_column("")
    for how in replies:
        shown.add_column(how, justify="right")
    every = replies.values()
    shown.add_row("prompt tokens", *(f"{reply.prompt_tokens:,}" for reply in every))
    shown.add_row("seconds to the first word", *(f"{reply.first_s:.1f}" for reply in every))
    shown.add_row("seconds to the last", *(f"{reply.whole_s:.1f}" for reply in every))
    return shown


def serve_on(console: Console, proxy: Server) -> None:
    """Say how to use the proxy and show its log until the process is told to stop."""
    console.print("\nThe proxy goes on. Any client of OpenAI can use it now:\n")
    console.print(f"  export OPENAI_BASE_URL={proxy.base_url}", markup=False)
    console.print("  export OPENAI_API_KEY=none-needed-here", markup=False)
    console.print("\nCtrl-C ends it. What it does, it says here:\n")
    with proxy.log.open(encoding="utf-8") as log:
        log.seek(0, os.SEEK_END)
        while proxy.process.poll() is None:
            if line := log.readline():
                console.print(line, end="", markup=False)
            else:
                time.sleep(0.2)
    raise SystemExit(f"the proxy ended; it said:\n{proxy.log.read_text()}")


if __name__ == "__main__":
    sys.exit(main())
