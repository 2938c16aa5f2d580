"""What Redis needs of this machine before the proxy may begin."""

import asyncio
import importlib.util
import ssl
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from elision.config.errors import ConfigError
from elision.config.redis import RedisEntry
from elision.proxy.redis_security import check_redis, security_of
from fakes.certificates import make_certificates, needs_openssl

URL = "redis://127.0.0.1"


@pytest.mark.parametrize("field", ["ca", "client_cert"])
def test_a_certificate_that_cannot_be_read_is_named(tmp_path: Path, field: str) -> None:
    """At the start, with what is wrong, whether it is not there or no certificate."""
    (tmp_path / "bad.pem").write_text("no certificate")
    for file in (tmp_path / "none.pem", tmp_path / "bad.pem"):
        named = {"ca": RedisEntry(ca=str(file)), "client_cert": RedisEntry(client_cert=str(file))}[field]
        with pytest.raises(ConfigError) as error:
            check_redis(replace(named, url=URL))
        assert str(error.value).startswith(f"redis.{field}: {file}: ")
        assert "PEM" in str(error.value)


@needs_openssl
async def test_a_server_is_verified_and_so_is_its_name(tmp_path: Path) -> None:
    """Unless the operator says that certificates name no hosts."""
    made = await make_certificates(tmp_path)
    entry = RedisEntry(URL, ca=str(made.ca), client_cert=str(made.cert), client_key=str(made.key))
    check_redis(entry)
    context = security_of(entry)
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    lax = security_of(replace(entry, check_hostname=False))
    assert (lax.verify_mode, lax.check_hostname) == (ssl.CERT_REQUIRED, False)
    wrong = replace(entry, client_key=str(made.ca))
    with pytest.raises(ConfigError, match=r"^redis.client_cert: .*cert.pem and .*ca.pem: "):
        check_redis(wrong)


def test_without_the_package_the_start_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an extra."""
    monkeypatch.setattr("elision.proxy.redis_security.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'elision\[redis\]'"):
        check_redis(RedisEntry(URL))
    monkeypatch.setattr("elision.proxy.redis_security.find_spec", importlib.util.find_spec)
    check_redis(RedisEntry(URL))
    assert importlib.util.find_spec("hiredis") is not None


async def test_serve_ends_with_one_line_where_redis_could_never_be_reached(tmp_path: Path) -> None:
    """Not with workers that begin and die for ever."""
    settings = tmp_path / "settings.yaml"
    settings.write_text("redis: {url: 'rediss://:hunter2@127.0.0.1', ca: none.pem}\n")
    arguments = ("--upstream", "http://127.0.0.1:9", "--settings", str(settings), "--workers", "2")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "elision.proxy", "serve", "--port", "0", *arguments),
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    assert process.returncode == 2
    assert said.decode().splitlines() == [
        f"error: redis.ca: {tmp_path}/none.pem: no such file or directory; name a PEM file of authorities"
    ]
