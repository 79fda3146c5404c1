"""What every stage starts from: the data set and the task that a config names."""

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from millis.cli.targets import instantiate
from millis.data.dataset import Dataset
from millis.data.references import References
from millis.metrics.contract import AnyMetric
from millis.tasks.contract import Task
from millis.tasks.judging import item_scores
from millis.units import SIGN


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
    task: Task
    data_fingerprint: str
    cache: Path

    @property
    def metric(self) -> AnyMetric:
        """What models are judged by."""
        return self.task.metrics()[self.task.metric]

    def score(self, predictions: Any, references: Any) -> float:
        """The task's metric of items, negated where lower is better: whatever selects models takes the largest.

        All of the task's metrics are taken, so that one that is undefined on this split is refused in the first epoch.
        """
        values = item_scores(self.task, predictions, references)
        return SIGN[self.metric.better] * values[self.task.metric]

    def validation_score(self, answers: Any, targets: Any) -> float:
        """As `score`, of a model's answers to the whole validation split.

        Args:
            answers: In the split's order, as `millis.data.positions.answers` has them, [N].
            targets: What is learned of each, alike, [N].
        """
        return self.score(*self.task.items(answers, targets, self.dataset.validation.references))


def load_inputs(cfg: DictConfig) -> Inputs:
    """Read the data that `cfg.data` names and make the task; read once a process.

    Raises:
        MillisError: a metric of the task cannot work with the data's labels.
    """
    configured: Task = instantiate(cfg.task)
    dataset, data_fingerprint = _dataset(json.dumps(plain(cfg.data), sort_keys=True), configured.references)
    return Inputs(dataset, configured.learned(dataset), data_fingerprint, Path(cfg.paths.cache).absolute())


@lru_cache(maxsize=2)
def _dataset(node: str, references: References) -> tuple[Dataset, str]:
    dataset: Dataset = instantiate(json.loads(node))(references)
    return dataset, dataset.fingerprint
