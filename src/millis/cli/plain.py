"""Configs as plain data."""

from typing import Any

from omegaconf import OmegaConf


def plain(node: Any) -> Any:
    """A config node as plain, resolved containers: what manifests and records hold."""
    return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node
