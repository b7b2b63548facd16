"""A config folder of its own, an empty environment, and a keyring in a file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import keyring
import pytest
from keyrings.alt.file import PlaintextKeyring

from celonis_frames._auth import environment


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the config file, which is not there yet."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "new" / "config"))
    for name in environment.NAMES:
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "new" / "config" / "celonis-frames"


@pytest.fixture
def ring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A keyring that needs no desktop; the file in which it keeps its entries."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    before = keyring.get_keyring()
    keyring.set_keyring(PlaintextKeyring())
    yield Path(os.fspath(PlaintextKeyring().file_path))
    keyring.set_keyring(before)
