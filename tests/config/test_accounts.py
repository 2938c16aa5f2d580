"""Settings of accounts, the dashboard, prices, the log of requests and telemetry."""

from pathlib import Path

import pytest

from elision.config.accounts import PriceEntry
from elision.config.errors import ConfigError
from elision.config.settings import load_settings

FILE = """
accounts: {path: /var/lib/elision/accounts.db, recent: 50}
dashboard: {token_env: ELISION_TOKEN, header: X-User, networks: [10.0.0.0/8]}
prices:
  - {models: ["llama-*"], upstreams: [vllm], input: 0.08, output: 0.24}
telemetry: {endpoint: "http://127.0.0.1:4318", sample: 0.1}
"""


def test_a_settings_file_says_all_of_it(tmp_path: Path) -> None:
    """What it leaves out keeps its default."""
    file = tmp_path / "settings.yaml"
    file.write_text(FILE)
    settings = load_settings(file, {}, {})
    assert settings.accounts.path == Path("/var/lib/elision/accounts.db")
    assert (settings.accounts.recent, settings.accounts.hours_d) == (50, 62)
    assert settings.dashboard.token_env == "ELISION_TOKEN"
    assert settings.prices == (PriceEntry(0.08, 0.24, models=("llama-*",), upstreams=("vllm",)),)
    assert settings.telemetry.sample == 0.1


def test_files_are_named_from_where_the_settings_are(tmp_path: Path) -> None:
    """Not from where the proxy happens to be started."""
    file = tmp_path / "settings.yaml"
    file.write_text("accounts: {path: accounts.db}\nrequest_log: {path: log/requests.jsonl}\n")
    settings = load_settings(file, {}, {})
    assert settings.accounts.path == tmp_path / "accounts.db"
    assert settings.request_log.path == tmp_path / "log" / "requests.jsonl"


def test_variables_say_what_is_no_list() -> None:
    """As for all settings."""
    settings = load_settings(None, {"ELISION_REQUEST_LOG__PATH": "/tmp/r.jsonl"}, {})
    assert settings.request_log.path == Path("/tmp/r.jsonl")


@pytest.mark.parametrize("told", ["prices: [{output: 1}]", "prices: [{input: -1}]", "dashboard: {tokn: x}"])
def test_what_means_nothing_is_refused(tmp_path: Path, told: str) -> None:
    """With the key's name."""
    file = tmp_path / "settings.yaml"
    file.write_text(told)
    with pytest.raises(ConfigError, match=r"prices|dashboard|settings.yaml:1:"):
        load_settings(file, {}, {})
