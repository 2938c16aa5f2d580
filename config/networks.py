"""Addresses that an operator writes: networks, and what is this machine's own."""

from ipaddress import ip_address, ip_network
from typing import Annotated

from pydantic import AfterValidator


def _network(text: str) -> str:
    try:
        ip_network(text)
    except ValueError as error:
        raise ValueError("must be a network such as 10.0.0.0/8 or fd00::/8, without host bits") from error
    return text


Network = Annotated[str, AfterValidator(_network)]


def is_loopback(host: str) -> bool:
    """Return whether a host's name or address, without a port, is reached from its own machine only."""
    bare = host.strip("[]").partition("%")[0].lower().rstrip(".")
    if bare == "localhost" or bare.endswith(".localhost"):
        return True
    try:
        address = ip_address(bare)
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback
