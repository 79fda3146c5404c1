"""Two artifacts as one: who answers, what is checked, and that the answers are the members' own."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from millis.backends import cascade as cascades
from millis.backends.artifact import write_artifact
from millis.backends.eager import Eager
from millis.backends.onnxruntime import OnnxRuntime
from millis.backends.runner import load
from millis.backends.stepwise import StepwiseSession
from millis.early_exit.policy import maximum_probability
from millis.errors import MillisError
from millis.models import build
from millis.quantization.spec import Quantization
from millis.storage.archived import Archived
from millis.storage.manifest import FILE_NAME, open_manifest, seal, size_bytes
from millis.types import Features

TEXTS = ["a", "b c", "", "a b c d e f g h", "h h h", "g a"]


@pytest.fixture
def member(tmp_path, tokenizer, manifest, static):
    """Writes an artifact under a name and returns its folder and manifest."""

    def make(name, backend=None, seed=0, quantization=None, storage=None, special=True, **changes):
        torch.manual_seed(seed)
        model = build({**static.spec, "num_labels": len(changes.get("labels", "12"))})
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.normal_()
        described = manifest(name=name, spec=model.spec, **changes)
        backend, folder = backend or OnnxRuntime(), tmp_path / name
        write_artifact(folder, model, tokenizer(special), backend, described, quantization, storage=storage)
        return folder, open_manifest(folder)

    return make


@pytest.fixture
def cascade(tmp_path, member):
    """Writes a cascade with a threshold and returns its folder."""

    def make(threshold, fast=None, accurate=None):
        members = {"fast": fast or member("small"), "accurate": accurate or member("large", Eager(), seed=1)}
        cascades.write(tmp_path / "both", members, "small + large", threshold, fingerprint="f")
        return tmp_path / "both"

    return make


def test_each_text_gets_the_answer_of_the_member_that_is_responsible(cascade, tmp_path):
    fast, accurate = cascade(0.9).parent / "small", tmp_path / "large"
    small, large = load(fast).logits(TEXTS), load(accurate).logits(TEXTS)
    sure = maximum_probability.score([small]) >= 0.9
    assert 0 < sure.sum() < len(TEXTS), "texts of both kinds"
    runner = load(tmp_path / "both")
    assert np.array_equal(runner.logits(TEXTS), np.where(sure[:, None], small, large))
    steps = [runner.answer(runner.feed(runner.tokenize(text))).steps[0] for text in TEXTS]
    assert steps == np.where(sure, 1, 2).tolist()


@pytest.mark.parametrize(("threshold", "member_name"), [(0.0, "small"), (2.0, "large")])
def test_the_extremes_are_the_members(cascade, tmp_path, threshold, member_name):
    both = load(cascade(threshold))
    assert np.array_equal(both.logits(TEXTS), load(tmp_path / member_name).logits(TEXTS))


def test_one_folder_one_manifest(cascade, tmp_path):
    folder = cascade(0.9)
    manifest = open_manifest(folder)
    assert set(manifest.files) == {"tokenizer.json", "fast/model.onnx", "accurate/model.safetensors"}
    assert (manifest.backend, manifest.labels, manifest.fingerprint) == ("cascade", ("no", "yes"), "f")
    weights = [tmp_path / "small" / "model.onnx", tmp_path / "large" / "model.safetensors"]
    tokenizer = (tmp_path / "small" / "tokenizer.json").stat().st_size
    assert size_bytes(manifest) == sum(path.stat().st_size for path in weights) + tokenizer
    (folder / "accurate" / "model.safetensors").write_bytes(b"")
    with pytest.raises(MillisError, match=r"is damaged: accurate/model.safetensors does not match its checksum"):
        load(folder)
    (folder / "accurate" / "model.safetensors").unlink()
    with pytest.raises(MillisError, match=r"is damaged: accurate/model.safetensors is missing"):
        load(folder)


def test_a_file_nobody_listed_in_a_member(cascade):
    folder = cascade(0.9)
    (folder / "fast" / "hook.py").write_text("raise SystemExit")
    with pytest.raises(MillisError, match=r"files its manifest does not list: fast/hook.py"):
        load(folder)


def test_members_may_be_quantized_and_archived(cascade, member, tmp_path):
    archived = Archived(1, ("zlib",), ())
    fast = member("small", quantization=Quantization(), storage=archived)
    folder = cascade(0.9, fast, member("large", seed=1, storage=archived))
    manifest = open_manifest(folder)
    assert manifest.quantization["fast"]["weights"] == 8
    assert manifest.quantization["accurate"] is None
    small, large = (load(tmp_path / name).logits(TEXTS) for name in ("small", "large"))
    assert np.array_equal(
        load(folder).logits(TEXTS), np.where(maximum_probability.score([small])[:, None] >= 0.9, small, large)
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": ("a", "b", "c")}, r"must have the same labels: .*small has 2 \(no, yes, ...\), .*large has 3"),
        (
            {"max_length": 4},
            r"must have the same max_length: .*small has 8, .*large has 4. Choose two artifacts made for",
        ),
        ({"special": False}, r"must share their tokenizer, for a request is tokenised once: .* have different ones"),
    ],
)
def test_members_that_do_not_fit(cascade, member, tmp_path, changes, message):
    with pytest.raises(MillisError, match=message):
        cascade(0.9, accurate=member("large", seed=1, **changes))
    assert not (tmp_path / "both").exists()


def test_a_cascade_of_a_cascade(cascade, member, tmp_path):
    folder = cascade(0.9)
    members = {"fast": member("small"), "accurate": (folder, open_manifest(folder))}
    with pytest.raises(MillisError, match=r"accurate=.*both is a cascade itself; expected an artifact of one model"):
        cascades.write(tmp_path / "more", members, "more", 0.9)


@pytest.mark.parametrize(
    "spec", [{"family": "cascade"}, {"family": "cascade", "threshold": 0.5, "members": {"fast": 3}}]
)
def test_a_manifest_that_describes_no_cascade(cascade, manifest, spec):
    folder = cascade(0.9)
    seal(folder, manifest(backend="cascade", spec=spec))
    with pytest.raises(MillisError, match=r"is no cascade of two members .* Make the artifact again"):
        load(folder)


def test_a_cascade_as_a_member_is_not_followed(cascade):
    folder = cascade(0.9)
    path = folder / FILE_NAME
    values = json.loads(path.read_text())
    values["spec"]["members"]["fast"]["backend"] = "cascade"
    path.write_text(json.dumps(values))
    with pytest.raises(MillisError, match="has a cascade as its fast member; expected a model"):
        load(folder)


@given(rows=st.lists(st.floats(0, 4), min_size=1, max_size=6), threshold=st.floats(0.4, 1.1))
def test_rows_of_a_batch_go_their_own_ways(rows, threshold):
    """A row's logits are (its value, 0) at the fast member and (0, its first id) at the accurate one."""
    asked = []

    def fast(features):
        return np.array([[rows[row], 0] for row in features.ids[:, 0]], np.float32)

    def accurate(features):
        asked.extend(features.ids[:, 0].tolist())
        assert features.mask.shape == features.ids.shape == features.token_types.shape
        return np.array([[0, row] for row in features.ids[:, 0]], np.float32)

    ids = np.arange(len(rows))[:, None]
    session = StepwiseSession(cascades.steps_of(fast, accurate), cascades.POLICY, threshold)
    logits = session(Features(ids, np.ones_like(ids), np.zeros_like(ids)))
    unsure = [row for row, value in enumerate(rows) if 1 / (1 + np.exp(np.float32(-value))) < threshold]
    assert asked == unsure
    for row, value in enumerate(rows):
        assert logits[row].tolist() == ([0, row] if row in unsure else [np.float32(value), 0])


def test_a_deadline_that_leaves_no_time_is_answered_by_the_fast_member(cascade, tmp_path):
    runner = load(cascade(2.0))  # the fast member is never sure
    late, early = runner.predict("a", deadline_ms=1e-6), runner.predict("a", deadline_ms=60_000)
    assert (late.step, late.steps, late.kept) == (1, 2, False)
    assert (early.step, early.steps, early.kept) == (2, 2, True)
    assert late.label == load(tmp_path / "small").predict("a").label
