"""Errors of a request, sorted by whose fault they are, and their OpenAI-shaped bodies.

    ProxyError
    |- RequestError      the client's: 4xx
    |- UpstreamError     the upstream's or the network's: 502, 504
    `- OwnError          ours: 500, 503

Operators' errors are `elision.config.errors.ConfigError`; compressors' are
`elision.compressors.errors.CompressionError` and never reach a client. What an upstream answers is
not an error here: it passes untouched.
"""

import errno
import os
import socket
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


def connect_error(error: OSError, host: str) -> ProxyError:
    """Translate why there is no connection into what the client of the proxy is told.

    Without file descriptors nobody can be reached, which is no upstream's fault.

    Args:
        error: a timeout, a failed TLS handshake, or what the operating system said.
        host: the upstream's host, named in the message.
    """
    if isinstance(error, TimeoutError):
        return UpstreamError(504, "upstream_connect_timeout", f"Could not connect to {host} in time.")
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = getattr(error, "verify_message", "") or "it could not be verified"
        message = f"The certificate of {host} is not trusted: {reason.rstrip('.')}."
        return UpstreamError(502, "upstream_tls_error", message)
    if isinstance(error, ssl.SSLError):
        reason = getattr(error, "reason", "") or type(error).__name__
        return UpstreamError(502, "upstream_tls_error", f"The TLS handshake with {host} failed: {reason}.")
    if error.errno in (errno.EMFILE, errno.ENFILE):
        message = "Elision has no file descriptors left. Ask again in a moment; its limit is `ulimit -n`."
        return OwnError(503, "out_of_files", message, retry_after_s=1)
    return UpstreamError(502, "upstream_unreachable", f"Could not connect to {host}: {_said(error)}.")


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
    if isinstance(error, OSError):
        return UpstreamError(502, "upstream_error", f"The connection to {host} broke: {_said(error)}.")
    message = f"{host} gave an answer that is not valid HTTP/1.1, or has a head beyond limits.header_kib."
    return UpstreamError(502, "upstream_error", message)


def _said(error: OSError) -> str:
    """Return what the system says of an error; texts of libraries would add addresses."""
    if isinstance(error, socket.gaierror):
        return error.strerror or "the name is not known"
    return os.strerror(error.errno) if error.errno else type(error).__name__


def where(error: BaseException) -> str:
    """Return an error's type and place; its message could hold text of a user."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return type(error).__name__ + place
