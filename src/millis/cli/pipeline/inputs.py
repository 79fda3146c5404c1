"""What every stage starts from: the data set and the task that a config names."""

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from millis.cli.targets import instantiate
from millis.data.dataset import Dataset
from millis.tasks.classification import Classification


def plain(node: Any) -> Any:
    """A config node as plain, resolved containers: what fingerprints, manifests and records hold."""
    return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node


@dataclass(frozen=True)
class Inputs:
    """The data and what is predicted from it.

    Args:
        cache: Folder under which every stage keeps its outputs.
    """

    dataset: Dataset
    task: Classification
    data_fingerprint: str
    cache: Path

    def score(self, predictions: Any, references: Any) -> float:
        """The task's metric in percent: what models are selected by."""
        return self.task.scores(predictions, references, self.dataset.labels)[self.task.metric]

    @property
    def class_counts(self) -> list[int]:
        """Training rows of each label, [C]."""
        counts = [0] * len(self.dataset.labels)
        for label in self.dataset.train.labels:
            counts[label] += 1
        return counts


def load_inputs(cfg: DictConfig) -> Inputs:
    """Read the data that `cfg.data` names and make the task; read once a process."""
    dataset, data_fingerprint = _dataset(json.dumps(plain(cfg.data), sort_keys=True))
    return Inputs(dataset, instantiate(cfg.task), data_fingerprint, Path(cfg.paths.cache).absolute())


@lru_cache(maxsize=2)
def _dataset(node: str) -> tuple[Dataset, str]:
    dataset: Dataset = instantiate(json.loads(node))()
    return dataset, dataset.fingerprint
