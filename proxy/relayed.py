"""An upstream's answer on its way to the client: its own headers, and none of aiohttp's."""

from aiohttp import web


class RelayedResponse(web.StreamResponse):
    """A response that carries the upstream's headers and none of aiohttp's own."""

    async def _prepare_headers(self) -> None:
        absent = [name for name in ("Content-Type", "Date", "Server") if name not in self.headers]
        await super()._prepare_headers()
        for name in absent:
            self.headers.pop(name, None)
