"""Two artifacts as one: who answers, what is checked, and that the answers are the members' own."""

import json
from time import perf_counter_ns, sleep

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from signatures import answering
from specs import changed

from millis.backends import inductor
from millis.backends.artifact import write_artifact
from millis.backends.eager import Eager
from millis.backends.onnxruntime import OnnxRuntime
from millis.backends.openvino import OpenVino
from millis.benchmark.scaling import thread_grid
from millis.early_exit.policy import maximum_probability
from millis.errors import MillisError
from millis.models import build
from millis.quantization.spec import Quantization
from millis.serving import cascade as cascades
from millis.serving.runner import bound_threads, load
from millis.serving.stepwise import StepwiseSession
from millis.storage.archived import Archived
from millis.storage.manifest import FILE_NAME, open_manifest, seal, size_bytes
from millis.types import Features

TEXTS = ["a", "b c", "", "a b c d e f g h", "h h h", "g a"]


@pytest.fixture
def member(tmp_path, tokenizer, manifest, static):
    """Writes an artifact under a name and returns its folder and manifest."""

    def make(name, backend=None, seed=0, quantization=None, storage=None, special=True, **changes):
        torch.manual_seed(seed)
        model = build(changed(static.spec, num_labels=len(changes.get("task", answering("1", "2"))["labels"])))
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
    assert (manifest.backend, manifest.task, manifest.fingerprint) == ("cascade", answering("no", "yes"), "f")
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


def test_members_that_do_not_fit(cascade, member, tmp_path):
    message = (
        r"must give the same answers: .*small has 2 labels \(no, yes\), .*large has 3 .*Choose two artifacts made for"
    )
    with pytest.raises(MillisError, match=message):
        cascade(0.9, accurate=member("large", seed=1, task=answering("a", "b", "c")))
    assert not (tmp_path / "both").exists()


def test_a_cascade_of_a_cascade(cascade, member, tmp_path):
    folder = cascade(0.9)
    members = {"fast": member("small"), "accurate": (folder, open_manifest(folder))}
    with pytest.raises(MillisError, match=r"accurate=.*both is a cascade itself; expected an artifact of one model"):
        cascades.write(tmp_path / "more", members, "more", 0.9)


@pytest.mark.parametrize(
    "spec", [{"family": "cascade"}, {"family": "cascade", "threshold": 0.5, "members": {"fast": 3}}]
)
def test_a_manifest_that_describes_no_cascade(cascade, spec):
    folder = cascade(0.9)
    path = folder / FILE_NAME
    path.write_text(json.dumps(json.loads(path.read_text()) | {"spec": spec}))
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
        return (np.array([[rows[row], 0] for row in features.ids[:, 0]], np.float32),)

    def accurate(features):
        asked.extend(features.ids[:, 0].tolist())
        assert features.mask.shape == features.ids.shape == features.token_types.shape
        return (np.array([[0, row] for row in features.ids[:, 0]], np.float32),)

    ids = np.arange(len(rows))[:, None]
    session = cascades.CascadeSession(fast, accurate, threshold)
    (logits,), steps = session.answer(Features(ids, np.ones_like(ids), np.zeros_like(ids)))
    unsure = [row for row, value in enumerate(rows) if 1 / (1 + np.exp(np.float32(-value))) < threshold]
    assert asked == unsure
    assert steps.tolist() == [2 if row in unsure else 1 for row in range(len(rows))]
    for row, value in enumerate(rows):
        assert logits[row].tolist() == ([0, row] if row in unsure else [np.float32(value), 0])


def test_a_deadline_that_leaves_no_time_is_answered_by_the_fast_member(cascade, tmp_path):
    runner = load(cascade(2.0))  # the fast member is never sure
    late, early = runner.predict("a", deadline_ms=1e-6), runner.predict("a", deadline_ms=60_000)
    assert (late.step, late.steps, late.kept) == (1, 2, False)
    assert (early.step, early.steps, early.kept) == (2, 2, True)
    assert late.answer.label == load(tmp_path / "small").predict("a").label


@pytest.mark.parametrize("rows", [1, 2, 3])
@pytest.mark.parametrize("pair", [False, True])
def test_members_get_contiguous_arrays(rows, pair):
    """Which OpenVINO takes alone."""

    def fast(features):
        return (np.array([[0, 0], [9, 0], [0, 0]], np.float32)[: len(features.ids)],)  # sure of the second row

    def accurate(features):
        assert (features.token_types is not None) == pair
        assert all(array.flags.c_contiguous for array in features if array is not None)
        return (np.zeros((len(features.ids), 2), np.float32),)

    ids = np.arange(4 * rows).reshape(rows, 4)
    features = Features(ids, np.ones_like(ids), np.zeros_like(ids) if pair else None)
    assert cascades.CascadeSession(fast, accurate, 0.9).answer(features).steps.tolist() == [2, 1, 2][:rows]


def test_pairs_go_on_to_openvino(cascade, member, tmp_path):
    inputs = ("input_ids", "attention_mask", "token_type_ids")
    folder = cascade(2.0, member("small", inputs=inputs), member("large", OpenVino(), seed=1, inputs=inputs))
    pairs = [("a", "b c"), ("d", "e")]
    assert np.array_equal(load(folder).logits(pairs), load(tmp_path / "large").logits(pairs))


@pytest.fixture
def compiled(tmp_path, tokenizer, manifest, monkeypatch):
    """Writes what could be an artifact of compiled code, which answers (0, 1), and returns its folder and manifest."""
    monkeypatch.setattr(inductor, "_open", lambda path, threads: lambda features: (np.array([[0, 1]], np.float32),))

    def make(name, threads):
        folder = tmp_path / name
        folder.mkdir()
        (folder / inductor.FILE_NAME).write_bytes(b"native code")
        tokenizer().save(str(folder / "tokenizer.json"))
        return folder, seal(folder, manifest(name=name, backend="inductor", options={"threads": threads}))

    return make


def test_compiled_code_is_a_member(cascade, compiled):
    folder = cascade(2.0, accurate=compiled("compiled", 2))
    manifest = open_manifest(folder)
    assert bound_threads(manifest, 1) == 2
    assert thread_grid(8, manifest) == [2]
    assert load(folder, threads=2, trust_code=True).predict("a").label == "yes"
    with pytest.raises(MillisError, match="'compiled' is compiled for 2 threads, and 1 were asked for"):
        load(folder, trust_code=True)
    with pytest.raises(MillisError, match=r"is machine code \(backend=inductor\): loading it runs that code"):
        load(folder, threads=2)
    (folder / "accurate" / inductor.FILE_NAME).write_bytes(b"other code")
    with pytest.raises(MillisError, match=r"is damaged: model.pt2 does not match its checksum"):
        load(folder, threads=2, verify=False, trust_code=True)


def test_any_number_of_threads_where_no_member_is_compiled(cascade):
    assert bound_threads(open_manifest(cascade(0.9)), 3) == 3


def test_members_compiled_for_different_threads(cascade, compiled):
    message = r"must be compiled for the same number of threads: .*one is for 1, .*two for 2\. Make one of them again"
    with pytest.raises(MillisError, match=message):
        cascade(0.9, compiled("one", 1), compiled("two", 2))


def unsure(features):
    return (np.zeros((len(features.ids), 2), np.float32),)


def test_times_are_of_all_that_a_member_may_compute():
    """An accurate member that is sure after its first segment on what it was timed with, and not on a request."""

    def first(features):
        return features.ids, np.array([[0, 9 * (features.ids[0, 0] == 0)]], np.float32)

    def second(ids, mask):
        sleep(0.005)
        return ids, np.ones((1, 2), np.float32)

    accurate = StepwiseSession([first, second], "maximum_probability", 0.9)
    session = cascades.CascadeSession(unsure, accurate, 0.9)
    zero, one = (Features(np.full((1, 2), value), np.ones((1, 2), np.int64), None) for value in (0, 1))
    session.learn_times([zero])
    assert session.answer(one, perf_counter_ns() + 3_000_000).steps.tolist() == [1]  # 3 ms are not 5
    assert session.answer(one, perf_counter_ns() + 10_000_000_000).steps.tolist() == [2]


def test_a_deadline_reaches_the_segments_of_the_members():
    ran = []

    def segments(name):
        def first(features):
            ran.append(name)
            return features.ids, *unsure(features)

        def second(ids, mask):
            ran.append(f"{name} on")
            return ids, np.zeros((1, 2), np.float32)

        return StepwiseSession([first, second], "maximum_probability", 0.9)

    fast, accurate = segments("fast"), segments("accurate")
    session = cascades.CascadeSession(fast, accurate, 0.9)
    features = Features(np.ones((1, 2), np.int64), np.ones((1, 2), np.int64), None)
    session.learn_times([features])
    ran.clear()
    assert session.answer(features, perf_counter_ns()).steps.tolist() == [1]
    assert ran == ["fast"]
    # Slower than what was measured: it begins, and ends after the first segment.
    ran.clear()
    fast._step_ns, accurate._step_ns = np.array([[0.0, 0.0]]), np.array([[0.0, 60e9]])
    session._ends_late = lambda length, until_ns: False
    session.answer(features, perf_counter_ns() + 1_000_000_000)
    assert ran == ["fast", "fast on", "accurate"]


def test_a_deadline_of_several_texts_is_refused():
    session = cascades.CascadeSession(unsure, unsure, 0.9)
    ids = np.ones((2, 3), np.int64)
    with pytest.raises(MillisError, match="a deadline got 2 texts at once, expected one: times are measured of one"):
        session.answer(Features(ids, ids, None), perf_counter_ns())
