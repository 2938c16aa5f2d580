"""Addresses that an operator writes."""

import pytest

from elision.config.networks import is_loopback


@pytest.mark.parametrize(
    ("host", "own"),
    [
        *(("127.0.0.1", True), ("127.8.9.10", True), ("localhost", True), ("LOCALHOST.", True)),
        *(("::1", True), ("[::1]", True), ("::ffff:127.0.0.1", True), ("proxy.localhost", True)),
        *(("0.0.0.0", False), ("::", False), ("10.0.0.1", False), ("localhost.example.com", False)),
        *(("127.0.0.1.example.com", False), ("", False), ("example.com", False)),
    ],
)
def test_what_only_this_machine_reaches_is_known(host: str, own: bool) -> None:
    """A name that merely looks like it is another's."""
    assert is_loopback(host) is own
