"""The teacher's features on the training rows: computed once, half precision, memory-mapped, real tokens only.

One `.npy` file a feature, [tokens, width] float16, rows laid end to end as their token ids are (`Encoded.offsets`), so
that recipes which ask for some of the same features share them. Half precision has 11 bits: a value is off by at most
1 part in 2,048.
"""

from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from millis.data.batches import Rows, model_inputs
from millis.distillation.shards import Parts, made_together
from millis.distillation.teacher_cache import shards_of, spans
from millis.errors import MillisError
from millis.models.features import Feature, Sizes, capture
from millis.store import atomic_file, cached, fingerprint

BYTES = 2  # of a float16


@dataclass(frozen=True)
class FeatureCache:
    """Cached features, read batch by batch from disk.

    Args:
        arrays: Feature → [tokens, width] float16, memory-mapped.
        offsets: [N + 1]; row i's tokens are `offsets[i]:offsets[i + 1]`.
    """

    arrays: dict[Feature, NDArray[np.float16]]
    offsets: NDArray[np.int64]

    def __reduce__(self) -> tuple[Any, ...]:
        """What travels to another process: where the features lie. NumPy would send gigabytes of content."""
        files = {feature: getattr(array, "filename") for feature, array in self.arrays.items()}  # noqa: B009 of a memmap
        return _reopened, (files, self.offsets)

    def batch(self, rows: Tensor) -> dict[Feature, Tensor]:
        """Feature → [B, S, width] float16 of the rows [B], 0 at padding, S the longest row's tokens."""
        index = rows.cpu().numpy()
        starts, lengths = self.offsets[index], self.offsets[index + 1] - self.offsets[index]
        columns = np.arange(lengths.max())
        mask = columns < lengths[:, None]
        positions = (starts[:, None] + columns)[mask]
        found = {}
        for feature, array in self.arrays.items():
            padded = np.zeros((*mask.shape, array.shape[1]), dtype=np.float16)
            padded[mask] = array[positions]
            found[feature] = torch.from_numpy(padded)
        return found


def _reopened(files: dict[Feature, str], offsets: NDArray[np.int64]) -> FeatureCache:
    return FeatureCache(
        {name: np.load(file, mmap_mode="r", allow_pickle=False) for name, file in files.items()}, offsets
    )


def cache_bytes(features: Collection[Feature], sizes: Sizes, tokens: int) -> int:
    """What caching `features` of that many tokens takes on disk."""
    return tokens * BYTES * sum(sizes.width(feature) for feature in features)


def cached_features(
    teacher: Any, sizes: Sizes, features: Collection[Feature], rows: Rows, folder: Path
) -> FeatureCache:
    """The teacher's features on every row; those that lie in `folder` already are not computed again.

    Args:
        sizes: The teacher's.
        folder: Its name should hold the fingerprint of the teacher and the rows.

    Raises:
        MillisError: a feature outside half precision's range, a damaged file, or no space.
    """
    paths = {feature: folder / f"{feature.kind}-{feature.layer}.npy" for feature in sorted(features)}
    if missing := {feature: path for feature, path in paths.items() if not path.is_file()}:
        _make(teacher, sizes, missing, rows, folder)
    tokens = len(rows.encoded.ids)
    arrays = {}
    for feature, path in paths.items():
        with cached(path):
            arrays[feature] = np.load(path, mmap_mode="r", allow_pickle=False)
            if arrays[feature].shape != (tokens, sizes.width(feature)):
                raise ValueError(f"{arrays[feature].shape} is not {(tokens, sizes.width(feature))}")
    return FeatureCache(arrays, rows.encoded.offsets)


def _make(teacher: Any, sizes: Sizes, paths: dict[Feature, Path], rows: Rows, folder: Path) -> None:
    """Make the files of `paths`, together with the workers that want the same of the same teacher."""
    tokens, shards = len(rows.encoded.ids), shards_of(rows.encoded.lengths)
    teacher.eval()

    def join(read: Callable[[int], Parts]) -> None:
        with ExitStack() as files:
            arrays = [
                np.lib.format.open_memmap(
                    files.enter_context(atomic_file(path)), "w+", np.float16, (tokens, sizes.width(feature))
                )
                for feature, path in paths.items()
            ]
            for shard, batches in enumerate(shards):
                positions = np.concatenate([spans(rows.encoded.offsets, index) for index in batches])
                for array, part in zip(arrays, read(shard), strict=True):
                    array[positions] = part
            for array in arrays:
                array.flush()

    made_together(
        folder / fingerprint([path.name for path in paths.values()]),
        len(shards),
        lambda: all(path.is_file() for path in paths.values()),
        lambda shard: _features_of(teacher, list(paths), rows, shards[shard]),
        join,
    )


def _features_of(
    teacher: Any, features: Sequence[Feature], rows: Rows, batches: Sequence[NDArray[np.int64]]
) -> list[NDArray[np.float16]]:
    """Each feature of the rows of some batches, their tokens end to end, [tokens, width]."""
    device = next(teacher.parameters()).device
    parts: dict[Feature, list[NDArray[np.float16]]] = {feature: [] for feature in features}
    for index in batches:
        batch = rows.__getitems__(index.tolist())
        with capture(teacher, features) as found, torch.inference_mode():
            teacher(**{name: value.to(device) for name, value in model_inputs(batch).items()})
        mask = batch["attention_mask"].bool()
        for feature in features:
            values = found[feature].cpu()[mask].half()
            if not torch.isfinite(values).all():
                raise MillisError(
                    f"the teacher's feature {feature} is outside half precision (±65,504) on some text: set "
                    "distillation.cache=false to run the teacher in every step instead"
                )
            parts[feature].append(values.numpy())
    return [np.concatenate(parts[feature]) for feature in features]
