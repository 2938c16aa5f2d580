"""The dashboard before the start: its token, from the variable that settings name; that it is not open.

Errors name the variable, never its value, and the token is in no repr.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace

from elision.config.accounts import Dashboard
from elision.config.errors import ConfigError
from elision.config.networks import is_loopback
from elision.config.settings import Settings
from elision.config.upstreams import fits_header

LEAST_CHARACTERS = 16


@dataclass(frozen=True, slots=True)
class GuardedDashboard(Dashboard):
    """The dashboard's settings with the token that `token_env` names."""

    token: str = field(default="", repr=False)


def with_dashboard(settings: Settings, environ: Mapping[str, str]) -> Settings:
    """Return the settings with the dashboard's token read.

    Raises: ConfigError if the token is missing or short, a header is believed from nowhere, or the
        dashboard would be open to other machines.
    """
    dashboard = settings.dashboard
    wrong = _wrong(dashboard, settings.host)
    token = ""
    if dashboard.token_env is not None:
        token = environ.get(dashboard.token_env, "")
        wrong += _wrong_token(dashboard.token_env, token)
    if wrong:
        raise ConfigError(wrong)
    given = {item.name: getattr(dashboard, item.name) for item in fields(Dashboard)}
    return replace(settings, dashboard=GuardedDashboard(**given, token=token))


def token_of(dashboard: Dashboard) -> str:
    """Return the token that `with_dashboard` read; "" where there is none."""
    if isinstance(dashboard, GuardedDashboard):
        return dashboard.token
    if dashboard.token_env is not None:
        raise ValueError("the dashboard's token has not been read")
    return ""


def _wrong(dashboard: Dashboard, host: str) -> list[str]:
    if dashboard.header and not dashboard.networks:
        return ["dashboard.header: is believed from nowhere; list the login proxy in dashboard.networks"]
    if dashboard.networks and not dashboard.header:
        return ["dashboard.networks: needs dashboard.header beside it, which the login proxy there sets"]
    closed = not dashboard.enabled or dashboard.token_env is not None or dashboard.header
    if closed or is_loopback(host):
        return []
    told = f"dashboard: other machines reach {host}, and could read what every team spends"
    remedy = "DASHBOARD_TOKEN set to what `openssl rand -hex 32` prints"
    protect = f"protect it with a token (ELISION_DASHBOARD__TOKEN_ENV=DASHBOARD_TOKEN, and {remedy})"
    return [f"{told}; {protect}, or do without it (ELISION_DASHBOARD__ENABLED=false)"]


def _wrong_token(variable: str, token: str) -> list[str]:
    remedy = "set it before the start, to what `openssl rand -hex 32` prints for instance"
    if not token.strip():
        return [f"dashboard.token_env: the variable {variable} is not set, or empty; {remedy}"]
    if not fits_header(token):
        return [f"dashboard.token_env: the variable {variable} holds a line break, or white space at an end"]
    if len(token) < LEAST_CHARACTERS:
        told = f"holds fewer than {LEAST_CHARACTERS} characters, which can be guessed"
        return [f"dashboard.token_env: the variable {variable} {told}; {remedy}"]
    return []
