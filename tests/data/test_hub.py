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
    assert data.test.references == [1, 0]


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


@pytest.fixture
def prepared(monkeypatch):
    """A function that sets what `datasets` has, split → labels of its rows; other splits are refused as it does."""

    def set_splits(features=None, **splits):
        def load_dataset(path, config, split):
            if split.split("[")[0] not in splits:
                raise ValueError(f'Unknown split "{split}". Should be one of {list(splits)}.')
            labels = splits[split.split("[")[0]]
            texts = [f"{split} {i}" for i in range(len(labels))]
            loaded = datasets.Dataset.from_dict({"text": texts, "label": labels}, features=features)
            loaded.info.splits = dict.fromkeys(splits)
            return loaded

        monkeypatch.setattr(datasets, "load_dataset", load_dataset)

    return set_splits


def test_a_missing_validation_split_is_cut_and_said(prepared):
    prepared(train=["a", "b"] * 10, test=["a", "b"])
    data = Hub("imdb")()
    assert [len(split) for split in (data.train, data.validation, data.test)] == [18, 2, 2]
    assert data.notes == ["no validation split: 10 % of train was set aside"]


def test_splits_of_other_names_are_said(prepared):
    prepared(train=["a", "b"] * 10, validation_matched=["a"], test_matched=["b"])
    assert Hub("glue", "mnli")().notes == [
        "splits that were not used: validation_matched, test_matched (data.validation=NAME takes one)",
        "no test split: 10 % of train was set aside as the test split",
        "no validation split: 10 % of train was set aside",
    ]
    data = Hub("glue", "mnli", train="train[:50%]+train[50%:]", validation="validation_matched", test="test_matched")()
    assert data.notes == []


def test_a_test_split_of_minus_one_is_left_out_and_said(prepared):
    classes = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["no", "yes"])})
    for features in (classes, None):
        prepared(features, train=[0, 1] * 10, validation=[0, 1], test=[-1, -1])
        data = Hub("glue")()
        assert data.test.texts == ["validation 0", "validation 1"]
        assert data.notes == [
            "the test split has no labels and was not used",
            "no test split: validation is the test split",
            "no validation split: 10 % of train was set aside",
        ]


@pytest.mark.parametrize("options", [{"train": "training"}, {"validation": "dev"}])
def test_a_named_split_that_is_not_there(prepared, options):
    prepared(train=["a", "b"], test=["a"])
    (name,) = options.values()
    with pytest.raises(MillisError) as caught:
        Hub("imdb", **options)()
    assert f"split '{name}') from the Hub: ValueError: Unknown split" in str(caught.value)
    assert str(caught.value).endswith(
        "Should be one of ['train', 'test']. Name its splits with data.train=, data.validation=, data.test=, or set "
        "one that it lacks to null"
    )


def test_a_label_that_is_a_list_is_refused_with_its_row(prepared):
    prepared(train=[["a"], ["a", "b"]], test=[["a"]])
    with pytest.raises(
        MillisError, match=r"^shop, split train, row 1: column 'label' holds a list \(\['a'\]\); expected one"
    ):
        Hub("shop")()


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
