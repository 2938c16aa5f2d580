"""Errors of a request, sorted by whose fault they are, and their OpenAI-shaped bodies.

    ProxyError
    |- RequestError      the client's: 4xx
    |- UpstreamError     the upstream's or the network's: 502, 504
    `- OwnError          ours: 500, 503

Operators' errors are `elision.config.errors.ConfigError`; compressors' are
`elision.compressors.errors.CompressionError` and never reach a client. What an upstream answers is
not an error here: it passes untouched.
"""

import ssl
import traceback

import msgspec


class ProxyError(Exception):
    """An answer that we give in the upstream's place.

    Args:
        status: HTTP status of the answer.
        code: machine-readable word, stable.
        message: for a person: what was wrong and how to fix it; never text of users, never keys.
        retry_after_s: whole seconds after which to ask again; None: not said.
    """

    kind = "api_error"

    def __init__(self, status: int, code: str, message: str, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.retry_after_s = retry_after_s

    def body(self) -> bytes:
        """Return the answer's JSON body in the shape of OpenAI's errors."""
        error = {"message": self.message, "type": self.kind, "param": None, "code": self.code}
        return msgspec.json.encode({"error": error})


class RequestError(ProxyError):
    """The client's request cannot be served as it is."""

    kind = "invalid_request_error"


class UpstreamError(ProxyError):
    """The upstream could not be reached, or did not answer in time."""

    kind = "upstream_error"


class OwnError(ProxyError):
    """Elision failed or is going away."""

    kind = "elision_error"


def connect_error(error: OSError, host: str) -> UpstreamError:
    """Translate why there is no connection into what the client of the proxy is told.

    Args:
        error: a timeout, a failed TLS handshake, or what the operating system said.
        host: the upstream's host, named in the message.
    """
    if isinstance(error, TimeoutError):
        return UpstreamError(504, "upstream_connect_timeout", f"Could not connect to {host} in time.")
    if isinstance(error, ssl.SSLError):
        return UpstreamError(502, "upstream_tls_error", f"The TLS handshake with {host} failed.")
    reason = error.strerror or type(error).__name__
    return UpstreamError(502, "upstream_unreachable", f"Could not connect to {host}: {reason}.")


def upstream_error(error: Exception, host: str) -> UpstreamError:
    """Translate what ended an exchange into what the client of the proxy is told.

    Args:
        error: a timeout, an `EOFError` for a connection closed without an answer, a parser's error,
            or an `OSError`.
        host: the upstream's host, named in the message.
    """
    if isinstance(error, TimeoutError):
        return UpstreamError(504, "upstream_timeout", f"{host} did not answer in time.")
    if isinstance(error, ssl.SSLError):
        return UpstreamError(502, "upstream_tls_error", f"The TLS connection to {host} failed.")
    if isinstance(error, EOFError):
        return UpstreamError(502, "upstream_disconnected", f"{host} closed the connection without an answer.")
    return UpstreamError(502, "upstream_error", f"The exchange with {host} failed: {type(error).__name__}.")


def where(error: BaseException) -> str:
    """Return an error's type and place; its message could hold text of a user."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return type(error).__name__ + place
