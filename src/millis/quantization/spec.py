"""What is quantized and how: the request; each backend answers it with its own arithmetic.

Nothing heavy is imported here, for artifacts that are served carry this description too.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from millis.errors import MillisError, nearest
from millis.quantization.qat import Aware
from millis.traits import IMITABLE, IN_TRAINING, INTEGERS, MOVES_WEIGHTS, STORES, Reasons, Traits

ACTIVATIONS = ("dynamic", "static", "none")
METHODS = ("min_max", "percentile", "entropy")
BLOCK_SIZES = (16, 32, 64, 128, 256)
IMITATED = (
    "quantization-aware training imitates the integers of onnxruntime and native, and backend={backend} computes "
    "others. Choose backend=onnxruntime or backend=native, or quantization=dynamic"
)
GIVEN = (
    "quantization.gptq decides which integers are stored, and backend={backend} finds its own. Choose backend=native, "
    "onnxruntime or openvino, or set quantization.gptq=null"
)


@dataclass(frozen=True)
class Calibration:
    """How the ranges of activations are found from texts, before deployment.

    Args:
        method: `min_max` covers every value; `percentile` drops the outermost; `entropy` clips where the histogram of
            what is left diverges least. Transformers have a few large activations that carry meaning: on
            all-MiniLM-L6-v2 (static int8) the mean cosine to the fp32 sentence vectors is 0.992 with min_max, 0.993
            with percentile 99.99, 0.84 with 99.9 and 0.96 with entropy.
        percentile: Share of a tensor's values, in percent, that `percentile` keeps, cut at both ends alike.
        texts: How many training texts are read. 128 of 20 tokens give each tensor a million values.
    """

    method: str = "min_max"
    percentile: float = 99.99
    texts: int = 128

    def __post_init__(self) -> None:
        _check_choice("calibration.method", self.method, METHODS)
        if not 50 < self.percentile <= 100:
            raise MillisError(
                f"quantization.calibration.percentile={self.percentile}: expected above 50, up to 100 (nothing is "
                "clipped); 99.99 is usual"
            )
        if self.texts < 1:
            raise MillisError(f"quantization.calibration.texts={self.texts}: expected at least 1; 128 is usual")


@dataclass(frozen=True)
class Fallback:
    """Keep in fp32 the linear layers whose rounding costs most, chosen by measurement on the calibration texts.

    Layers are kept, the most damaging first, until the mean KL(fp32 ‖ quantized) a text is at most `damage`, or
    `layers` of them are kept; see `millis.quantization.sensitivity`. On all-MiniLM-L6-v2 with a fitted head (31 labels,
    static int8) everything rounded costs 0.038 nats, all but the worst six layers 0.013, and smoothing alone 0.010.

    How many layers are kept depends on the weights, so a latency measured with untrained ones does not hold.

    Args:
        damage: In nats.
        layers: At most this many.
    """

    damage: float = 0.01
    layers: int = 4

    def __post_init__(self) -> None:
        if self.damage < 0 or self.layers < 1:
            raise MillisError(
                f"quantization.fallback.damage={self.damage}, layers={self.layers}: expected damage of at least 0 nats "
                "and at least 1 layer; or quantization.fallback=null to keep none"
            )


@dataclass(frozen=True)
class Gptq:
    """Rounding that makes good at some inputs of a linear layer what it loses at others (2210.17323), on calibration
    texts; see `millis.quantization.gptq`.

    Args:
        dampening: Share of the mean square of a layer's inputs that is added to each input's, as if by noise: the more,
            the less the rounding leans on the calibration texts. The authors' 0.01.
        largest_first: Whether the inputs with the largest squares are rounded first, while all others can still make
            good for them; else they come in their order.
    """

    dampening: float = 0.01
    largest_first: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.dampening <= 1:
            raise MillisError(
                f"quantization.gptq.dampening={self.dampening}: expected above 0 (with fewer texts than inputs nothing "
                "else says what an input weighs), up to 1; 0.01 is usual"
            )


@dataclass(frozen=True)
class Awq:
    """Weights that large activations meet are scaled up before they are rounded (2306.00978), on calibration texts; see
    `millis.quantization.awq`.

    Args:
        steps: How many α in [0, 1) are tried for each set of layers that read the same; the authors' 20.
    """

    steps: int = 20

    def __post_init__(self) -> None:
        if self.steps < 2:
            raise MillisError(
                f"quantization.awq.steps={self.steps}: expected at least 2, of which the first scales nothing; 20 is "
                "usual"
            )


@dataclass(frozen=True)
class Quantization:
    """Integer arithmetic for matrix products, integer storage for embedding tables.

    Args:
        weights: Bits of a weight: 8, or 4 with `activations=none`.
        activations: `dynamic` takes a tensor's range at run time (no calibration); `static` fixes it beforehand, with
            `calibration`; `none` leaves activations as they are and stores weights in blocks: smaller files, and the
            most exact of the three.
        per_channel: One scale for each output channel. On all-MiniLM-L6-v2 it raises the mean cosine to the fp32
            sentence vectors from 0.966 to 0.993 at no cost in time, hence the default.
        block_size: With `activations=none`, how many inputs of a channel share a scale: larger is faster and coarser.
        calibration: How ranges are found; `static`, `smooth`, `fallback`, `gptq` and `awq` need it.
        smooth: SmoothQuant's α (Xiao et al. 2023, 2211.10438, equation 4): how much of the activations' spread between
            channels is moved into the weights; None moves nothing. See `millis.quantization.smooth`.
        keep: Patterns of layer names that stay fp32, such as `head` or `encoder.encoder.layer.0.*`.
        int8: With 4 bits, patterns of names of linear layers that get 8: of a language model above all the output
            matrix, `head`, which may be its token table too.
        fallback: Choose further layers that stay fp32 by measurement; None chooses none.
        gptq: Round linear layers by what they do on calibration texts; None rounds each weight to the nearest.
        awq: Scale linear layers before, by what they read on calibration texts; None scales nothing. Of weights alone.
        reduce_range: Weights of 7 bits, for processors whose u8 x s8 products saturate; `auto` decides by the
            processor that trains or writes, see `millis.quantization.processor`.
        aware: How training gets to know the rounding; None quantizes afterwards.

    Raises:
        MillisError: values outside these, or a combination that no backend computes.
    """

    weights: int = 8
    activations: str = "dynamic"
    per_channel: bool = True
    block_size: int | None = None
    calibration: Calibration | None = None
    smooth: float | None = None
    keep: tuple[str, ...] = ()
    int8: tuple[str, ...] = ()
    fallback: Fallback | None = None
    gptq: Gptq | None = None
    awq: Awq | None = None
    reduce_range: bool | str = "auto"
    aware: Aware | None = None
    called: ClassVar[str] = "quantization.aware"
    instead: ClassVar[str] = "quantization=dynamic"

    def __post_init__(self) -> None:
        for name, patterns in (("keep", self.keep), ("int8", self.int8)):
            if isinstance(patterns, str):
                raise MillisError(
                    f"quantization.{name}={patterns!r}: expected a list of patterns, such as ['{patterns}']"
                )
            object.__setattr__(self, name, tuple(str(pattern) for pattern in patterns))  # a config gives a list
        _check_choice("activations", self.activations, ACTIVATIONS)
        self._check_weights()
        self._check_calibration()
        if self.reduce_range not in ("auto", True, False):
            raise MillisError(f"quantization.reduce_range={self.reduce_range!r}: expected auto, true or false")
        if self.aware is not None and any(one is not None for one in (self.smooth, self.fallback, self.gptq, self.awq)):
            raise MillisError(
                "quantization.aware trains the weights on their grid; smooth, fallback, gptq and awq would move them "
                "off it again. Set quantization.smooth=null, quantization.fallback=null, quantization.gptq=null and "
                "quantization.awq=null"
            )

    @property
    def traits(self) -> Traits:
        """Integers; where training knows of the rounding, it acts in training."""
        return (INTEGERS,) if self.aware is None else (INTEGERS, IN_TRAINING, MOVES_WEIGHTS)

    @property
    def needs(self) -> Reasons:
        """Training imitates the integers of one runtime; GPTQ hands its own over."""
        if self.aware is not None:
            return {IMITABLE: IMITATED}
        return {} if self.gptq is None else {STORES: GIVEN}

    @property
    def untrained(self) -> "Quantization":
        """The same arithmetic for weights that say nothing yet: nothing is chosen or rounded by what they do."""
        return replace(self, fallback=None, gptq=None, awq=None)

    @property
    def calibrates(self) -> bool:
        """Whether writing an artifact needs calibration texts."""
        read = (self.smooth, self.fallback, self.gptq, self.awq)
        return self.activations == "static" or any(one is not None for one in read)

    def describe(self) -> str:
        """`int8`, `int8 static`, `int4 weights gptq`, `int8 qat`: for the name of a recipe."""
        parts = {
            f"int{self.weights}": True,
            "static": self.activations == "static",
            "weights": self.activations == "none",
            "smooth": self.smooth is not None,
            "gptq": self.gptq is not None,
            "awq": self.awq is not None,
            "qat": self.aware is not None,
        }
        return " ".join(part for part, holds in parts.items() if holds)

    def _check_weights(self) -> None:
        if self.weights not in (4, 8):
            raise MillisError(f"quantization.weights={self.weights} is not supported: expected 8 or 4 bits")
        if self.int8 and self.weights == 8:
            raise MillisError(
                f"quantization.int8={list(self.int8)} names layers that get 8 bits, and quantization.weights=8 gives "
                "them to all. Set quantization.int8=[], or weights=4 with activations=none"
            )
        blocks = self.activations == "none"
        if self.weights == 4 and not blocks:
            raise MillisError(
                f"quantization.weights=4 with activations={self.activations!r} is not supported: no backend multiplies "
                "4 by 8 bits. Use quantization.activations=none, or weights=8"
            )
        if blocks and self.block_size not in BLOCK_SIZES:
            raise MillisError(
                f"quantization.block_size={self.block_size} with activations='none': expected one of "
                f"{', '.join(map(str, BLOCK_SIZES))}; 32 is usual"
            )
        if not blocks and self.block_size is not None:
            raise MillisError(
                f"quantization.block_size={self.block_size} needs activations=none; with {self.activations!r} a scale "
                "serves a whole channel or tensor: set quantization.block_size=null"
            )
        if blocks and not (self.per_channel and self.smooth is None and self.reduce_range is not True):
            raise MillisError(
                f"quantization.activations='none' got per_channel={self.per_channel}, smooth={self.smooth}, "
                f"reduce_range={self.reduce_range}: blocks lie within a channel and activations are not rounded. "
                "Expected per_channel=true, smooth=null, reduce_range=auto"
            )

    def _check_calibration(self) -> None:
        if self.awq is not None and self.activations != "none":
            raise MillisError(
                f"quantization.awq with activations={self.activations!r} would make weights finer and activations that "
                "are rounded coarser. Set quantization.activations=none, or choose quantization=smooth"
            )
        if self.smooth is not None and not 0 <= self.smooth <= 1:
            raise MillisError(
                f"quantization.smooth={self.smooth}: expected α from 0 (weights keep their spread) to 1 (activations "
                "give up all of theirs); 0.5 to 0.8 is usual"
            )
        if self.calibrates and self.calibration is None:
            raise MillisError(
                f"quantization with activations={self.activations!r}, smooth={self.smooth}, "
                f"fallback={self.fallback}, gptq={self.gptq}, awq={self.awq} reads calibration texts, but "
                "quantization.calibration is null. Choose quantization=static, smooth, gptq or awq, or give "
                "calibration a method and texts"
            )


def none() -> None:
    """fp32: what `conf/quantization/none.yaml` asks for."""


def _check_choice(name: str, value: Any, choices: Collection[str]) -> None:
    if value not in choices:
        raise MillisError(
            f"quantization.{name}={value!r} is not supported: expected one of {', '.join(choices)}"
            f"{nearest(str(value), choices)}"
        )
