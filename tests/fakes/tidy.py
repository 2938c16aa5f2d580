"""A policy that tidies JSON, a prompt that it shortens, and an upstream that says what it received."""

import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

from fakes.raw_upstream import Received, answer

POLICY = """
name: tidy
deadline_s: 5
rules:
  - when: {segment: context}
    use: {method: lossless}
"""
ROWS = json.dumps([{"id": n, "name": f"row {n}"} for n in range(300)], indent=8)
BODY = json.dumps(
    {"model": "gpt-4o", "messages": [{"role": "user", "content": f"{ROWS}\n\nHow many rows are there?"}]}
).encode()


async def echo(request: Received) -> AsyncIterator[bytes]:
    """Say what was received, as a chat completion."""
    message = {"role": "assistant", "content": hashlib.sha256(request.body).hexdigest()}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    completion = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": choices}
    yield answer(json.dumps(completion).encode())


def policies(folder: Path) -> str:
    (folder / "default.yaml").write_text(POLICY)
    return str(folder)


def next_turn(first: bytes, answer_text: str = "Three hundred.") -> bytes:
    """Return the body of the turn after the one with a body, which was answered."""
    body = json.loads(first)
    body["messages"] += [
        {"role": "assistant", "content": answer_text},
        {"role": "user", "content": "And how many columns?"},
    ]
    return json.dumps(body).encode()
