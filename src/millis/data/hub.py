"""A data set of the Hugging Face Hub as a source, through `datasets`."""

from typing import Any

from millis.data.dataset import Columns, Dataset, dataset_from_rows
from millis.errors import MillisError


class Hub:
    """`datasets.load_dataset(path, config)` with its `ClassLabel` names.

    Args:
        path: Name on the Hub, such as `nyu-mll/glue`.
        config: Configuration, such as `sst2`.
        name: How runs on it are named.
        text, text_pair, label: Columns; None finds the usual names.
        train, validation, test: Names of the Hub's splits, slices such as `train[:10%]` allowed; null as in `Local`.
        unseen_labels: `error`, or `drop` rows whose label never occurs in training.
        limit: At most this many rows a split.
    """

    def __init__(
        self,
        path: str,
        config: str | None = None,
        name: str | None = None,
        text: str | None = None,
        text_pair: str | None = None,
        label: str = "label",
        train: str = "train",
        validation: str | None = "validation",
        test: str | None = "test",
        unseen_labels: str = "error",
        limit: int | None = None,
    ) -> None:
        self.path, self.config = path, config
        self.name = name or config or path.rsplit("/", 1)[-1]
        self.columns = Columns(text, text_pair, label)
        self.stems = {"train": train, "validation": validation, "test": test}
        self.unseen_labels = unseen_labels
        self.limit = limit

    def __call__(self) -> Dataset:
        """Load the splits.

        Raises:
            MillisError: the Hub cannot be reached and nothing is cached, or it has no such data set or split.
        """
        wanted = {split: stem for split, stem in self.stems.items() if stem is not None}
        loaded = {split: self._load(stem) for split, stem in wanted.items()}
        feature = loaded["train"].features.get(self.columns.label)
        return dataset_from_rows(
            self.name,
            {split: rows.to_list() for split, rows in loaded.items()},
            self.columns,
            getattr(feature, "names", None),
            unseen_labels=self.unseen_labels,
            limit=self.limit,
        )

    def _load(self, split: str) -> Any:
        import datasets

        try:
            return datasets.load_dataset(self.path, self.config, split=split)
        except Exception as error:  # `datasets` raises many kinds, some of its own, some of its HTTP client
            raise MillisError(
                f"cannot load {self.path!r} ({self.config or 'no config'}, split {split!r}) from the Hub: "
                f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no reason given'}. "
                "Check the name and the network (HF_HUB_OFFLINE must not be 1 for a first download), or use files: "
                "data=local data.path=FOLDER, or the embedded corpus: data=bundled"
            ) from error
