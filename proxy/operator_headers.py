"""What the operator has sent to one upstream in place of the client's headers. Pure.

Who brings a key of the operator's must not bring the client's too: where any header is set that
says who asks, all of the client's that do so are dropped.
"""

from collections.abc import Iterable, Mapping

from elision.proxy.headers import Headers

CREDENTIALS = frozenset(("authorization", "api-key", "x-api-key", "x-goog-api-key"))
"""Headers by which clients say who asks."""

_PROTOCOLS = "sec-websocket-protocol"
_KEY_PROTOCOL = "openai-insecure-api-key."
"""Browsers cannot set headers of a websocket; OpenAI takes their key as one of its protocols."""


class OperatorHeaders:
    """Headers that are set on every request to one upstream.

    Args:
        headers: value by name; they may hold keys, so nothing here shows them.
    """

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._set = list(headers.items())
        names = {name.lower() for name in headers}
        self._with_key = not names.isdisjoint(CREDENTIALS)
        self._dropped = names | CREDENTIALS if self._with_key else names

    def over(self, headers: Headers) -> Headers:
        """Return the client's headers without those that are replaced, then the operator's."""
        kept = ((name, value) for name, value in headers if name.lower() not in self._dropped)
        return [*(_without_key(kept) if self._with_key else kept), *self._set]


def _without_key(headers: Iterable[tuple[str, str]]) -> Headers:
    """Drop keys from among the protocols of a websocket."""
    cleaned: Headers = []
    for name, value in headers:
        if name.lower() == _PROTOCOLS and _KEY_PROTOCOL in value.lower():
            offered = (part.strip() for part in value.split(","))
            value = ", ".join(part for part in offered if not part.lower().startswith(_KEY_PROTOCOL))  # noqa: PLW2901
            if not value:
                continue
        cleaned.append((name, value))
    return cleaned
