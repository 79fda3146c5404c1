"""The Hub as a source, with `datasets.load_dataset` replaced: no test reaches the network."""

import datasets
import pytest

from millis.data.hub import Hub
from millis.errors import MillisError

FEATURES = datasets.Features({"sentence": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])})


@pytest.fixture
def hub(monkeypatch):
    """Answers every load with two rows, and tells what was asked for."""
    asked = []

    def load_dataset(path, config, split):
        asked.append((path, config, split))
        rows = {"sentence": [f"good {split}", f"bad {split}"], "label": [1, 0]}
        return datasets.Dataset.from_dict(rows, features=FEATURES)

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    return asked


def test_the_splits_come_with_the_names_of_their_labels(hub):
    data = Hub("nyu-mll/glue", "sst2")()
    assert hub == [("nyu-mll/glue", "sst2", split) for split in ("train", "validation", "test")]
    assert (data.name, data.labels) == ("sst2", ("neg", "pos"))
    assert data.test.texts == ["good test", "bad test"]
    assert data.test.labels == [1, 0]


def test_names_without_a_config_come_from_the_path(hub):
    assert Hub("fancyzhx/ag_news")().name == "ag_news"
    assert Hub("fancyzhx/ag_news", name="news")().name == "news"


def test_slices_and_columns_are_passed_on(hub):
    data = Hub("p", text="sentence", train="train[:10%]", validation="train[10%:]", test="validation", limit=1)()
    assert [split for _, _, split in hub] == ["train[:10%]", "train[10%:]", "validation"]
    assert len(data.train) == len(data.test) == 1


def test_a_split_set_to_null_is_not_loaded(hub):
    data = Hub("p", test=None, validation="validation")
    with pytest.raises(MillisError, match="no split can be cut from train"):  # one row a label
        data()
    assert [split for _, _, split in hub] == ["train", "validation"]


def test_a_hub_out_of_reach_says_what_to_do(monkeypatch):
    def load_dataset(*_, **__):
        raise ConnectionError("Couldn't reach 'nyu-mll/glue' on the Hub (OfflineModeIsEnabled)\nsecond line")

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with pytest.raises(MillisError) as caught:
        Hub("nyu-mll/glue", "sst2")()
    assert str(caught.value) == (
        "cannot load 'nyu-mll/glue' (sst2, split 'train') from the Hub: ConnectionError: Couldn't reach 'nyu-mll/glue' "
        "on the Hub (OfflineModeIsEnabled). Check the name and the network (HF_HUB_OFFLINE must not be 1 for a first "
        "download), or use files: data=local data.path=FOLDER, or the embedded corpus: data=bundled"
    )


def test_an_error_without_words(monkeypatch):
    def load_dataset(*_, **__):
        raise TimeoutError

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with pytest.raises(MillisError, match=r"'p' \(no config, split 'train'\) .* TimeoutError: no reason given\. Check"):
        Hub("p")()
