"""Reading what a client sends."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import cast

import pytest
from aiohttp import web

from elision.proxy.client_body import read_up_to


@dataclass
class Content:
    """A body that comes in pieces."""

    pieces: list[bytes] = field(default_factory=list)

    async def readany(self) -> bytes:
        """Return the next piece, b"" at the end."""
        await asyncio.sleep(0)
        return self.pieces.pop(0) if self.pieces else b""

    async def iter_any(self) -> AsyncIterator[bytes]:
        """Yield what is left."""
        while piece := await self.readany():
            yield piece


@dataclass
class Request:
    """All that is looked at of a request."""

    content: Content


@pytest.mark.parametrize(("limit", "whole"), [(5, False), (6, True), (7, True)])
async def test_a_body_up_to_the_limit_is_read_and_a_larger_one_streams(limit: int, whole: bool) -> None:
    """No byte is lost either way."""
    request = cast(web.BaseRequest, Request(Content([b"ab", b"cd", b"ef"])))
    body = await read_up_to(request, limit)
    assert isinstance(body, bytes) is whole
    pieces = [body] if isinstance(body, bytes) else [piece async for piece in body]
    assert b"".join(pieces) == b"abcdef"
