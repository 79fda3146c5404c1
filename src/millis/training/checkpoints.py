"""Checkpoints that are whole or not there: Lightning moves its own across file systems, and a full disk cuts them."""

import io
import pickle
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.plugins import TorchCheckpointIO

from millis.store import atomic_file


class AtomicCheckpoints(TorchCheckpointIO):
    """Writes beside the target and renames."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Write `checkpoint` to `path`.

        Raises:
            MillisError: the file system refused; what lay at `path` still does.
        """
        buffer = io.BytesIO()  # torch reports a full disk as an unexplained RuntimeError, a file's write as what it is
        torch.save(checkpoint, buffer)
        with atomic_file(Path(path)) as temporary:
            temporary.write_bytes(buffer.getbuffer())


def resumable(folder: Path) -> Path | None:
    """The checkpoint in `folder` that a training goes on from.

    None where there is none, and where going on would lead nowhere: it is damaged, or the best weights that it speaks
    of are not in this folder (any more), as when the folder was deleted by halves or moved.
    """
    last, best = folder / "last.ckpt", folder / "best.ckpt"
    try:
        states = torch.load(last, map_location="cpu", weights_only=True, mmap=True)["callbacks"].values()
    except (OSError, RuntimeError, EOFError, KeyError, pickle.UnpicklingError):
        return None
    named = {Path(state["best_model_path"]) for state in states if state.get("best_model_path")}
    return last if not named or (named == {best.resolve()} and best.is_file()) else None
