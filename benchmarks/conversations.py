"""Long conversations to measure with, made from what every Python brings along.

Prose is the language's own reference (`pydoc_data`), code the standard library's source, JSON and
logs are made up. Nothing is read from the network, and the same Python makes the same bodies.
"""

import argparse
import difflib
import inspect
import json
import random
import tarfile
from collections.abc import Iterator
from pydoc_data.topics import topics
from typing import Any

BYTES = 200_000
MESSAGES = 100

Message = dict[str, Any]


def conversation(turn: int = 0, size: int = BYTES, messages: int = MESSAGES) -> bytes:
    """Return a chat's body: instructions, documents with questions, tools' results, answers.

    Args:
        turn: told in the last message, so that no two bodies end alike.
        size: of the body in bytes, within a hundredth.
        messages: how many, the last one a question of the user.
    """
    material = _Material(size // messages)
    written = [{"role": "system", "content": material.prose(1.0)}]
    turns = material.turns()
    while len(written) < messages - 1:
        written.append(next(turns))
    room = size - len(_body(written))
    last = f"{material.prose_of(max(room - 300, 200))}\n\nWhat of this is new in turn {turn}?"
    return _body([*written, {"role": "user", "content": last}])


def _body(messages: list[Message]) -> bytes:
    return json.dumps({"model": "gpt-4o", "messages": messages, "temperature": 0.2}).encode()


class _Material:
    """Texts of many kinds, none of them twice.

    Args:
        mean: bytes of a message, on the average.
    """

    def __init__(self, mean: int) -> None:
        self._mean = mean
        self._prose = "\n\n".join(topics[name] for name in sorted(topics))
        self._code = "".join(inspect.getsource(module) for module in (argparse, difflib, tarfile))
        self._prose_at = self._code_at = 0
        self._random = random.Random(4)

    def turns(self) -> Iterator[Message]:
        """Yield messages as a conversation goes on: asked, looked up, found, answered."""
        results = (self._json, self._log, self.code)
        for number in range(10**6):
            asked = f"Context:\n\n{self.prose(1.6)}\n\nQuestion: what does point {number} mean for us?"
            yield {"role": "user", "content": asked}
            call = {"id": f"call_{number}", "type": "function", "function": {"name": "look"}}
            yield {"role": "assistant", "content": None, "tool_calls": [call]}
            found = results[number % len(results)](1.5)
            yield {"role": "tool", "tool_call_id": f"call_{number}", "content": found}
            yield {"role": "assistant", "content": self.prose(0.6)}

    def prose(self, share: float) -> str:
        """Return the next paragraphs of the reference, `share` of a message long."""
        return self.prose_of(int(share * self._mean))

    def prose_of(self, size: int) -> str:
        """Return the next `size` characters of the reference."""
        self._prose_at += size
        return self._prose[self._prose_at - size : self._prose_at].strip()

    def code(self, share: float) -> str:
        """Return the next lines of source."""
        size = int(share * self._mean)
        self._code_at += size
        return self._code[self._code_at - size : self._code_at]

    def _json(self, share: float) -> str:
        number = self._random.randrange
        rows = [
            {
                "id": number(10**6),
                "name": f"item-{number(999)}",
                "price": number(9999) / 100,
                "open": bool(n % 3),
            }
            for n in range(int(share * self._mean) // 75)
        ]
        return json.dumps({"rows": rows, "next": None}, indent=1)

    def _log(self, share: float) -> str:
        number = self._random.randrange
        lines = (
            f"2026-11-21T07:{n % 60:02d}:12.{number(999):03d}Z INFO worker-{number(8)} request "
            f"{number(16**8):08x} took {number(900)} ms"
            for n in range(int(share * self._mean) // 75)
        )
        return "\n".join(lines)
