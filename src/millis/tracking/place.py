"""Where W&B runs land: under the outputs folder, offline unless the user is logged in."""

import configparser
import netrc
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from millis.errors import MillisError


def uses_wandb(logger: Mapping[str, Any]) -> bool:
    """Whether the config's `logger` node is the W&B one, and so whether runs are opened."""
    return str(logger.get("_target_", "")).endswith(".WandbLogger")


def prepare(outputs: Path) -> None:
    """Make every W&B run of this process and its children land under `outputs`, offline unless the user is logged in.

    Sets environment variables and imports nothing, so it costs nothing where W&B is not used. `WANDB_MODE` and
    `WANDB_SILENT` are left as they are where set. Call it before a logger is made.

    W&B keeps the files of artifacts not yet uploaded in a data folder of the user's home, so a copied `outputs` would
    lack them; its cache and settings go to the home as well. All are moved beneath `outputs`, except that the settings
    of a user who is logged in stay where they are: they hold the key and the server.

    Raises:
        MillisError: `outputs` cannot be written (W&B itself would move to the system's temporary folder unasked).
    """
    folder = outputs.resolve() / "wandb"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MillisError(
            f"cannot make {folder}: {error.strerror}; W&B runs need a folder that can be written. "
            "Choose another with paths.outputs=..., or turn tracking off with logger=none"
        ) from error
    known = logged_in()  # before the folder of settings moves
    os.environ["WANDB_DIR"] = str(folder.parent)
    os.environ["WANDB_DATA_DIR"] = str(folder / "data")
    os.environ["WANDB_CACHE_DIR"] = str(folder / "cache")
    os.environ.setdefault("WANDB_SILENT", "true")
    if not known:
        os.environ["WANDB_CONFIG_DIR"] = str(folder / "config")
        os.environ.setdefault("WANDB_MODE", "offline")


def logged_in() -> bool:
    """Whether W&B will find a key where its documentation says it looks: environment, netrc file, settings file."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    folder = Path(os.environ.get("WANDB_CONFIG_DIR", "~/.config/wandb")).expanduser()
    settings = configparser.ConfigParser(default_section="default", interpolation=None)
    try:
        settings.read(folder / "settings")
    except configparser.Error:
        settings.clear()  # W&B warns of such a file itself
    if settings.defaults().get("api_key"):
        return True
    server = os.environ.get("WANDB_BASE_URL") or settings.defaults().get("base_url") or "https://api.wandb.ai"
    default = next(
        (path for path in (Path("~/.netrc"), Path("~/_netrc")) if path.expanduser().exists()), Path("~/.netrc")
    )
    try:
        keys = netrc.netrc(Path(os.environ.get("NETRC") or default).expanduser())
        return bool(keys.authenticators(urlsplit(server).netloc))
    except (OSError, netrc.NetrcParseError):
        return False
