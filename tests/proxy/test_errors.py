"""Whose fault, in OpenAI's shape."""

import errno
import json
import re
import socket
import ssl
from pathlib import Path

import httptools
import pytest

from elision.proxy.errors import OwnError, RequestError, UpstreamError, connect_error, upstream_error


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (TimeoutError(), 504, "upstream_connect_timeout"),
        (ssl.SSLError("secret text"), 502, "upstream_tls_error"),
        (ssl.SSLCertVerificationError("secret text"), 502, "upstream_tls_error"),
        (OSError(111, "Connection refused"), 502, "upstream_unreachable"),
        (OSError("secret text"), 502, "upstream_unreachable"),
        (socket.gaierror(-2, "Name or service not known"), 502, "upstream_unreachable"),
    ],
)
def test_every_failure_to_connect_has_a_status_and_a_code(error: OSError, status: int, code: str) -> None:
    """The client learns what went wrong on the far side."""
    told = connect_error(error, "api.example")
    assert (told.status, told.code) == (status, code)
    assert "api.example" in told.message
    assert "secret" not in told.message


def test_the_system_says_why_and_addresses_stay_inside() -> None:
    """asyncio's own words hold the address that was tried."""
    refused = OSError(errno.ECONNREFUSED, "Connect call failed ('10.1.2.3', 443)")
    assert (
        connect_error(refused, "api.example").message
        == "Could not connect to api.example: Connection refused."
    )


def test_running_out_of_files_is_our_own_fault() -> None:
    """Not the upstream's; official clients ask again as told."""
    told = connect_error(OSError(errno.EMFILE, "Too many open files"), "api.example")
    assert isinstance(told, OwnError)
    assert (told.status, told.code, told.retry_after_s) == (503, "out_of_files", 1)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (TimeoutError(), 504, "upstream_timeout"),
        (ssl.SSLError("secret text"), 502, "upstream_tls_error"),
        (EOFError("secret text"), 502, "upstream_disconnected"),
        (httptools.HttpParserError("secret text"), 502, "upstream_error"),
        (OSError(104, "reset"), 502, "upstream_error"),
    ],
)
def test_every_transport_error_has_a_status_and_a_code(error: Exception, status: int, code: str) -> None:
    """The client learns what went wrong on the far side, and nothing of what was said there."""
    told = upstream_error(error, "api.example")
    assert (told.status, told.code) == (status, code)
    assert "api.example" in told.message
    assert "secret" not in told.message


def test_bodies_have_the_shape_of_openais_errors() -> None:
    """Official clients read `error.type`, `error.code` and `error.message`."""
    body = json.loads(RequestError(413, "body_too_large", "Too large.").body())
    assert body == {
        "error": {
            "message": "Too large.",
            "type": "invalid_request_error",
            "param": None,
            "code": "body_too_large",
        }
    }


def test_the_documents_name_every_code() -> None:
    """A client that meets one can look it up."""
    root = Path(__file__).parents[2]
    rooms = ("admin", "client_body", "errors", "handler", "relayed", "routing", "server", "upstream")
    source = "".join((root / "proxy" / f"{name}.py").read_text(encoding="utf-8") for name in rooms)
    codes = re.findall(r'(?:Request|Upstream|Own)Error\(\s*(?:\d+|status), "(\w+)"', source)
    told = (root / "docs" / "proxy.md").read_text(encoding="utf-8")
    assert len(codes) > 15
    assert [code for code in codes if f"`{code}`" not in told] == []


def test_the_type_says_whose_fault_it_is() -> None:
    """Three kinds of blame."""
    kinds = [json.loads(kind(500, "c", "m").body())["error"]["type"] for kind in (UpstreamError, OwnError)]
    assert kinds == ["upstream_error", "elision_error"]
