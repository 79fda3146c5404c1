"""Every compression method through `millis compress`, on a tiny teacher: what is asked for is what is deployed."""

import re
from pathlib import Path

import pytest
from tiny import TINY, millis, write_data

from millis.record import read_records
from millis.serving.runner import load
from millis.storage.manifest import open_manifest

FAST = ["trainer.max_epochs=4", "trainer.patience=4", "student.layers=2"]
# A teacher of seconds is sure of little; half of three labels is reached, and any drop is allowed.
EXITS = ["early_exit.policy=maximum_probability", "early_exit.quality_drop=100"]
METHODS = {
    "element": ["pruning=magnitude", "pruning.sparsity=0.5"],
    "movement": ["pruning=movement", "pruning.sparsity=0.5"],
    "n_m": ["pruning=wanda_24"],
    "heads": ["pruning=heads"],
    "neurons": ["pruning=neurons"],
    "layers": ["pruning=layers"],
    "hidden": ["pruning=hidden"],
    "l0": ["pruning=l0"],
    "svd": ["factorization=svd"],
    "fwsvd": ["factorization=fwsvd"],
    "embedding": ["factorization=embedding", "factorization.rank.rank=8"],
    "vocabulary": ["factorization=vocabulary"],
    "lora": ["adapter=lora"],
    "adalora": ["adapter=adalora"],
    "typos": ["augmentation=typos"],
    "hidden states": ["distillation=hidden"],
    "relations": ["distillation=minilmv2"],
    "two stages": ["distillation=tinybert"],
    "pruned to a latency": [
        "pruning=to_latency",
        "pruning.target_speedup=1.01",
        "pruning.tolerance=0.5",
        "pruning.samples=40",
        "pruning.steps=2",
    ],
    "sparsegpt": ["pruning=sparsegpt"],
    "static": ["quantization=static"],
    "fallback": ["quantization=fallback"],
    "weight only": ["quantization=weight_only_4"],
    "gptq": ["quantization=gptq"],
    "awq": ["quantization=awq"],
    "smooth": ["quantization=smooth"],
    "qat": ["quantization=qat"],
    "lsq": ["quantization=qat_lsq"],
    "static qat": ["quantization=qat_static"],
    "joint": ["recipe=joint"],
    "pruned weights, then rounded": ["pruning=magnitude", "quantization=qat"],
    "ensemble": ["ensemble=[1]"],
    "exits": ["early_exit=joint", *EXITS],
    "exits by turns, pruned": ["early_exit=alternating", "pruning=heads", *EXITS],
    "exits alone, int8": ["early_exit=two_stage", "quantization=dynamic", *EXITS],
    "exits, static": ["early_exit=joint", "quantization=static", *EXITS],
    "exits, gptq": ["early_exit=joint", "quantization=gptq", *EXITS],
    "exits, trained for int8": ["early_exit=joint", "quantization=qat_lsq", *EXITS],
    "exits alone after int8": ["early_exit=two_stage", "quantization=qat_static", *EXITS],
    "tokens": ["tokens=learned"],
    "tokens, pruned, int8": ["tokens=learned", "pruning=neurons", "quantization=qat"],
    "exits, openvino": ["early_exit=joint", "backend=openvino", *EXITS],
    "exits from the last, eager": ["early_exit=self_distillation", "backend=eager", *EXITS],
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Data and outputs that all tests here share, the teacher among them."""
    folder = tmp_path_factory.mktemp("methods")
    write_data(folder / "data")
    return folder


def compress(place, capsys, *overrides):
    """The student's record."""
    assert millis(place, "compress", *TINY, f"data.path={place / 'data'}", *FAST, *overrides) == 0
    output = capsys.readouterr().out
    return next(r for r in read_records(Path(re.search(r"records: (\S+)", output)[1])) if r.kind == "student")


@pytest.mark.parametrize("overrides", METHODS.values(), ids=METHODS)
def test_method_ends_in_an_artifact_that_answers_as_its_model_does(place, capsys, overrides):
    record = compress(place, capsys, *overrides)
    assert record.parity["label_agreement"] >= 0.8  # of 18 texts; the tests of each method are sharper
    runner = load(Path(record.artifact), 1)
    assert runner.predict("where is my parcel now").label in {"refund", "track", "cancel"}


def test_a_record_of_exits_says_what_was_saved_and_risked(place, capsys):
    record = compress(place, capsys, "early_exit=joint", "backend=onnxruntime", *EXITS)  # native's whole takes 20 µs
    shares = [record.metrics[f"exit_after_{layers}_layers_share"] for layers in (1, 2)]
    assert sum(shares) == pytest.approx(1)
    assert record.metrics["exit_layer_mean"] == pytest.approx(shares[0] + 2 * shares[1])
    assert record.metrics["expected_saving_share"] == pytest.approx(shares[0] / 2)
    assert -1 < record.metrics["measured_saving_share"] < 1  # not twice as slow as the whole model
    assert any("with 95% confidence accuracy drops by at most" in note for note in record.notes)
    settings = open_manifest(Path(record.artifact)).early_exit
    assert settings["policy"] == "maximum_probability"
    assert settings["accuracy_drop_bound"] >= settings["quality_drop"]
    predict = ["predict", f"artifact={record.artifact}", "deadline_ms=60000", "texts=[where is my parcel]"]
    assert millis(place, *predict) == 0
    assert re.search(r"step [12]/2  where is my parcel", capsys.readouterr().out)


def test_a_record_of_dropped_tokens_says_how_many_and_what_it_saved(place, capsys):
    record = compress(place, capsys, "tokens=learned", "trainer.batch_size=4")
    assert 0 < record.metrics["tokens_kept_share"] < 1
    assert -1 < record.metrics["measured_saving_share"] < 1
    assert any("of the test texts' tokens" in note and "go through a feed-forward" in note for note in record.notes)


def test_a_teacher_fine_tuned_by_adapters_is_the_plain_model(place, capsys):
    artifacts = []
    for adapter in ("none", "lora"):
        overrides = [f"data.path={place / 'data'}", f"adapter@teacher.adapter={adapter}"]
        assert millis(place, "train", *TINY, *overrides) == 0
        artifacts.append(Path(re.search(r"artifact: (\S+)", capsys.readouterr().out)[1]))
    plain, adapted = map(open_manifest, artifacts)
    assert adapted.spec == plain.spec
    assert adapted.fingerprint != plain.fingerprint
    assert load(artifacts[1], 1).predict("where is my parcel now").label in plain.task["labels"]


def test_bad_input_of_methods_is_one_sentence(place, capsys):
    for overrides, message in (
        (
            ["pruning=magnitude", "pruning.sparsity=1.0"],
            "pruning.sparsity=1.0: expected the share of weights to remove",
        ),
        (["pruning=wanda_24", "pruning.targets=[layr]"], "layr"),
        (["pruning=to_latency", "pruning.target_speedup=50", "pruning.samples=20", "pruning.steps=2"], "times as fast"),
        (["factorization=svd", "factorization.rank.ratio=2"], "factorization.rank.ratio=2"),
        (["quantization=qat", "backend=eager"], "imitates the integers of onnxruntime and native"),
        (["quantization=gptq", "backend=eager"], "which integers are stored, and backend=eager finds its own"),
        (["early_exit=joint", "early_exit.layers=[7]"], "asks for an exit after layer 7: the student has 2 layers"),
        (["early_exit=joint", "early_exit.policy=patience"], "lets one of 15 validation texts leave before the last"),
        (["tokens=learned", "tokens.layers=[7]"], "asks for layer 7: the student has 2 layers"),
        (["distillation=tinybert", "trainer.max_epochs=1"], "too few for 2 stages"),
    ):
        assert millis(place, "compress", *TINY, f"data.path={place / 'data'}", *FAST, *overrides) != 0
        error = capsys.readouterr().err
        assert error.splitlines()[-1].startswith("error: ")
        assert message in error
