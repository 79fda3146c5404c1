"""Elastic weights in a folder of their own: what lies in it, and that a run made of it is that which they came from."""

import json
import os
import shutil
from dataclasses import replace

import pytest

from millis.backends.native import Native
from millis.benchmark.latency import Options
from millis.cli.recipes import bundled_run
from millis.data.local import Local
from millis.errors import MillisError
from millis.generation.draft.lookup import Lookup
from millis.generation.greedy import Greedy
from millis.pipeline import bundle, elastic
from millis.pipeline.bundle import FILE_NAME, WEIGHTS, bundled, opened
from millis.pipeline.elastic import elastic_key, ensure_elastic
from millis.pipeline.place import Place
from millis.pipeline.student import plan
from millis.pipeline.taught_answers import blend_path

SIZES = ["student=elastic", "student.elastic.layers=[1,2]", "student.elastic.samples=8"]
NOTHING = {"backend": Native(), "quantization": None, "benchmark": Options(), "budget": {}}


@pytest.fixture(scope="module")
def folder(asked):
    run = asked(*SIZES)
    ensure_elastic(run)
    return bundled(run)


@pytest.fixture
def changed(folder, tmp_path):
    """Makes a copy whose `elastic.json` says something else."""

    def make(**said):
        copy = tmp_path / "copy"
        shutil.copytree(folder, copy)
        values = json.loads((copy / FILE_NAME).read_text())
        (copy / FILE_NAME).write_text(json.dumps(values | said))
        return copy

    return make


def test_it_has_all_that_students_are_cut_out_and_compared_with(folder, asked):
    assert folder.parent.name == "elastic"
    assert sorted(path.name for path in folder.iterdir()) == [FILE_NAME, "teacher", WEIGHTS]
    found = opened(folder)
    assert found.key == elastic_key(asked(*SIZES))
    assert found.trained.epochs == 2 and found.fine_tuned.epochs == 3


def test_it_is_the_same_whatever_was_cut_out_first(folder, asked):
    assert bundled(asked(*SIZES, "student.layers=1", "student.tune_epochs=1", "quantization=dynamic")) == folder
    assert opened(folder).recipe["student"]["tune_epochs"] == 0


def test_elsewhere_nothing_is_trained_and_everything_has_the_key_that_it_had(folder, asked, tmp_path, monkeypatch):
    monkeypatch.setattr(elastic, "_trained", lambda *_: pytest.fail("they lie trained"))
    there = tmp_path / "another machine"
    shutil.copytree(folder, there / "weights")
    run = bundled_run(there / "weights", Place.under(there / "outputs"), **NOTHING)
    original = asked(*SIZES)
    assert elastic_key(run) == elastic_key(original)
    assert plan(run) == replace(plan(original), tokenizer=plan(run).tokenizer)
    mine, theirs = ensure_elastic(run).state_dict(), ensure_elastic(original).state_dict()
    assert all(bool((mine[name] == theirs[name]).all()) for name in theirs)
    assert run.teacher.folder == there / "weights" / "teacher"


def test_of_weights_without_a_blend_none_is_kept_and_none_is_put_elsewhere(
    folder, asked, changed, tmp_path, monkeypatch
):
    """Else whatever is trained under this teacher there would go without it."""
    run, found = asked(*SIZES, "blend=false"), opened(folder)
    assert blend_path(run.teacher).is_file() and found.blend is not None and found.blend.weight > 0
    with monkeypatch.context() as trained:  # in place of such weights
        trained.setattr(bundle, "elastic_path", lambda _: folder / WEIGHTS)
        trained.setattr(bundle, "elastic_training", lambda _: found.trained)
        bare = bundled(replace(run, place=replace(run.place, outputs=tmp_path / "outputs")))
    assert opened(bare).blend is None
    copy = changed(recipe=opened(bare).recipe, blend={"weight": 0.0}, key=elastic_key(run))
    made = bundled_run(copy, Place.under(tmp_path / "another machine"), **NOTHING)
    assert not blend_path(made.teacher).is_file()


def test_what_writes_keeps_no_draft_of_the_first_machine(asked):
    recipe = replace(asked(*SIZES).recipe, generation=Greedy(max_tokens=7, draft=Lookup()))
    assert bundle._of_the_weights(recipe).generation == Greedy(max_tokens=7)


def test_a_copy_that_breaks_off_leaves_nothing(tmp_path, monkeypatch):
    """Where the file system knows no second names."""
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"weights")

    def refused(*_):
        raise OSError("no links")

    def broken(_, target):
        target.write_bytes(b"wei")
        raise OSError("no space left")

    monkeypatch.setattr(os, "link", refused)
    with monkeypatch.context() as full:
        full.setattr(shutil, "copyfile", broken)
        with pytest.raises(MillisError, match="no space left"):
            bundle._linked(source, target)
    assert [path.name for path in tmp_path.iterdir()] == ["source"]
    bundle._linked(source, str(target))
    assert target.read_bytes() == b"weights"


def test_a_teacher_that_was_damaged_on_the_way(changed):
    copy = changed()
    (copy / "teacher" / "tokenizer.json").write_text("{}")
    with pytest.raises(MillisError, match=r"^the teacher of the elastic weights is damaged \(.*\): copy .*copy again$"):
        opened(copy)


def test_what_is_no_folder_of_elastic_weights(folder, tmp_path):
    with pytest.raises(MillisError, match=r"teacher is an artifact of one model: expected elastic weights, which `mil"):
        opened(folder / "teacher")
    with pytest.raises(
        MillisError, match=r"is no folder of elastic weights: expected elastic weights, which `millis c"
    ):
        opened(tmp_path)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (
            {"format": "other"},
            "elastic.json cannot be read: got other 1, and this millis reads millis-elastic 1. Make the folder again$",
        ),
        ({"version": 2}, "elastic.json cannot be read: got millis-elastic 2, and this millis reads millis-elastic 1"),
        ({"recipe": 3}, "elastic.json cannot be read: recipe is 3: expected `?object"),
        ({"sha256": "0"}, "weights.safetensors is missing, or other weights than elastic.json says: make the folder"),
    ],
)
def test_a_folder_that_was_changed(changed, said, message):
    with pytest.raises(MillisError, match=message):
        opened(changed(**said))


def test_weights_of_another_architecture(folder, changed):
    recipe = json.loads((folder / FILE_NAME).read_text())["recipe"]
    recipe["student"]["elastic"]["layers"] = [1]
    with pytest.raises(
        MillisError, match=r"weights.safetensors holds another architecture .* than elastic.json describ"
    ):
        bundled_run(changed(recipe=recipe), Place.under(folder.parents[1]), **NOTHING)


def test_weights_that_were_trained_otherwise_than_is_said(folder, changed):
    recipe = json.loads((folder / FILE_NAME).read_text())["recipe"] | {"seed": 3}
    with pytest.raises(
        MillisError, match=r"elastic.json describes other elastic weights .* than it names .*: it was ch"
    ):
        bundled_run(changed(recipe=recipe), Place.under(folder.parents[1]), **NOTHING)


def test_data_of_another_task_or_of_other_rows(folder, tmp_path):
    rows = [{"text": f"{word} {i}", "label": word} for i in range(12) for word in ("good", "bad")]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    place = Place.under(folder.parents[1])
    with pytest.raises(
        MillisError, match=r"answer 3 labels \(.*\), the data has 2 labels \(bad, good\): give the data that"
    ):
        bundled_run(folder, place, Local(str(tmp_path)), **NOTHING)
    data = opened(folder).fine_tuning["data"]
    with pytest.raises(MillisError, match=r"were trained and judged on other rows .*: give the same files, data=local"):
        bundled_run(folder, place, Local(data["path"], limit=12), **NOTHING)


def test_data_that_was_in_memory(changed):
    data = {"_target_": "millis.data.memory.Memory", "name": "memory"}
    copy = changed(fine_tuning={"data": data})
    with pytest.raises(MillisError, match=r"were trained on data in memory: give data=...$"):
        bundled_run(copy, Place.under(copy), **NOTHING)


@pytest.mark.parametrize(
    "part", [{"student": {"_target_": "millis.elastic.student.ElasticStudent", "size": 3}}, {"more": 1}]
)
def test_a_recipe_that_is_none(folder, changed, part):
    recipe = json.loads((folder / FILE_NAME).read_text())["recipe"] | part
    with pytest.raises(
        MillisError, match=r"copy describes nothing that this millis can make \(.*\): make it again, or r"
    ):
        bundled_run(changed(recipe=recipe), Place.under(folder.parents[1]), **NOTHING)


def test_a_recipe_of_another_student(folder, changed):
    recipe = json.loads((folder / FILE_NAME).read_text())["recipe"]
    recipe["student"] = {"_target_": "millis.models.student.TransformerStudent"}
    with pytest.raises(MillisError, match=r"copy describes a student that is not cut out of elastic weights$"):
        bundled_run(changed(recipe=recipe), Place.under(folder.parents[1]), **NOTHING)
