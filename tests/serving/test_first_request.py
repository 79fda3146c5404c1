"""What only an answer shows of an artifact is found when it is loaded."""

import hashlib
import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from signatures import answering

from millis.backends.artifact import write_artifact
from millis.backends.eager import Eager
from millis.backends.onnxruntime import OnnxRuntime
from millis.errors import MillisError
from millis.serving.runner import load


@pytest.fixture(params=[Eager(), OnnxRuntime()], ids=["eager", "onnxruntime"])
def artifact(request, tmp_path, static, tokenizer, manifest):
    write_artifact(tmp_path / "a", static, tokenizer(), request.param, manifest(spec=static.spec), None)
    return tmp_path / "a"


def edit(folder, **changes):
    """Change fields of the manifest, checksums as the files now are."""
    path = folder / "manifest.json"
    values = json.loads(path.read_text()) | changes
    for name in values["files"]:
        content = (folder / name).read_bytes()
        values["files"][name] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    path.write_text(json.dumps(values))


def test_a_whole_artifact_loads(artifact):
    assert load(artifact).predict("a b").label in ("no", "yes")


@pytest.mark.parametrize("labels", [["no"], ["no", "yes", "perhaps"]])
def test_labels_are_counted_against_logits(artifact, labels):
    spec = json.loads((artifact / "manifest.json").read_text())["spec"]
    edit(artifact, task=answering(*labels))
    with pytest.raises(MillisError, match=rf"task answers {len(labels)} labels \(no.*\): expected 2, one"):
        load(artifact)
    edit(artifact, spec={**spec, "num_labels": len(labels)})  # a spec that lies as well
    with pytest.raises(
        MillisError, match=rf"outputs of \(1, 2\), expected \(1, {len(labels)}\)|head.weight is \(2, 16\), expected"
    ):
        load(artifact)


def test_a_tokenizer_that_would_panic(artifact):
    path = artifact / "tokenizer.json"
    values = json.loads(path.read_text())
    values["post_processor"]["special_tokens"].pop("[SEP]")
    path.write_text(json.dumps(values))
    edit(artifact)
    with pytest.raises(MillisError, match=r"tokenizer.json cannot (tokenize|be read): .*Make the artifact again"):
        load(artifact)


@pytest.mark.parametrize("change", [
    lambda values: values["post_processor"]["pair"].append({"SpecialToken": {"id": "[X]", "type_id": 1}}),
    lambda values: values["model"]["vocab"].pop("[UNK]"),
    lambda values: values["post_processor"]["special_tokens"]["[SEP]"].update(ids=[99]),
    lambda values: values["model"]["vocab"].update(h=4_000_000_000),
], ids=["pair", "unknown", "special", "sparse"])  # fmt: skip
def test_what_some_texts_alone_would_show_of_a_tokenizer(artifact, change):
    path = artifact / "tokenizer.json"
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))
    edit(artifact)
    with pytest.raises(MillisError, match=r"tokenizer.json (cannot be read|cannot tokenize|has ids up to \d+)"):
        load(artifact)


def test_a_length_that_special_tokens_alone_exceed(artifact):
    edit(artifact, max_length=1)
    with pytest.raises(MillisError, match=r"cannot tokenize: .*Make the artifact again"):
        load(artifact)


def test_more_tokens_than_rows(artifact):
    path = artifact / "tokenizer.json"
    values = json.loads(path.read_text())
    values["model"]["vocab"]["more"] = len(values["model"]["vocab"])
    path.write_text(json.dumps(values))
    edit(artifact)
    with pytest.raises(MillisError, match=r"has ids up to 12, the model's table 12 rows: they do not belong"):
        load(artifact)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda spec: {**spec, "vocab_size": 10**12}, r"vectors.weight is \(12, 16\), expected \(1000000000000, 16\)"),
        (lambda spec: {**spec, "size": 17}, r"is \(12, 16\), expected \(12, 17\)"),
        (lambda spec: {**spec, "size": "17"}, r"manifest.json is damaged: spec.size is '17': expected int, got str"),
        (
            lambda spec: {"family": "static", "num_labels": 2},
            "manifest.json is damaged: object missing required field vocab_size in spec",
        ),
        (lambda spec: {**spec, "size": -1}, "manifest.json is damaged: spec.size is -1: expected int >= 0"),
    ],
)
@pytest.mark.parametrize("artifact", [Eager()], ids=["eager"], indirect=True)
def test_a_spec_that_the_weights_do_not_fit_is_refused_before_it_is_built(artifact, change, message):
    edit(artifact, spec=change(json.loads((artifact / "manifest.json").read_text())["spec"]))
    with pytest.raises(MillisError, match=message):
        load(artifact)


@pytest.mark.parametrize("artifact", [Eager()], ids=["eager"], indirect=True)
def test_weights_of_another_shape_or_without_one(artifact):
    path = artifact / "model.safetensors"
    whole = load_file(path)
    name = next(name for name in whole if name.endswith("head.weight"))
    for changed in (
        {**whole, name: np.zeros((2, 3), np.float32)},
        {key: value for key, value in whole.items() if key != name},
    ):
        save_file(changed, path)
        edit(artifact)
        with pytest.raises(MillisError, match=r"the weights in .* do not fit the architecture in its manifest"):
            load(artifact)


@pytest.mark.parametrize("artifact", [OnnxRuntime()], ids=["onnxruntime"], indirect=True)
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"spinning": []}, r"options that backend=onnxruntime does not take: spinning is \[\]: expected str"),
        ({"affinity": 5}, r"affinity is 5: expected array \| null, got int"),
        ({"affinity": ["0"]}, r"affinity\[0\] is '0': expected int, got str"),
    ],
)
def test_options_of_another_kind(artifact, options, message):
    edit(artifact, options=options)
    with pytest.raises(MillisError, match=message):
        load(artifact)
