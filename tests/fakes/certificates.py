"""Certificates that a test makes for itself, with the openssl command."""

import asyncio
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="openssl is not installed: apt-get install openssl"
)

_EXTENSIONS = "subjectAltName=DNS:localhost,IP:127.0.0.1"


@dataclass(frozen=True)
class Certificates:
    """PEM files: an authority, and a certificate of this machine that it signed."""

    ca: Path
    cert: Path
    key: Path


async def make_certificates(folder: Path) -> Certificates:
    """Make an authority, and a certificate for 127.0.0.1 and localhost."""
    folder.mkdir(exist_ok=True)
    made = Certificates(folder / "ca.pem", folder / "cert.pem", folder / "key.pem")
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    ca_key, request, extensions = folder / "ca.key", folder / "request.pem", folder / "extensions"
    extensions.write_text(_EXTENSIONS)
    await _openssl("req", "-x509", *curve, "-keyout", ca_key, "-out", made.ca, "-subj", "/CN=test authority")
    await _openssl("req", *curve, "-keyout", made.key, "-out", request, "-subj", "/CN=localhost")
    signed = ("-CA", made.ca, "-CAkey", ca_key, "-CAcreateserial", "-extfile", extensions)
    await _openssl("x509", "-req", "-in", request, *signed, "-out", made.cert, "-days", "1")
    return made


async def _openssl(*arguments: str | Path) -> None:
    process = await asyncio.create_subprocess_exec(
        "openssl", *map(str, arguments), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    _, said = await process.communicate()
    assert process.returncode == 0, said.decode()
