"""Folders as people have them: files, shards, saved data sets, and what is not clear."""

import datasets
import pyarrow
import pyarrow.parquet
import pytest

from millis.data.layout import elsewhere, files_of, other_validation, root_of
from millis.data.local import Local
from millis.errors import MillisError

NAMES = ["fruit", "metal", "sky"]
FEATURES = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=NAMES)})


def touched(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def found(folder, stem="train"):
    return [str(path.relative_to(folder)) for path in files_of(folder, stem, stem)]


def dataset(split, rows=9):
    texts = {"text": [f"{split} {i}" for i in range(rows)], "label": [i % 3 for i in range(rows)]}
    return datasets.Dataset.from_dict(texts, features=FEATURES)


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        (["train.csv", "test.csv", "train.txt", "training.csv"], ["train.csv"]),
        (["train-00001-of-00002.parquet", "train-00000-of-00002.parquet"],
         ["train-00000-of-00002.parquet", "train-00001-of-00002.parquet"]),
        (["train-00000-of-00001-3f2a9c.parquet"], ["train-00000-of-00001-3f2a9c.parquet"]),
        (["train/part-00001.csv.gz", "train/part-00000.csv.gz", "train/_SUCCESS", "train/.part-00000.csv.gz.crc"],
         ["train/part-00000.csv.gz", "train/part-00001.csv.gz"]),
        (["test.csv"], []),
        (["train.txt.gz", "test.csv"], ["train.txt.gz"]),
        (["train/notes.txt", "train.jsonl"], ["train.jsonl"]),
    ],
)  # fmt: skip
def test_forms_of_a_split(tmp_path, there, expected):
    assert found(touched(tmp_path, *there)) == expected


@pytest.mark.parametrize(
    ("there", "named"),
    [
        (["train.csv", "train.jsonl"], "train.jsonl and train.csv can each be the train split. Keep one, or name the "
                                       "file that is read, as in data.train=train.jsonl"),
        (["train.csv", "train.csv.gz"], "train.csv and train.csv.gz can each"),
        (["train.csv", "train-00000-of-00001.parquet"], "train.csv and train-00000-of-00001.parquet can each"),
        (["train.csv", "train/part-0.csv"], "train.csv and train/part-0.csv can each"),
        (["train/a.csv", "train/a.jsonl"], "train/a.jsonl and train/a.csv can each"),
    ],
)  # fmt: skip
def test_two_candidates_are_refused_with_both_names(tmp_path, there, named):
    with pytest.raises(MillisError) as caught:
        found(touched(tmp_path, *there))
    assert str(caught.value).startswith(f"{tmp_path}: {named}")


def test_the_whole_name_of_a_file_names_it(tmp_path):
    assert found(touched(tmp_path, "train.csv", "train.jsonl", "sub/a.csv"), "train.csv") == ["train.csv"]
    assert found(tmp_path, "sub/a") == ["sub/a.csv"]


@pytest.mark.parametrize("there", [["train-00000-of-00002.csv"],
                                   ["train-00000-of-00001-aa.csv", "train-00000-of-00001-bb.csv"]])  # fmt: skip
def test_a_missing_shard_and_one_too_many(tmp_path, there):
    with pytest.raises(
        MillisError, match=rf"found {len(there)} shards such as train-00000-of-.*; expected {3 - len(there)}, n"
    ):
        found(touched(tmp_path, *there))


def test_splits_lie_in_the_folder_or_in_its_data(tmp_path):
    assert root_of(touched(tmp_path, "data/train.csv"), "train") == tmp_path / "data"
    assert root_of(touched(tmp_path, "train.csv"), "train") == tmp_path


@pytest.mark.parametrize("test", ["test.csv", "test/part-0.csv", "test-00000-of-00001.parquet"])
def test_a_split_elsewhere_than_the_training_split(tmp_path, test):
    inner = tmp_path / "data"
    assert elsewhere(touched(tmp_path, test), inner, "test") == tmp_path / "test"
    assert elsewhere(tmp_path, tmp_path, "test") is None
    assert elsewhere(touched(tmp_path, f"data/{test}"), tmp_path, "test") == inner / "test"
    assert elsewhere(tmp_path, inner, "validation") is None


def test_other_names_of_a_validation_split(tmp_path):
    assert other_validation(touched(tmp_path, "train.csv", "dev.csv", "val/x.csv", "devices.csv")) == ["dev", "val"]


def test_what_datasets_saves_is_read(tmp_path):
    saved = datasets.DatasetDict({split: dataset(split) for split in ("train", "validation", "test")})
    saved.save_to_disk(tmp_path)
    data = Local(str(tmp_path))()
    assert data.labels == ("fruit", "metal", "sky")
    assert data.train.texts == [f"train {i}" for i in range(9)]
    assert data.test.references == [0, 1, 2] * 3
    assert data.notes == []


def test_one_saved_data_set_is_the_training_split(tmp_path):
    dataset("train", 30).save_to_disk(tmp_path, num_shards=2)
    data = Local(str(tmp_path))()
    assert [len(split) for split in (data.train, data.validation, data.test)] == [24, 3, 3]


@pytest.mark.parametrize("place", ["", "train"])
def test_caches_beside_a_saved_data_set_are_no_rows_of_it(tmp_path, place):
    dataset("train").save_to_disk(tmp_path / place)
    datasets.load_from_disk(tmp_path / place).map(lambda row: {"text": row["text"].upper()})
    assert list(tmp_path.rglob("cache-*.arrow"))
    assert found(tmp_path) == [str((tmp_path / place / "data-00000-of-00001.arrow").relative_to(tmp_path))]


@pytest.mark.parametrize("state", ["", "[]", "{}", '{"_data_files": [1]}'])
def test_a_saved_data_set_with_a_broken_state(tmp_path, state):
    (tmp_path / "state.json").write_text(state)
    with pytest.raises(MillisError, match=r"state\.json names no data files .*Save the data set again"):
        found(tmp_path)


def test_shards_of_a_repository_are_read_in_order(tmp_path):
    (tmp_path / "data").mkdir()
    for split in ("train", "validation", "test"):
        for i in range(2):
            dataset(split).shard(2, i, contiguous=True).to_parquet(tmp_path / f"data/{split}-{i:05d}-of-00002.parquet")
    data = Local(str(tmp_path))()
    assert data.labels == ("fruit", "metal", "sky")
    assert data.train.texts == [f"train {i}" for i in range(9)]


def test_an_error_names_the_shard_and_its_row(tmp_path):
    for i, label in enumerate(("a", None)):
        table = pyarrow.table({"text": ["x", "y"], "label": ["b", label]})
        pyarrow.parquet.write_table(table, tmp_path / f"train-{i:05d}-of-00002.parquet")
    with pytest.raises(MillisError, match=r"train-00001-of-00002\.parquet, row 2: column 'label' is empty"):
        Local(str(tmp_path))()
