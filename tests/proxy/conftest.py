"""Fixtures that tests of several commands share."""

import json
from pathlib import Path

import pytest

from fakes.commands import DOCUMENT, POLICY


@pytest.fixture
def no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what the environment of whoever runs the tests says."""
    for name in ("ELISION_SETTINGS", "ELISION_UPSTREAM", "ELISION_POLICIES"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    """Return a directory with one valid policy."""
    directory = tmp_path / "policies"
    directory.mkdir()
    (directory / "default.yaml").write_text(POLICY)
    return directory


@pytest.fixture
def body(tmp_path: Path) -> Path:
    """Return a file with a chat request."""
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": f"{DOCUMENT}\n\nWho owned the mill?"},
    ]
    file = tmp_path / "body.json"
    file.write_text(json.dumps({"model": "gpt-4o", "messages": messages}))
    return file
