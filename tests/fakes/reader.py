"""A reader on a real socket: answers chat completions by a function, and remembers what it was asked."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(slots=True)
class FakeReader:
    """What a reader does, and what it saw.

    Attributes:
        answer: from a prompt to what is said; None for what is no completion at all.
        statuses: what to answer the first requests with instead, in order.
        asked: bodies of all requests, in order of arrival.
        keys: their authorization headers.
        refusal: what it says where a status is not 200, beside the answer.
        url: its base URL, while it runs.
    """

    answer: Callable[[str], str | None]
    statuses: list[int] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    refusal: str = ""
    url: str = ""

    @property
    def prompts(self) -> list[str]:
        return [body["messages"][0]["content"] for body in self.asked]


@contextmanager
def reading(
    answer: Callable[[str], str | None], statuses: list[int] | None = None, refusal: str = ""
) -> Iterator[FakeReader]:
    """Run a reader on a port of this machine."""
    reader = FakeReader(answer, list(statuses or []), refusal=refusal)
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            with lock:
                reader.asked.append(body)
                reader.keys.append(self.headers.get("authorization"))
                status = reader.statuses.pop(0) if reader.statuses else 200
            content = reader.answer(body["messages"][0]["content"])
            said: dict[str, Any] = {
                "choices": [{"message": {"content": content}, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 7, "completion_tokens": 3},
            }
            if content is None:
                said = {"busy": "come back later"}
            if status != 200 and reader.refusal:
                said = {"error": {"message": reader.refusal}}
            right = self.path == "/v1/chat/completions"
            body_out = json.dumps(said if right else {"error": "no such path"}).encode()
            self.send_response(status if right else 404)
            self.send_header("content-length", str(len(body_out)))
            self.end_headers()
            self.wfile.write(body_out)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        reader.url = f"http://127.0.0.1:{server.server_port}/v1"
        try:
            yield reader
        finally:
            server.shutdown()
            thread.join()
