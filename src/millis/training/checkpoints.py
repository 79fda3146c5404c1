"""Checkpoints that are whole or not there: Lightning moves its own across file systems, and a full disk cuts them."""

import io
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
