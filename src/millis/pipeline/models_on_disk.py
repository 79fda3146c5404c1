"""Models kept on disk between stages: weights, architecture, and what quantization-aware training settled on."""

import json
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import load_file, save

from millis import models, schema
from millis.errors import MillisError
from millis.models.shared_weights import unshared
from millis.models.spec import Spec
from millis.quantization.parameters import load_parameters, save_parameters
from millis.store import atomic_file, cached

SPEC = "spec"  # in the file's metadata


def keep(path: Path, model: Any) -> None:
    """Write `model` to `path`, a `.safetensors` file."""
    tensors = {name: tensor.contiguous() for name, tensor in unshared(model.state_dict()).items()}
    content = save(tensors | save_parameters(model), {SPEC: json.dumps(model.spec.to_json())})
    with atomic_file(path) as temporary:
        temporary.write_bytes(content)


def restore(path: Path) -> Any:
    """The model that `keep` wrote, in evaluation mode.

    Raises:
        MillisError: a damaged file.
    """
    with cached(path):
        model: Any = models.build(spec_of(path))
        missing, unknown = model.load_state_dict(load_parameters(model, load_file(path)), strict=False)
        if unknown or set(missing) & set(unshared(model.state_dict())):
            raise MillisError(f"{path} has other weights than its architecture: {[*unknown, *missing][0]}")
    return model.eval()


def spec_of(path: Path) -> Spec:
    """The architecture of the model that `keep` wrote.

    Raises:
        MillisError: a damaged file.
    """
    with cached(path), safe_open(path, "pt") as file:
        return models.read(schema.parsed(file.metadata()[SPEC]))
