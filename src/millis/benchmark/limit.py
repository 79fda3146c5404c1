"""How far from the machine's limit: the least time that a model's arithmetic and weights take, and the measured.

    floor = max(operations / rate, bytes / bandwidth)

(the roofline of Williams, Waterman and Patterson 2009). Operations and weights are `millis.models.work`'s, for a
request of the median length; the rate is that of the precision the artifact multiplies in. Weights that fit the largest
cache need not come from memory for every request, so their bytes are told but set no floor. A floor is for the model
alone: what the tokenizer, feeding and decoding take is listed apart.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from millis.benchmark.rates import Rates
from millis.models.work import Work, count
from millis.storage.manifest import Manifest

MICROSECONDS = 1e3


@dataclass(frozen=True)
class Limit:
    """An artifact against its floor.

    Args:
        tokens: Length of the request that was counted.
        operations: Of its matrix products.
        bytes_read: Of weights and rows.
        precision: That products are computed in: `fp32`, `bf16` or `int8`.
        arithmetic_ms, memory_ms: What either takes at least; memory is 0 for what fits the cache.
        measured_ms: The median of the `compute` stage.
        tokenize_us, python_us: Medians of the rest, in microseconds: the tokenizer; feeding and decoding.
    """

    tokens: int
    operations: int
    bytes_read: int
    precision: str
    arithmetic_ms: float
    memory_ms: float
    measured_ms: float
    tokenize_us: float
    python_us: float

    @property
    def floor_ms(self) -> float:
        """The larger of the two."""
        return max(self.arithmetic_ms, self.memory_ms)

    @property
    def over_floor(self) -> float:
        """Measured / floor, above 1."""
        return self.measured_ms / self.floor_ms


def limit_of(manifest: Manifest, tokens: int, stages_ms: Mapping[str, float], rates: Rates) -> Limit:
    """The floor of an artifact for a request of `tokens` tokens, and how far its measured stages are from it."""
    work = count(manifest.spec, tokens)
    precision, read = precision_of(manifest), bytes_read(manifest, work)
    fits = read <= rates.cache_bytes
    return Limit(
        tokens=tokens,
        operations=work.operations,
        bytes_read=read,
        precision=precision,
        arithmetic_ms=1e3 * work.operations / (getattr(rates, precision) or rates.fp32),
        memory_ms=0.0 if fits else 1e3 * read / rates.bandwidth,
        measured_ms=stages_ms["compute"],
        tokenize_us=MICROSECONDS * stages_ms["tokenize"],
        python_us=MICROSECONDS * (stages_ms["feed"] + stages_ms["decode"]),
    )


def precision_of(manifest: Manifest) -> str:
    """What products are computed in: integers where weights are, for kernels of stored blocks round activations too."""
    return "int8" if manifest.quantization is not None else str(manifest.options.get("precision", "fp32"))


def bytes_read(manifest: Manifest, work: Work) -> int:
    """Bytes of `work`'s weights and rows as the artifact stores them; scales are left out."""
    quantization = manifest.quantization
    if quantization is None:
        each = 2.0 if manifest.options.get("precision") == "bf16" else 4.0
        return int(each * work.weights + each * work.rows)
    tables = 4.0 if manifest.backend == "eager" else 1.0  # eager leaves tables in fp32
    return int(quantization["weights"] / 8 * work.weights + tables * work.rows)
