import json

import pytest
from signatures import answering
from specs import static

from millis.errors import MillisError
from millis.storage.manifest import FILE_NAME, Manifest, open_manifest, seal, size_bytes
from millis.tasks.classification import Classification
from millis.tasks.language_model import LanguageModel
from millis.types import Output


@pytest.fixture
def artifact(tmp_path):
    (tmp_path / "weights").write_bytes(b"12345")
    (tmp_path / "tokenizer.json").write_bytes(b"123")
    manifest = Manifest(
        name="tiny",
        backend="eager",
        spec=static(),
        task=answering("no", "yes"),
        inputs=("input_ids", "attention_mask"),
        max_length=16,
        parity={"label_agreement": 1.0},
    )
    seal(tmp_path, manifest)
    return tmp_path


FILE = {"sha256": "0", "bytes": 1}
TASK = answering("no", "yes")
GREEDY = "millis.generation.greedy.Greedy"


def edit(artifact, **changes):
    path = artifact / FILE_NAME
    values = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in values.items() if value is not ...}))


def test_what_is_sealed_is_what_is_opened(artifact):
    manifest = open_manifest(artifact)
    assert (manifest.answers, manifest.parity) == (Classification(labels=("no", "yes")), {"label_agreement": 1.0})
    assert size_bytes(manifest) == 5 + 3
    # SHA-256 of "123", from coreutils.
    assert manifest.files["tokenizer.json"]["sha256"].startswith("a665a45920422f9d417e4867efdc4fb8")


def test_an_artifact_of_version_1_is_a_classifier(artifact):
    edit(artifact, version=1, task=..., labels=["no", "yes"])
    assert open_manifest(artifact).answers == Classification(labels=("no", "yes"))


def test_keys_this_version_does_not_know_are_left_alone(artifact):
    edit(artifact, colour="green")
    assert open_manifest(artifact).name == "tiny"


def test_a_folder_that_is_no_artifact(tmp_path):
    with pytest.raises(MillisError, match=r"is not a millis artifact: it has no manifest.json. Make one with"):
        open_manifest(tmp_path)


def test_a_task_of_a_later_millis_is_no_damage(artifact):
    edit(artifact, task=TASK | {"name": "telepathy"})
    with pytest.raises(MillisError, match=r"answers task 'telepathy', of which this millis knows nothing \(.*ranking"):
        open_manifest(artifact)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "other"}, r"has format 'other', expected 'millis-artifact': not made by millis"),
        ({"format": ...}, r"has format None, expected 'millis-artifact'"),
        ({"version": 3}, r"manifest version 3, this millis reads up to 2: load it with the millis that wrote it"),
        ({"task": "no"}, r"is damaged: task is 'no': expected object, got str. Make the artifact again"),
        ({"task": {}}, r"is damaged: in task, name is None: expected one of classification"),
        ({"task": TASK | {"name": "../x"}}, r"is damaged: in task, name is '../x': expected one of classification"),
        ({"task": TASK | {"labels": "no"}}, r"is damaged: in task, labels is 'no': expected array, got str"),
        ({"task": TASK | {"labels": []}}, r"is damaged: in task, labels is \[\]: expected array of length >= 1"),
        ({"task": TASK | {"labels": [1, 2]}}, r"is damaged: in task, labels\[0\] is 1: expected str, got int"),
        ({"task": TASK | {"labels": ["no", "no"]}}, r"is damaged: in task, labels has 'no' twice: expected names that"),
        (
            {"task": TASK | {"labels": ["no"]}, "spec": static(num_labels=2).to_json()},
            r"is damaged: task answers 1 labels \(no\): expected 2, one for each of the model's outputs",
        ),
        ({"inputs": ["input_ids", "pixels"]}, r"is damaged: inputs\[1\] is 'pixels': expected str matching"),
        ({"spec": ...}, r"is damaged: .*missing required field spec"),
        ({"spec": {"family": "statik"}}, r"is damaged: spec.family is 'statik': expected one of bilstm, convolution"),
        ({"spec": {"family": "../x"}}, r"is damaged: spec.family is '../x': expected one of"),
        ({"spec": {}}, r"is damaged: spec.family is None: expected one of bilstm, convolution"),
        ({"spec": {"family": "static"}}, r"is damaged: spec has neither num_labels nor outputs: what the model gives"),
        ({"spec": static().to_json() | {"size": -1}}, r"is damaged: spec.size is -1: expected int >= 0"),
        ({"backend": "cascade"}, r"is damaged: artifact 'tiny' is no cascade of two members \(object missing required"),
        ({"spec": {"family": 5}}, r"is damaged: spec.family is 5: expected str, got int"),
        ({"spec": {"num_labels": "2"}}, r"is damaged: spec.num_labels is '2': expected int, got str"),
        ({"spec": {"exits": 1}}, r"is damaged: spec.exits is 1: expected array \| null, got int"),
        ({"early_exit": {"threshold": "x"}}, r"is damaged: early_exit.threshold is 'x': expected float, got str"),
        ({"max_length": 0}, r"is damaged: max_length is 0: expected int >= 1"),
        ({"max_length": 10**12}, r"is damaged: max_length is 1000000000000: expected int <= 131072"),
        ({"max_length": True}, r"is damaged: max_length is True: expected int, got bool"),
        ({"quantization": 8}, r"is damaged: quantization is 8: expected object \| null, got int"),
        ({"parity": {"label_agreement": "1"}}, r"is damaged: parity\['label_agreement'\] is '1': expected float"),
        ({"files": {"../weights": FILE}}, r"is damaged: file name '../weights' leads out of the artifact"),
        ({"files": {"/etc/passwd": FILE}}, r"is damaged: file name '/etc/passwd' leads out of the artifact"),
        ({"files": {"weights": "abc"}}, r"is damaged: files\['weights'\] is 'abc': expected object, got str"),
        ({"files": {"weights": {}}}, r"is damaged: object missing required field sha256 in files\['weights'\]"),
    ],
)
def test_a_manifest_that_is_wrong(artifact, changes, message):
    edit(artifact, **changes)
    with pytest.raises(MillisError, match=message):
        open_manifest(artifact)


@pytest.mark.parametrize("text", ["{", "[]", "\xff\xfe", "[" * 100_000, '{"labels": ' * 100_000, "9" * 5000])
def test_a_manifest_that_is_not_one(artifact, text):
    (artifact / FILE_NAME).write_bytes(text.encode("latin-1"))
    with pytest.raises(MillisError, match=r"manifest.json is damaged: .* Make the artifact again"):
        open_manifest(artifact)


def test_a_size_that_the_manifest_has_otherwise(artifact):
    files = json.loads((artifact / FILE_NAME).read_text())["files"]
    edit(artifact, files={**files, "weights": {**files["weights"], "bytes": 6}})
    with pytest.raises(MillisError, match=r"is damaged: weights has 5 bytes, its manifest says 6. Copy or make"):
        open_manifest(artifact)


def test_a_missing_file(artifact):
    (artifact / "weights").unlink()
    with pytest.raises(MillisError, match=r"is damaged: weights is missing. Copy or make it again"):
        open_manifest(artifact, verify=False)


def test_a_file_nobody_listed(artifact):
    (artifact / "hook.py").write_text("raise SystemExit")
    with pytest.raises(MillisError, match=r"holds files its manifest does not list: hook.py. Remove them"):
        open_manifest(artifact, verify=False)


def test_a_folder_in_place_of_a_file(artifact):
    (artifact / "weights").unlink()
    (artifact / "weights").mkdir()
    with pytest.raises(MillisError, match=r"is damaged: weights is not a file"):
        open_manifest(artifact)


def test_a_changed_file_is_found_unless_nobody_looks(artifact):
    (artifact / "weights").write_bytes(b"12346")
    with pytest.raises(MillisError, match=r"is damaged: weights does not match its checksum. Copy or make it again"):
        open_manifest(artifact)
    assert open_manifest(artifact, verify=False).name == "tiny"


def writes(artifact, **changes):
    """Makes the artifact one that says which of 12 tokens comes next."""
    spec = {
        "family": "transformer", "encoder": {"model_type": "llama", "vocab_size": 12}, "pooling": "mean",
        "dropout": 0.0, "outputs": [["next", "token", 12, "next"]],
    }  # fmt: skip
    edit(artifact, spec=spec | changes.pop("spec", {}), task={"name": "language_model"}, **changes)


def test_the_width_over_a_vocabulary_is_the_models(artifact):
    writes(artifact)
    manifest = open_manifest(artifact)
    assert manifest.signature.outputs == manifest.spec.outputs == (Output("next", "token", 12, "next"),)
    assert manifest.answers == LanguageModel() and manifest.generation is None


@pytest.mark.parametrize(("changes", "message"), [
    ({"spec": {"outputs": [["next", "token", 12, "one"]]}}, "task answers the next token: expected 12, one for each"),
    ({"spec": {"outputs": [["next", "text", 12, "next"]]}}, "task answers the next token: expected 12 (next), one for"),
    ({"spec": {"outputs": [["next", "token", 12, "next"]] * 2}}, "task answers the next token: expected 12 of next"),
    ({"spec": {"outputs": [["next", "token", -1, "next"]]}}, "outputs[0][2] is -1: expected int >= 0"),
    ({"generation": 3}, "generation is 3: expected object | null, got int"),
    ({"generation": {"_target_": "millis.generation.best.Best"}}, "generation._target_ is 'millis.generation.best"),
    ({"generation": {"_target_": GREEDY, "temperature": 1}}, "generation has no 'temperature'"),
])  # fmt: skip
def test_a_manifest_of_what_writes_that_is_wrong(artifact, changes, message):
    writes(artifact, **changes)
    with pytest.raises(MillisError) as error:
        open_manifest(artifact)
    assert f"{FILE_NAME} is damaged: " in str(error.value) and message in str(error.value)
