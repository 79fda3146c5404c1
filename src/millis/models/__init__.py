"""Models: one family a file. A spec has its family's name; the file of that name builds it.

A family file has `build(spec) -> nn.Module` and `max_length(spec) -> int`; beside it, in `<family>_spec.py`, stands the
class of its specs (`millis.models.spec`). The module carries `spec` and takes
`forward(input_ids [B, S], attention_mask [B, S], token_type_ids [B, S] or None)`, S at least 1; it returns logits, one
tensor or a tuple of several, as its spec says (`millis.models.outputs`): [B, C] per text, [B, S, C] per token. Those of
texts and of tokens where the mask is 1 depend on these tokens alone. Adding a family is adding these files: nothing
here lists them, and nothing heavy is imported before a model is asked for.
"""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from millis.errors import MillisError, nearest
from millis.models.spec import Spec

if TYPE_CHECKING:
    from torch import nn


def build(spec: Spec) -> "nn.Module":
    """Make the module that `spec` describes, with fresh weights.

    Raises:
        MillisError: the spec's family has no file here.
    """
    module: nn.Module = _family(spec.family).build(spec)
    return module


def max_length(spec: Spec) -> int:
    """Longest token sequence, special tokens included, that the model of `spec` takes.

    Raises:
        MillisError: as for `build`.
    """
    return int(_family(spec.family).max_length(spec))


def read(values: Mapping[str, Any], within: str = "") -> Spec:
    """The spec in `values`, read from JSON; nothing heavy is imported.

    Args:
        within: Where `values` stand, for messages.

    Raises:
        MillisError: no family, one that has no file here, or as `Spec.from_json`.
    """
    name = _checked(values.get("family"))
    title = "".join(part.capitalize() for part in name.split("_"))
    spec: Spec = getattr(importlib.import_module(f"{__name__}.{name}_spec"), f"{title}Spec").from_json(values, within)
    return spec


def families() -> list[str]:
    """The files here that build a model, found by reading them, so that listing them imports nothing."""
    files = Path(__file__).parent.glob("[!_]*.py")
    return sorted(path.stem for path in files if _builds(path))


def is_family(name: str) -> bool:
    """Whether a file here builds the family `name`; quicker than all `families`."""
    return name.isidentifier() and _builds(Path(__file__).parent / f"{name}.py")


def _builds(path: Path) -> bool:
    return path.is_file() and "\ndef build(" in path.read_text(encoding="utf-8")


def _family(name: str) -> Any:
    return importlib.import_module(f"{__name__}.{_checked(name)}")


def _checked(name: Any) -> str:
    if not isinstance(name, str) or not is_family(name):
        raise MillisError(
            f"model family {name!r} is unknown; expected one of {', '.join(families())}"
            f"{nearest(str(name), families())}. Mend `family` in the spec, or load the artifact with the millis that "
            "wrote it"
        )
    return name
