"""millis' own runtime on the CPU: a model's forward pass in compiled kernels made for it, in one call a request.

Loading and answering need NumPy alone, neither torch nor onnx. What is stored is a plan (`millis.backends.plan`): data,
mapped into memory and computed with where it lies. Why own kernels, and what they take: `docs/native.md`.

int8: weights on symmetric grids, a scale for each output; what enters a product is rounded row by row, each token by
itself, to 8 bits with a zero point; sums are exact. Weights of 4 bits have a scale for each block of an output's
inputs. Tables have 8 bits and a scale for each row. Attention, norms and activations are fp32.

bf16: weights, tables, and what enters a product, of half the bytes; products are exact, sums fp32.

Cache: keys and values of earlier tokens are kept in fp32, or in 8 bits with a step for each token and head.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, get_args

from millis import backends
from millis.backends.plan import file, library
from millis.backends.plan.continuation import PlanDecoder
from millis.backends.plan.session import PlanSegment, PlanSession
from millis.backends.plan.steps import Cache, Precision
from millis.backends.profile import WARM, Operator, summarised
from millis.errors import MillisError
from millis.models.outputs import writes
from millis.traits import DATA_SIZES, IMITABLE, INTEGERS, SEGMENTS, STORES, WRITES, Reasons, Traits
from millis.types import Features, Output, Signature
from millis.waiting import waited_ns

if TYPE_CHECKING:
    from millis.quantization.arithmetic import Arithmetic
    from millis.quantization.spec import Quantization
    from millis.storage.encodings import Array
    from millis.storage.manifest import Manifest

FILE_NAME = "model.plan"
TWO_KINDS = (
    "backend.precision=bf16 computes with bf16 and a quantization with integers: products are of one or the other. "
    "Choose backend.precision=fp32, or quantization=none"
)
NOTHING_KEPT = (
    "backend.cache=int8 is of the keys and values that a model keeps while it writes, got a task whose models answer "
    "at once. Choose backend.cache=fp32"
)
COMPUTED = (
    "per_channel",
    "calibration",
    "keep",
    "int8",
    "fallback",
    "gptq",
    "awq",
    "reduce_range",
    "aware",
)  # of a quantization, any value


@dataclass(frozen=True)
class Native:
    """Writes a module's weights, and the steps that use them, for `load`.

    Args:
        precision: Of weights and products, where nothing is quantized: `fp32`, or `bf16`, half the bytes; faster where
            reading weights is what takes time, and on processors that multiply in it (AVX-512 BF16).
        cache: Of the keys and values of earlier tokens, of what writes: `fp32`, or `int8`, about a quarter of the
            bytes; each token's key and value of a head is rounded by itself, to its largest magnitude / 127. Queries,
            shares of attention and sums stay fp32.

    Raises:
        MillisError: another precision, or another cache.
    """

    name = "native"
    traits: ClassVar[Traits] = (SEGMENTS, DATA_SIZES, IMITABLE, STORES, WRITES)

    precision: Precision = "fp32"
    cache: Cache = "fp32"

    def __post_init__(self) -> None:
        backends.one_of(self.name, "precision", self.precision, get_args(Precision))
        backends.one_of(self.name, "cache", self.cache, get_args(Cache))

    @property
    def refuses(self) -> Reasons:
        """Products are of bf16 or of integers."""
        return {} if self.precision == "fp32" else {INTEGERS: TWO_KINDS}

    def check_outputs(self, outputs: Sequence[Output]) -> None:
        """Refuse a cache for outputs that need none.

        Raises:
            MillisError: as said.
        """
        if self.cache != "fp32" and not writes(outputs):
            raise MillisError(NOTHING_KEPT)

    def missing(self) -> str | None:
        """The compiled part, where it was not built."""
        return library.missing()

    def take_apart(self, folder: Path) -> "dict[str, Array]":
        """The plan's tensors, or those of the segments' plans, by themselves, for an archive."""
        return {name: part for path in sorted(folder.glob("*.plan")) for name, part in file.take_apart(path).items()}

    def write(
        self,
        model: Any,
        folder: Path,
        signature: Signature,
        quantization: "Quantization | None",
        calibration: Sequence[Features] = (),
    ) -> tuple[str, ...]:
        """Write `model.plan` into `folder`.

        Raises:
            MillisError: the compiled part is missing, a model or a quantization that it does not compute, weights that
                are no numbers, or a plan that does not compute what the module does.
        """
        self._check(signature, quantization)
        from millis.backends.plan.export import export

        path = folder / FILE_NAME
        return export(model, path, signature, quantization, calibration, self.precision, self.cache)

    def write_segments(
        self,
        model: Any,
        folder: Path,
        signature: Signature,
        quantization: "Quantization | None",
        calibration: Sequence[Features] = (),
    ) -> tuple[str, ...]:
        """Write one plan a segment into `folder`.

        Raises:
            MillisError: as `write`.
        """
        self._check(signature, quantization)
        from millis.backends.plan.export import export_segments

        return export_segments(model, folder, signature, quantization, calibration, self.precision)

    def arithmetic(self, quantization: "Quantization") -> "Arithmetic":
        """What training has to imitate.

        Raises:
            MillisError: a quantization that it does not compute.
        """
        _check_computed(quantization)
        from millis.backends.plan.arithmetic import arithmetic

        return arithmetic(quantization)

    def _check(self, signature: Signature, quantization: "Quantization | None") -> None:
        self.check_outputs(signature.outputs)
        if lacking := self.missing():
            raise MillisError(f"backend=native: {lacking}. Or use backend=onnxruntime")
        if quantization is None:
            return
        _check_computed(quantization)
        if self.precision != "fp32":
            raise MillisError(TWO_KINDS)


def load(folder: Path, manifest: "Manifest", threads: int) -> PlanSession:
    """Open the artifact's plan; of a model that says what comes next it also writes (`millis.types.Decoder`).

    Raises:
        MillisError: the compiled part is missing, or the plan is damaged.
    """
    _check_loadable(manifest)
    kind = PlanDecoder if writes(manifest.spec.outputs) else PlanSession
    return kind(file.read(folder / FILE_NAME, threads), threads)


def load_segments(folder: Path, manifest: "Manifest", threads: int) -> list[PlanSegment]:
    """Open the plans of an artifact's segments, first to last.

    Raises:
        MillisError: as `load`.
    """
    _check_loadable(manifest)
    count = len(manifest.spec.exits) + 1
    paths = [file.segment_path(folder, position) for position in range(count)]
    return [PlanSegment(file.read(path, threads), threads) for path in paths]


def _check_loadable(manifest: "Manifest") -> None:
    backends.options(Native, manifest)
    if lacking := library.missing():
        raise MillisError(f"artifact {manifest.name!r} runs on backend=native: {lacking}")


def operators(folder: Path, manifest: "Manifest", threads: int, requests: Sequence[Features]) -> list[Operator]:
    """What each step of the plan takes."""
    session, waited, times = load(folder, manifest, threads), [], []
    for features in requests[:WARM]:
        session(features)
    for features in requests:
        before = waited_ns()
        times.append(session.times(features))
        waited.append((waited_ns() - before) / 1e3)
    return summarised(times, waited)


def _check_computed(quantization: "Quantization") -> None:
    from millis.quantization.spec import Quantization

    asked, known = asdict(quantization), asdict(Quantization())
    if quantization.weights == 4:  # in blocks, and activations are rounded all the same
        known |= {name: asked[name] for name in ("weights", "activations", "block_size")}
    if others := [name for name in asked if name not in COMPUTED and asked[name] != known[name]]:
        told = ", ".join(f"{name}={asked[name]!r}" for name in others)
        raise MillisError(
            f"backend=native got a quantization with {told}; expected dynamic int8 (quantization=dynamic), which it "
            "rounds row by row, or weights of 4 bits (quantization=weight_only_4). Use backend=onnxruntime for others"
        )
