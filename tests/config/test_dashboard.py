"""The dashboard before the start: never open by accident."""

from dataclasses import replace

import pytest

from elision.config.accounts import Dashboard
from elision.config.dashboard import token_of, with_dashboard
from elision.config.errors import ConfigError
from elision.config.settings import Settings

TOKEN = "0123456789abcdef-a-long-one"
EVERYWHERE = Settings(host="0.0.0.0")


def guarded(dashboard: Dashboard, host: str = "0.0.0.0", **environ: str) -> Settings:
    return with_dashboard(Settings(host=host, dashboard=dashboard), environ)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "proxy.example.com"])
def test_an_open_dashboard_is_refused_with_what_to_set(host: str) -> None:
    """The message holds both remedies as they are typed."""
    with pytest.raises(ConfigError) as refused:
        with_dashboard(replace(EVERYWHERE, host=host), {})
    [told] = refused.value.problems
    assert host in told
    assert "ELISION_DASHBOARD__TOKEN_ENV=DASHBOARD_TOKEN" in told
    assert "ELISION_DASHBOARD__ENABLED=false" in told


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_this_machine_alone_needs_no_token(host: str) -> None:
    """The default works without a word of configuration."""
    assert token_of(with_dashboard(Settings(host=host), {}).dashboard) == ""


def test_a_token_is_read_from_its_variable_and_shown_nowhere() -> None:
    """Neither in the settings' repr nor in an error."""
    settings = guarded(Dashboard(token_env="SECRET"), SECRET=TOKEN)
    assert token_of(settings.dashboard) == TOKEN
    assert TOKEN not in repr(settings)


@pytest.mark.parametrize(
    ("value", "told"),
    [("", "not set"), ("   ", "not set"), ("short", "fewer than 16"), (TOKEN + "\n", "line break")],
)
def test_a_token_that_protects_nothing_is_refused_unseen(value: str, told: str) -> None:
    """By the variable's name."""
    with pytest.raises(ConfigError, match=f"variable SECRET.*{told}") as refused:
        guarded(Dashboard(token_env="SECRET"), SECRET=value)
    assert not value.strip() or value.strip() not in str(refused.value)


@pytest.mark.parametrize(
    ("dashboard", "told"),
    [
        (Dashboard(header="X-User"), "dashboard.networks"),
        (Dashboard(networks=("10.0.0.0/8",)), "dashboard.header"),
    ],
)
def test_a_header_and_its_networks_go_together(dashboard: Dashboard, told: str) -> None:
    """Half of it would let in nobody, or be believed of anybody."""
    with pytest.raises(ConfigError, match=told):
        guarded(dashboard)


def test_a_login_proxy_or_no_dashboard_will_do() -> None:
    """Both are ways to listen on every address."""
    assert guarded(Dashboard(header="X-User", networks=("10.0.0.0/8",))).host == "0.0.0.0"
    assert guarded(Dashboard(enabled=False)).host == "0.0.0.0"


def test_a_token_that_was_not_read_is_no_missing_token() -> None:
    """Forgetting to read it must not open the dashboard."""
    with pytest.raises(ValueError, match="has not been read"):
        token_of(Dashboard(token_env="SECRET"))
