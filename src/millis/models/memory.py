"""A model that a program already holds, as a source: written to a folder once, then read as any other."""

import shutil
from pathlib import Path
from typing import Any

from torch import nn

from millis.errors import MillisError
from millis.models.load import Pretrained
from millis.store import atomic_folder, file_sha256, fingerprint
from millis.temporaries import scratch_folder


def held(model: Any, tokenizer: Any, folder: Path) -> Pretrained:
    """The source of a model in memory.

    Args:
        model: Of `transformers`, with or without a classifier; or a module, such as a LightningModule, that holds one.
        tokenizer: The model's, of `transformers`.
        folder: Below which it is written, under its fingerprint.

    Raises:
        MillisError: no model of `transformers`, or several; or no tokenizer.
    """
    from transformers import PreTrainedTokenizerBase

    inner = _pretrained(model)
    if not isinstance(tokenizer, PreTrainedTokenizerBase):
        raise MillisError(
            f"tokenizer is {type(tokenizer).__name__}: expected the model's, such as AutoTokenizer.from_pretrained(...)"
        )
    with scratch_folder() as writing:
        inner.save_pretrained(writing)
        tokenizer.save_pretrained(writing)
        files = {path.name: file_sha256(path) for path in sorted(writing.iterdir()) if path.is_file()}
        written = folder / fingerprint(files)
        if not written.is_dir():
            with atomic_folder(written) as place:
                shutil.copytree(writing, place, dirs_exist_ok=True)
    return Pretrained(str(written))


def _pretrained(model: Any) -> Any:
    """The one model of `transformers` in a module."""
    from transformers import PreTrainedModel

    if isinstance(model, PreTrainedModel):
        return model
    children = list(model.children()) if isinstance(model, nn.Module) else []
    found = [child for child in children if isinstance(child, PreTrainedModel)]
    if len(found) != 1:
        raise MillisError(
            f"model is {type(model).__name__} and holds {len(found)} models of transformers: expected one, or a "
            "PreTrainedModel itself"
        )
    return found[0]
