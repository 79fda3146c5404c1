"""PyTorch, eager: the reference that every speed-up and every parity is measured against.

fp32: the module is built from the manifest's spec and filled from safetensors. int8: `torch.ao` dynamic quantization of
the linear layers (Jacob et al. 2018, "Quantization and Training of Neural Networks", section 2; activations get their
range at run time). PyTorch has announced its removal, so it stays behind a guard. What is stored is the int8 matrix
with its scales and zero points, and loading rebuilds exactly those: nothing is quantized a second time.

On all-MiniLM-L6-v2, one thread of a processor with AVX-512 VNNI: fp32 18.5 ms, int8 8.1 ms at 32 tokens.
"""

import copy
import warnings
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

from millis.backends.eager_decoder import EagerDecoder
from millis.backends.eager_encoder_decoder import EagerEncoderDecoder
from millis.backends.modules import EagerSegment, EagerSession, segments_of
from millis.backends.profile import WARM, Operator, Time, summarised
from millis.errors import MillisError
from millis.models.encoder_decoder import EncoderDecoder
from millis.models.outputs import writes
from millis.models.shared_weights import unshared
from millis.models.spec import Spec
from millis.quantization.spec import Quantization
from millis.storage.archived import SEPARATOR, archive_of, read_tensors
from millis.storage.encodings import Array
from millis.traits import DATA_SIZES, SEGMENTS, WRITES, Traits
from millis.types import Features, Signature
from millis.waiting import waited_ns

if TYPE_CHECKING:
    from millis.storage.manifest import Manifest

FILE_NAME = "model.safetensors"
ENGINES = ("x86", "fbgemm", "onednn", "qnnpack")  # fastest first; see `_torch_ao`
INT8_MODULE = "torch.ao.nn.quantized.dynamic.modules.linear"
REQUEST = "millis request"  # what a profile calls one
SCALE, ZERO_POINT = "weight_scale", "weight_zero_point"  # beside an int8 `weight`; their presence marks the layer


@dataclass(frozen=True)
class Eager:
    """Writes a module's weights for `load`. Takes no options: this is the reference, not something to tune."""

    name = "eager"
    traits: ClassVar[Traits] = (SEGMENTS, DATA_SIZES, WRITES)

    def missing(self) -> str | None:
        """Nothing: PyTorch is always there."""
        return None

    def take_apart(self, folder: Path) -> dict[str, Array]:
        """The tensors of `model.safetensors` by themselves, for an archive."""
        tensors = load_file(folder / FILE_NAME)
        return {f"{FILE_NAME}{SEPARATOR}{name}": tensor.numpy() for name, tensor in tensors.items()}

    def write(
        self,
        model: nn.Module,
        folder: Path,
        signature: Signature,
        quantization: Quantization | None,
        calibration: Sequence[Features] = (),
    ) -> tuple[str, ...]:
        """Write `model.safetensors` into `folder`; int8 is dynamic, of every linear layer, without calibration.

        Raises:
            MillisError: int8 was asked for and this PyTorch has it no more, or a quantization of another kind.
        """
        if quantization is not None:
            _check_supported(quantization)
        tensors = _fp32(model) if quantization is None else _int8(model, quantization)
        # As bytes: a full disk is then the file system's own error, not one of safetensors'.
        (folder / FILE_NAME).write_bytes(save({name: t.detach().cpu().contiguous() for name, t in tensors.items()}))
        return ()

    def write_segments(
        self,
        model: nn.Module,
        folder: Path,
        signature: Signature,
        quantization: Quantization | None,
        calibration: Sequence[Features] = (),
    ) -> tuple[str, ...]:
        """As `write`: segments share the module's weights, so there is nothing to write by the piece."""
        return self.write(model, folder, signature, quantization, calibration)


def load_segments(folder: Path, manifest: "Manifest", threads: int) -> list[EagerSegment]:
    """As `load`, cut where the exits are."""
    return segments_of(load(folder, manifest, threads).model)


def load(folder: Path, manifest: "Manifest", threads: int) -> EagerSession:
    """The artifact's module, on `threads` threads.

    Raises:
        MillisError: as `read_module`.
    """
    from millis import backends

    backends.options(Eager, manifest)
    torch.set_num_threads(threads)
    return session_of(read_module(folder, manifest, threads))


def session_of(model: Any) -> EagerSession:
    """A module of any family as a session, and as a decoder (`millis.types.Decoder`) where it writes."""
    if not writes(model.spec.outputs):
        return EagerSession(model)
    return EagerEncoderDecoder(model) if isinstance(model, EncoderDecoder) else EagerDecoder(model)


def read_module(folder: Path, manifest: "Manifest", threads: int) -> nn.Module:
    """Build the module of `manifest.spec` and fill it with the artifact's weights, decoded on `threads` threads.

    Raises:
        MillisError: weights that are damaged or belong to another architecture.
    """
    from millis import models

    try:
        tensors = _stored(folder / FILE_NAME, threads)
        _check_sizes(manifest.spec, tensors)
        model = models.build(manifest.spec)
        names = [key.removesuffix(f".{SCALE}") for key in tensors if key.endswith(f".{SCALE}")]
        layers = {name: _int8_layer(model, name, tensors) for name in names}
        model.load_state_dict(tensors, strict=False)
        for name, layer in layers.items():
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, layer)
        if missing := sorted(set(_fp32(model)) - set(tensors)):
            raise KeyError(f"no tensor {missing[0]!r}")
    except MillisError:
        raise
    except Exception as error:  # of safetensors, PyTorch, transformers and the constructors that a spec reaches
        reason = (str(error).strip() or type(error).__name__).splitlines()[-1].strip()
        raise MillisError(
            f"the weights in {folder} do not fit the architecture in its manifest: {reason}. Make the artifact again"
        ) from error
    return model


def _check_sizes(spec: Spec, tensors: Mapping[str, Tensor]) -> None:
    """Build the module without memory and compare; the file's own sizes are bounded by its bytes, a spec's by nothing.

    Raises:
        RuntimeError: a tensor of another shape, or more values that the file lacks than it has.
    """
    from millis import models

    with torch.device("meta"):
        expected = models.build(spec).state_dict(keep_vars=True)  # a weight of several names is one object
    for name, value in expected.items():
        if name in tensors and tensors[name].shape != value.shape:
            raise RuntimeError(f"{name} is {tuple(tensors[name].shape)}, expected {tuple(value.shape)}")
    stored = {id(value) for name, value in expected.items() if name in tensors}
    lacking = {id(value): (value.numel(), name) for name, value in expected.items() if id(value) not in stored}
    if sum(size for size, _ in lacking.values()) > sum(value.numel() for value in tensors.values()):
        raise RuntimeError(f"no tensor {max(lacking.values())[1]!r}")


def _stored(path: Path, threads: int) -> dict[str, Tensor]:
    archive = archive_of(path)
    if archive is None:
        return load_file(path)
    with warnings.catch_warnings():  # the archive is mapped read-only, and nothing writes to weights
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return {name: torch.from_numpy(tensor) for name, tensor in read_tensors(archive, path.name, threads).items()}


def operators(folder: Path, manifest: "Manifest", threads: int, requests: Sequence[Features]) -> list[Operator]:
    """What each of PyTorch's operators takes of its own, by kind: PyTorch does not name the places they run in."""
    from torch.profiler import ProfilerActivity, profile, record_function

    session = load(folder, manifest, threads)
    for features in requests[:WARM]:
        session(features)
    waited = []
    with profile(activities=[ProfilerActivity.CPU]) as told:
        for features in requests:
            before = waited_ns()
            with record_function(REQUEST):
                session(features)
            waited.append((waited_ns() - before) / 1e3)
    return summarised(_by_request(told.events()), waited)


def _by_request(events: Sequence[Any]) -> list[list[Time]]:
    """What each operator took of its own, request by request, of what PyTorch's profiler saw."""
    begins = sorted(event.time_range.start for event in events if event.key == REQUEST)
    times: list[list[Time]] = [[] for _ in begins]
    for event in events:
        place = bisect_right(begins, event.time_range.start) - 1
        if event.key != REQUEST and place >= 0:
            times[place].append((event.key, event.key, event.self_cpu_time_total))
    return times


def _check_supported(quantization: Quantization) -> None:
    plain = Quantization(per_channel=quantization.per_channel)
    asked, known = asdict(quantization), asdict(plain)
    if others := [name for name in asked if asked[name] != known[name]]:
        told = ", ".join(f"{name}={asked[name]!r}" for name in others)
        raise MillisError(
            f"backend=eager got a quantization with {told}; expected dynamic int8 of every linear layer "
            "(quantization=dynamic), all that PyTorch computes. Use backend=onnxruntime for any other"
        )


def _fp32(model: nn.Module) -> dict[str, Tensor]:
    """The tensors outside int8 layers; those shared by several names (tied weights) under the first name only."""
    packed = tuple(f"{name}." for name in _int8_layers(model))
    return unshared({name: value for name, value in model.state_dict().items() if not name.startswith(packed)})


def _int8_layers(model: nn.Module) -> dict[str, Any]:
    return {name: m for name, m in model.named_modules() if type(m).__module__ == INT8_MODULE}


def _int8(model: nn.Module, quantization: Quantization) -> dict[str, Tensor]:
    ao = _torch_ao()
    config = ao.quantization.per_channel_dynamic_qconfig
    if not quantization.per_channel:
        config = ao.quantization.default_dynamic_qconfig
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the deprecation this file's first lines speak of
        quantized = ao.quantization.quantize_dynamic(copy.deepcopy(model).cpu().eval(), {nn.Linear: config})
    tensors = _fp32(quantized)
    for name, linear in _int8_layers(quantized).items():
        weight, bias = linear.weight(), linear.bias()
        per_channel = weight.qscheme() == torch.per_channel_affine
        tensors[f"{name}.weight"] = weight.int_repr()
        tensors[f"{name}.{SCALE}"] = weight.q_per_channel_scales() if per_channel else torch.tensor(weight.q_scale())
        zero = weight.q_per_channel_zero_points() if per_channel else torch.tensor(weight.q_zero_point())
        tensors[f"{name}.{ZERO_POINT}"] = zero
        if bias is not None:
            tensors[f"{name}.bias"] = bias
    return tensors


def _int8_layer(model: nn.Module, name: str, tensors: dict[str, Tensor]) -> nn.Module:
    """The int8 form of the linear layer `name`, made of its tensors, which are taken out of `tensors`."""
    dynamic = _torch_ao().nn.quantized.dynamic
    values, bias = tensors.pop(f"{name}.weight"), tensors.pop(f"{name}.bias", None)
    scale, zero = tensors.pop(f"{name}.{SCALE}"), tensors.pop(f"{name}.{ZERO_POINT}")
    fresh = model.get_parameter(f"{name}.weight")
    if fresh.shape != values.shape:
        raise RuntimeError(f"{name}.weight is {tuple(values.shape)}, expected {tuple(fresh.shape)}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if scale.dim():
            weight = torch._make_per_channel_quantized_tensor(values, scale.double(), zero.long(), 0)
        else:
            weight = torch._make_per_tensor_quantized_tensor(values, float(scale), int(zero))
        linear = dynamic.Linear(values.shape[1], values.shape[0], bias_=bias is not None)
    linear.set_weight_bias(weight, bias)
    return cast(nn.Module, linear)


def _torch_ao() -> Any:
    """`torch.ao`, with the fastest int8 kernels of this machine chosen.

    On all-MiniLM-L6-v2 at 32 tokens (AVX-512 VNNI): x86 8.1 ms, fbgemm 8.1 ms, onednn 10.4 ms. qnnpack is ARM's.
    """
    try:
        import torch.ao.nn.quantized.dynamic
        import torch.ao.quantization

        _ = torch.ao.quantization.quantize_dynamic
    except (ImportError, AttributeError) as error:
        raise MillisError(
            f"PyTorch {torch.__version__} has no dynamic quantization (torch.ao) any more; expected one that does. "
            "Use backend=onnxruntime for int8, or PyTorch 2.13"
        ) from error
    supported = torch.backends.quantized.supported_engines
    engine = next((name for name in ENGINES if name in supported), None)
    if engine is None:
        raise MillisError("this PyTorch has no int8 kernels for this machine. Use backend=onnxruntime for int8")
    torch.backends.quantized.engine = engine
    return torch.ao
