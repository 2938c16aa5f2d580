"""What Redis needs of this machine before the proxy may begin: a package, and certificates that can be read.

Imports nothing of the package, so that its absence can be told.
"""

import ssl
from importlib.util import find_spec

from elision.config.errors import ConfigError
from elision.config.redis import RedisEntry, redis_target


def check_redis(entry: RedisEntry) -> None:
    """Refuse to begin with what could never connect.

    Raises: ConfigError if the package is missing, or a certificate cannot be read.
    """
    if find_spec("hiredis") is None:
        raise ConfigError(["redis: it needs the package hiredis; install it: pip install 'elision[redis]'"])
    if redis_target(entry).tls:
        security_of(entry)


def security_of(entry: RedisEntry) -> ssl.SSLContext:
    """Return how TLS is to be spoken.

    Raises: ConfigError that names the file that cannot be read.
    """
    try:
        context = ssl.create_default_context(cafile=entry.ca or None)
    except OSError as error:
        raise ConfigError(
            [f"redis.ca: {entry.ca}: {_said(error)}; name a PEM file of authorities"]
        ) from error
    context.check_hostname = entry.check_hostname
    if entry.client_cert:
        try:
            context.load_cert_chain(entry.client_cert, entry.client_key or None, password="")
        except OSError as error:
            files = " and ".join(filter(None, (entry.client_cert, entry.client_key)))
            message = f"redis.client_cert: {files}: {_said(error)}; name a PEM certificate and its key"
            raise ConfigError([message]) from error
    return context


def _said(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()
