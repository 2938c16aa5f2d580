"""Asking a reader: any endpoint that speaks OpenAI's chat completions, at temperature 0 unless told.

This module owns requests, patience and retries; httpx is imported when a reader is first asked.
Prompts come in, answers go to the store as they arrive, so that what was paid for is never lost.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
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
# What bounds an answer: the field that all servers know, and the one that OpenAI's later models want.
_LIMIT, _LATER_LIMIT = "max_tokens", "max_completion_tokens"


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

    def check(self, flags: tuple[str, str] = ("--reader", "--reader-model")) -> None:
        """Refuse what is no URL or model.

        Args:
            flags: of the command line, that said the URL and the model.
        Raises: ConfigError.
        """
        parts, (url, model) = urlsplit(self.url), flags
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ConfigError([f"{url}: must be a URL such as http://127.0.0.1:8080/v1, not {self.url!r}"])
        if not self.model:
            raise ConfigError([f"{model}: say which model is asked"])


@dataclass(frozen=True, slots=True)
class Ask:
    """One prompt for a reader.

    Attributes:
        prompt: what the user's message says.
        answer_tokens: of the answer, at most.
        temperature: 0 for the likeliest answer.
    """

    prompt: str
    answer_tokens: int
    temperature: float = 0

    def key(self, endpoint: Endpoint) -> str:
        """Return the key of its answer; where the model runs does not matter."""
        warm = (self.temperature,) if self.temperature else ()
        return key_of("answer", endpoint.model, self.prompt, self.answer_tokens, *warm)


Lost = Callable[[Ask, ReaderFailed], None]
"""Told of a prompt that got no answer, and why; raises to stop, returns to go on with the others."""


def unanswered(asks: Iterable[Ask], endpoint: Endpoint, store: Store) -> list[Ask]:
    """Return the different prompts that the store has no answer to."""
    return [ask for ask in dict.fromkeys(asks) if store.get(ask.key(endpoint)) is None]


def answer_of(ask: Ask, endpoint: Endpoint, store: Store) -> str:
    """Return an answer that the store has. Raises: KeyError."""
    row = store.get(ask.key(endpoint))
    if row is None:
        raise KeyError(f"no answer to {ask.prompt[:60]!r}")
    return str(row["text"])


def stop_at_once(_ask: Ask, error: ReaderFailed) -> None:
    """Let the first prompt without an answer be the last one asked. Raises: ReaderFailed."""
    raise error


def read(
    asks: Sequence[Ask], endpoint: Endpoint, store: Store, tick: Tick, lost: Lost = stop_at_once
) -> None:
    """Ask everything, several at once, and keep each answer when it comes.

    Args:
        asks: what is asked.
        endpoint: who.
        store: where answers are kept.
        tick: told of each answer.
        lost: told of each prompt that gets none.
    Raises: PackageMissing without httpx; ReaderFailed where the endpoint refuses or stays away and
        `lost` lets that be the end.
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
            asking = _Asking(client, endpoint, store, (tick, lost))
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

    def __init__(
        self, client: "httpx.AsyncClient", endpoint: Endpoint, store: Store, told: tuple[Tick, Lost]
    ) -> None:
        self._client, self._endpoint, self._store = client, endpoint, store
        self._tick, self._lost = told
        self._limit = _LIMIT

    async def work(self, line: Iterable[Ask]) -> None:
        """Take prompts from the line that all workers share until it is empty."""
        for ask in line:
            try:
                answer = await self._answer(ask)
            except ReaderFailed as error:
                self._lost(ask, error)
                continue
            self._store.put(ask.key(self._endpoint), answer)
            self._tick(1)

    async def _answer(self, ask: Ask) -> Row:
        body: dict[str, object] = {
            "model": self._endpoint.model,
            "messages": [{"role": "user", "content": ask.prompt}],
            "temperature": ask.temperature,
            # Nothing is cut off the tail: OpenAI's default, and not every server's.
            **({"top_p": 1} if ask.temperature else {}),
            self._limit: ask.answer_tokens,
        }
        began = time.perf_counter()
        answer = await self._patiently(body)
        return {"model": self._endpoint.model, **answer, "seconds": time.perf_counter() - began}

    async def _patiently(self, body: dict[str, object]) -> Row:
        import httpx

        pause, why, status = self._endpoint.pause_s, "", 0
        for attempt in range(self._endpoint.tries):
            if attempt:
                await asyncio.sleep(min(pause, _LONGEST_PAUSE_S))
                pause *= 2
            try:
                response = await self._client.post(self._endpoint.completions, json=body)
            except httpx.TransportError as error:
                why, status = f"{type(error).__name__}: {error}".rstrip(": "), 0
                continue
            if self._wants_the_later_limit(response, body):
                continue
            if response.status_code not in _TRY_LATER:
                return self._content(response)
            status = response.status_code
            why = f"status {status}"
            pause = max(pause, _asked_pause(response))
        tries = self._endpoint.tries
        raise ReaderFailed(
            f"{self._endpoint.url}: no answer after {tries} tries ({why}); "
            "start it, or wait, then run the same command again: answers so far are kept",
            status,
        )

    def _wants_the_later_limit(self, response: "httpx.Response", body: dict[str, object]) -> bool:
        """Change a body that was refused for the name of its limit; later bodies have the other one."""
        if response.status_code != 400 or _LIMIT not in body or _LATER_LIMIT not in response.text:
            return False
        body[_LATER_LIMIT] = body.pop(_LIMIT)
        self._limit = _LATER_LIMIT
        return True

    def _content(self, response: "httpx.Response") -> Row:
        where = self._endpoint.completions
        if response.status_code != 200:
            said = response.text[:200].strip()
            # Some services repeat the key that they refuse.
            said = said.replace(self._endpoint.key, "...") if self._endpoint.key else said
            raise ReaderFailed(f"{where}: status {response.status_code}: {said}", response.status_code)
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
            raise ReaderFailed(f"{where}: what it said is no chat completion", 200) from error


def _asked_pause(response: "httpx.Response") -> float:
    asked = response.headers.get("retry-after", "")
    return float(asked) if asked.replace(".", "", 1).isdigit() else 0.0


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterable[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
