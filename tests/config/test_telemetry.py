"""Telemetry before the start."""

import pickle
from dataclasses import replace

import pytest

from elision.config.accounts import Telemetry
from elision.config.errors import ConfigError
from elision.config.settings import Settings, load_settings
from elision.config.telemetry import headers_of, with_telemetry

HERE = "http://127.0.0.1:4318"


def ready(telemetry: Telemetry, **environ: str) -> Telemetry:
    return with_telemetry(replace(Settings(), telemetry=telemetry), environ).telemetry


def test_headers_come_from_the_variable_and_are_in_no_repr() -> None:
    """Percent-encoded values, as OpenTelemetry has them."""
    told = ready(Telemetry(HERE, "OTEL_KEY"), OTEL_KEY="Api-Key=s%20ecret==, x-b=2")
    assert headers_of(told) == {"api-key": "s ecret==", "x-b": "2"}
    assert "ecret" not in repr(told)
    assert pickle.loads(pickle.dumps(told)) == told, "it goes to workers"
    assert headers_of(ready(Telemetry(HERE))) == {}


def test_a_variable_of_our_own_prefix_is_no_unknown_setting() -> None:
    """It holds headers."""
    environ = {"ELISION_TELEMETRY__HEADERS_ENV": "ELISION_OTEL_KEY", "ELISION_OTEL_KEY": "a=b"}
    assert load_settings(None, environ, {}).telemetry.headers_env == "ELISION_OTEL_KEY"


@pytest.mark.parametrize(
    ("value", "why"),
    [("", "is not set, or empty"), ("a", "place 1"), ("a=b,=c", "place 2"), ("a=%0a", "place 1")],
)
def test_headers_that_cannot_be_read_are_refused(value: str, why: str) -> None:
    """Naming the variable, never its value."""
    with pytest.raises(ConfigError, match=f"variable OTEL_KEY .*{why}"):
        ready(Telemetry(HERE, "OTEL_KEY"), OTEL_KEY=value)


@pytest.mark.parametrize("endpoint", ["collector:4318", "http://", "http://[::1", "http://h/?q=1"])
def test_what_is_no_url_is_refused(endpoint: str) -> None:
    """With an example of one."""
    with pytest.raises(ConfigError, match=r"telemetry\.endpoint: must be a URL such as"):
        ready(Telemetry(endpoint))


def test_a_login_in_the_endpoint_is_refused_and_not_repeated() -> None:
    """It belongs into a header."""
    with pytest.raises(ConfigError, match="holds a login") as refused:
        ready(Telemetry("http://user:secret@collector"))
    assert "secret" not in str(refused.value)


def test_without_the_package_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing is sent, nobody needs it."""
    monkeypatch.setattr("elision.config.telemetry.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'elision\[otel\]'"):
        ready(Telemetry(HERE))
    assert ready(Telemetry()) == Telemetry()
    with pytest.raises(ValueError, match="have not been read"):
        headers_of(Telemetry(HERE, "OTEL_KEY"))
