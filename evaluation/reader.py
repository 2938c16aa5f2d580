"""Asking a reader: any endpoint that speaks OpenAI's chat completions, at temperature 0.

This module owns requests, patience and retries; httpx is imported when a reader is first asked.
Prompts come in, answers go to the store as they arrive, so that what was paid for is never lost.
"""

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from elision.config.errors import ConfigError
from elision.evaluation.compression import Tick
from elision.evaluation.errors import PackageMissing, ReaderFailed
from elision.evaluation.store import Row, Store, key_of

if TYPE_CHECKING:
    import httpx

_TRY_LATER = frozenset((408, 409, 425, 429, 500, 502, 503, 504, 529))
_LONGEST_PAUSE_S = 60.0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Who is asked, and how patiently.

    Attributes:
        url: base URL, `http://127.0.0.1:8080/v1` for instance.
        model: as the endpoint names it.
        key: sent as a bearer token; empty: none.
        at_once: requests under way at once.
        timeout_s: the longest wait for one answer.
        tries: how often a request is sent before it counts as failed.
        pause_s: before the second try; doubled before each further one, unless the endpoint says.
    """

    url: str
    model: str
    key: str = ""
    at_once: int = 4
    timeout_s: float = 300.0
    tries: int = 5
    pause_s: float = 1.0

    @property
    def completions(self) -> str:
        return self.url.rstrip("/").removesuffix("/chat/completions") + "/chat/completions"

    @property
    def is_here(self) -> bool:
        """Whether the reader runs on this machine, so that asking costs nobody anything."""
        host = urlsplit(self.url).hostname or ""
        try:
            return ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"

    def check(self) -> None:
        """Refuse what is no URL or model. Raises: ConfigError."""
        parts = urlsplit(self.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ConfigError([f"--reader: must be a URL such as http://127.0.0.1:8080/v1, not {self.url!r}"])
        if not self.model:
            raise ConfigError(["--reader-model: say which model of the reader is asked"])


@dataclass(frozen=True, slots=True)
class Ask:
    """One prompt for a reader."""

    prompt: str
    answer_tokens: int

    def key(self, endpoint: Endpoint) -> str:
        """Return the key of its answer; where the model runs does not matter."""
        return key_of("answer", endpoint.model, self.prompt, self.answer_tokens)


def unanswered(asks: Iterable[Ask], endpoint: Endpoint, store: Store) -> list[Ask]:
    """Return the different prompts that the store has no answer to."""
    return [ask for ask in dict.fromkeys(asks) if store.get(ask.key(endpoint)) is None]


def answer_of(ask: Ask, endpoint: Endpoint, store: Store) -> str:
    """Return an answer that the store has. Raises: KeyError."""
    row = store.get(ask.key(endpoint))
    if row is None:
        raise KeyError(f"no answer to {ask.prompt[:60]!r}")
    return str(row["text"])


def read(asks: Sequence[Ask], endpoint: Endpoint, store: Store, tick: Tick) -> None:
    """Ask everything, several at once, and keep each answer when it comes.

    Raises: PackageMissing without httpx; ReaderFailed where the endpoint refuses or stays away.
    """
    try:
        import httpx
    except ImportError as error:
        raise PackageMissing("a reader needs httpx: pip install 'elision[eval]'") from error

    async def all_of_them() -> None:
        headers = {"authorization": f"Bearer {endpoint.key}"} if endpoint.key else {}
        async with httpx.AsyncClient(
            headers=headers, timeout=endpoint.timeout_s, trust_env=not endpoint.is_here
        ) as client:
            asking = _Asking(client, endpoint, store, tick)
            line = iter(asks)
            async with asyncio.TaskGroup() as group:
                for _ in range(min(endpoint.at_once, len(asks))):
                    group.create_task(asking.work(line))

    try:
        asyncio.run(all_of_them())
    except* ReaderFailed as failed:
        raise next(error for error in _leaves(failed) if isinstance(error, ReaderFailed)) from None


class _Asking:
    """What the requests of one run share."""

    def __init__(self, client: "httpx.AsyncClient", endpoint: Endpoint, store: Store, tick: Tick) -> None:
        self._client, self._endpoint, self._store, self._tick = client, endpoint, store, tick

    async def work(self, line: Iterable[Ask]) -> None:
        """Take prompts from the line that all workers share until it is empty."""
        for ask in line:
            self._store.put(ask.key(self._endpoint), await self._answer(ask))
            self._tick(1)

    async def _answer(self, ask: Ask) -> Row:
        body = {
            "model": self._endpoint.model,
            "messages": [{"role": "user", "content": ask.prompt}],
            "temperature": 0,
            "max_tokens": ask.answer_tokens,
        }
        began = time.perf_counter()
        answer = await self._patiently(body)
        return {"model": self._endpoint.model, **answer, "seconds": time.perf_counter() - began}

    async def _patiently(self, body: Row) -> Row:
        import httpx

        pause, why = self._endpoint.pause_s, ""
        for attempt in range(self._endpoint.tries):
            if attempt:
                await asyncio.sleep(min(pause, _LONGEST_PAUSE_S))
                pause *= 2
            try:
                response = await self._client.post(self._endpoint.completions, json=body)
            except httpx.TransportError as error:
                why = f"{type(error).__name__}: {error}".rstrip(": ")
                continue
            if response.status_code not in _TRY_LATER:
                return self._content(response)
            why = f"status {response.status_code}"
            pause = max(pause, _asked_pause(response))
        tries = self._endpoint.tries
        raise ReaderFailed(
            f"{self._endpoint.url}: no answer after {tries} tries ({why}); "
            "start the reader, or wait, then run the same command again: answers so far are kept"
        )

    def _content(self, response: "httpx.Response") -> Row:
        where = self._endpoint.completions
        if response.status_code != 200:
            said = response.text[:200].strip()
            raise ReaderFailed(f"{where}: status {response.status_code}: {said}")
        try:
            body = response.json()
            [choice, *_] = body["choices"]
            text, usage = choice["message"]["content"], body.get("usage") or {}
            return {
                "text": text or "",
                "finish": choice.get("finish_reason"),
                "prompt_tokens": usage.get("prompt_tokens"),
                "completion_tokens": usage.get("completion_tokens"),
            }
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ReaderFailed(f"{where}: what it said is no chat completion") from error


def _asked_pause(response: "httpx.Response") -> float:
    asked = response.headers.get("retry-after", "")
    return float(asked) if asked.replace(".", "", 1).isdigit() else 0.0


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterable[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
