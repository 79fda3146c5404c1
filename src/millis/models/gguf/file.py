"""What a GGUF file holds: metadata, and tensors in fp32, whatever they are stored as.

The layout, and how each type of tensor is packed, are the package gguf's (llama.cpp's own, MIT). Read here is what lies
in one file, as far as the file goes: a file that says more than it has is refused where it ends.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from millis.errors import MillisError

Checked = TypeVar("Checked")

AGAIN = "Fetch or make the file again"
# What gguf's reader raises of files that are cut short or contradict themselves.
FAULTS = (ValueError, KeyError, IndexError, TypeError, OverflowError, MemoryError)


@dataclass(frozen=True, eq=False)
class GgufFile:
    """Metadata and tensors of one file, which stays mapped into memory.

    Args:
        path: Of the file, for messages.
        values: Metadata by name: numbers, strings, flags, and lists of them.
        tensors: Name → gguf's `ReaderTensor`.
    """

    path: Path
    values: dict[str, Any]
    tensors: dict[str, Any]

    def read(self, kind: type[Checked]) -> Checked:
        """Some of the metadata as a `msgspec.Struct` whose fields are named as in the file.

        Raises:
            MillisError: the first that is absent or is something else.
        """
        try:
            return msgspec.convert(self.values, kind)
        except msgspec.ValidationError as error:
            what, _, place = str(error).replace("`", "").partition(" - at $.")
            told = f"{place}: {what[0].lower()}{what[1:]}" if place else what.replace("Object missing", "there is no")
            raise MillisError(f"{self.path} has metadata that cannot be: {told}. {AGAIN}") from error

    def token(self, role: str, tokens: int) -> int | None:
        """The id of the token that is `bos`, `eos` or `padding`; None where none is.

        Args:
            tokens: How many there are.

        Raises:
            MillisError: it is none of them.
        """
        name = f"tokenizer.ggml.{role}_token_id"
        token = self.values.get(name)
        if token is not None and not (type(token) is int and 0 <= token < tokens):
            raise MillisError(f"{self.path} has {name}={token!r}, which is none of its {tokens} tokens. {AGAIN}")
        return token

    def tensor(self, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """One tensor in fp32.

        Args:
            shape: What it must be, as torch has it: outputs first.

        Raises:
            MillisError: it is absent, of another shape, or of a type that gguf does not unpack.
        """
        from gguf import quants

        stored = self.tensors.get(name)
        if stored is None:
            raise MillisError(f"{self.path} has no tensor {name}, which its metadata ask for. {AGAIN}")
        if (found := tuple(int(size) for size in reversed(stored.shape))) != shape:
            raise MillisError(
                f"{self.path}: tensor {name} is {list(found)}, its metadata ask for {list(shape)}. {AGAIN}"
            )
        try:
            values = quants.dequantize(stored.data, stored.tensor_type)
        except NotImplementedError as error:
            raise MillisError(
                f"{self.path}: tensor {name} is of type {stored.tensor_type.name}, which the installed gguf does not "
                "unpack. Convert the file to Q8_0 or F16, or install a newer gguf"
            ) from error
        return np.array(values, np.float32).reshape(shape)  # its own memory: the file may go


def open_file(path: Path) -> GgufFile:
    """Map a file and read its metadata; tensors are unpacked when they are asked for.

    Raises:
        MillisError: gguf is not installed, no such file, none of this format, or one that is cut short or contradicts
            itself.
    """
    try:
        from gguf import GGUFReader
    except ImportError as error:
        raise MillisError("models in GGUF files need the package gguf: pip install 'millis[gguf]'") from error

    class Reader(GGUFReader):
        """As gguf's, which reads on past the end of a file, in vain, for as many items as the file says there are."""

        def _get(self, offset: int, dtype: Any, count: int = 1, override_order: Any = None) -> NDArray[Any]:
            ends = int(offset) + int(count) * np.dtype(dtype).itemsize
            if ends > len(self.data):
                raise ValueError(f"it has {len(self.data)} bytes and speaks of {ends}: it is cut short")
            return super()._get(offset, dtype, count, override_order)

    if not path.is_file():
        raise MillisError(f"there is no file {path}: expected a model in GGUF, as model.path=FOLDER/NAME.gguf")
    try:
        with np.errstate(over="raise"):
            reader = Reader(path)
            values = {name: field.contents() for name, field in reader.fields.items()}
    except (*FAULTS, FloatingPointError) as error:
        reason = re.sub(r"np\.\w+\((\d+)\)", r"\1", str(error).partition("\n")[0]) or type(error).__name__
        raise MillisError(f"{path} cannot be read as GGUF: {reason}. {AGAIN}, or install a newer gguf") from error
    return GgufFile(path, values, {tensor.name: tensor for tensor in reader.tensors})
