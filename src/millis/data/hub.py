"""A data set of the Hugging Face Hub as a source, through `datasets`."""

from dataclasses import dataclass
from typing import Any

from millis.data.assemble import dataset_from_tables
from millis.data.dataset import Dataset
from millis.data.formats.arrow import dataset_table
from millis.data.one_label import ONE_LABEL
from millis.data.references import References
from millis.data.stored import Stored
from millis.errors import MillisError


@dataclass(frozen=True)
class Hub(Stored):
    """`datasets.load_dataset(path, config)` with its `ClassLabel` names.

    Args:
        path: Name on the Hub, such as `nyu-mll/glue`.
        config: Configuration, such as `sst2`.
        train, validation, test, ...: As for `Stored`; slices such as `train[:10%]` are names too.
    """

    path: str
    config: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.name or self.config or self.path.rsplit("/", 1)[-1])

    def __call__(self, references: References = ONE_LABEL) -> Dataset:
        """Load the splits; one that is missing under its usual name is cut from train.

        Args:
            references: What is read beside the texts.

        Raises:
            MillisError: the Hub cannot be reached and nothing is cached, or it has no such data set or split.
        """
        wanted = {split: stem for split, stem in self.stems.items() if stem is not None}
        loaded = {"train": self._load(wanted.pop("train"))}
        there = list(loaded["train"].info.splits or ())  # empty where `datasets` does not say
        missing = [split for split, stem in wanted.items() if there and stem == split and split not in there]
        loaded |= {split: self._load(stem) for split, stem in wanted.items() if split not in missing}
        used = {part.split("[")[0] for stem in self.stems.values() if stem for part in stem.split("+")}
        unused = [name for name in there if name not in used]
        notes = []
        if missing and unused:
            notes.append(f"splits that were not used: {', '.join(unused)} (data.{missing[0]}=NAME takes one)")
        return dataset_from_tables(
            self.name,
            {split: [dataset_table(f"{self.name}, split {split}", rows)] for split, rows in loaded.items()},
            self.columns,
            references=references,
            unseen_labels=self.unseen_labels,
            limit=self.limit,
            unlabelled=self.unlabelled,
            notes=notes,
        )

    def _load(self, split: str) -> Any:
        import datasets

        try:
            return datasets.load_dataset(self.path, self.config, split=split)
        except Exception as error:  # `datasets` raises many kinds, some of its own, some of its HTTP client
            reason = str(error).splitlines()[0].rstrip(".") if str(error) else "no reason given"
            raise MillisError(
                f"cannot load {self.path!r} ({self.config or 'no config'}, split {split!r}) from the Hub: "
                f"{type(error).__name__}: {reason}. {_remedy(error)}"
            ) from error


def _remedy(error: Exception) -> str:
    if isinstance(error, ValueError) and "Unknown split" in str(error):
        return "Name its splits with data.train=, data.validation=, data.test=, or set one that it lacks to null"
    return (
        "Check the name and the network (HF_HUB_OFFLINE must not be 1 for a first download), or use files: "
        "data=local data.path=FOLDER, or the embedded corpus: data=bundled"
    )
