"""A prepared outputs folder, with a home in which nobody is logged in."""

import os

import pytest


@pytest.fixture
def outputs(tmp_path, monkeypatch):
    """The folder; the environment that `prepare` writes is restored after."""
    for name in [name for name in os.environ if name.startswith("WANDB_")] + ["NETRC"]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    # `prepare` writes the environment: with a value recorded for each name, monkeypatch restores what was there.
    for name in ("DIR", "DATA_DIR", "CACHE_DIR", "CONFIG_DIR", "MODE", "SILENT"):
        monkeypatch.setenv(f"WANDB_{name}", "")
        monkeypatch.delenv(f"WANDB_{name}")
    return tmp_path / "outputs"
