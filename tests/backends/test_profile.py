from types import SimpleNamespace

import pytest
from sides import answering, row

from millis import backends
from millis.backends import profile as profiles
from millis.backends.eager import Eager
from millis.backends.onnxruntime import OnnxRuntime
from millis.backends.profile import Operator, profile, summarised
from millis.errors import MillisError
from millis.serving.runner import load
from millis.storage.archived import Archived
from millis.storage.manifest import open_manifest
from millis.types import Features, Signature


def test_medians_and_shares_by_hand():
    requests = [
        [("a", "MatMul", 4.0), ("b", "Add", 1.0), ("a", "MatMul", 2.0)],  # a: 6
        [("a", "MatMul", 9.0), ("b", "Add", 2.0)],
        [("a", "MatMul", 6.0), ("b", "Add", 500.0)],  # 498 of them another process had the CPU
    ]
    found = summarised(requests, [0.0, 0.0, 498.0])
    assert found == [Operator("a", "MatMul", 0.75, 6.0), Operator("b", "Add", 0.25, 2.0)]
    assert summarised([], []) == []


def test_one_preemption_that_nobody_accounts_for_moves_no_median():
    quiet = [("exp", "Exp", 1.0), ("product", "MatMul", 9.0)]
    found = summarised([quiet] * 20 + [[("exp", "Exp", 6400.0), ("product", "MatMul", 9.0)]], [0.0] * 21)
    assert found == [Operator("exp", "Exp", 0.1, 1.0), Operator("product", "MatMul", 0.9, 9.0)]


def test_a_wait_longer_than_any_operator_fell_between_them():
    assert summarised([[("a", "MatMul", 3.0)]], [5.0]) == [Operator("a", "MatMul", 1.0, 3.0)]


def test_what_runs_for_few_requests_takes_nothing_of_most():
    assert [one.microseconds for one in summarised([[("a", "If", 3.0)], [], []], [0.0] * 3)] == [0.0]


def test_few_texts_are_asked_about_again(tmp_path, manifest, monkeypatch):
    asked = []
    monkeypatch.setattr(
        profiles, "teller", lambda _: lambda folder, manifest, threads, given: asked.extend(given) or []
    )
    profile(tmp_path, manifest(), 1, ["a", "b", "c"], most=10)
    assert len(asked) == 50
    assert asked[:4] == ["a", "b", "c", "a"]


@pytest.mark.parametrize("backend", [Eager(), OnnxRuntime()], ids=lambda backend: backend.name)
def test_a_preempted_request_does_not_move_what_operators_take(write, backend, monkeypatch):
    """Each request is said to have waited longer than it took: nothing is taken off, and nothing is below 0."""
    folder = write(backend)
    runner = load(folder)
    monkeypatch.setattr(backends.module(backend.name), "waited_ns", iter(range(0, 10**15, 10**12)).__next__)
    found = profile(folder, open_manifest(folder), 1, [runner.feed(runner.tokenize("a b"))], most=99)
    assert found and all(one.microseconds >= 0 for one in found)


def test_both_graphs_of_an_encoder_decoder_are_told(tmp_path):
    model = answering("bart")
    OnnxRuntime().write(model, tmp_path, Signature(("input_ids", "attention_mask"), model.spec.outputs), None)
    manifest = SimpleNamespace(spec=model.spec, backend="onnxruntime", options={})
    requests = [Features(*(tensor.numpy() for tensor in row(source=5, written=0)))]
    found = profile(tmp_path, manifest, 1, requests, most=999)
    reading = [one for one in found if one.name.startswith("encoder/")]
    assert sum("Attention" in one.kind for one in reading) == 3  # blocks of the encoder
    assert sum("Attention" in one.kind for one in found) == 3 + 2 * 2
    assert sum(one.share for one in found) == pytest.approx(1)


def test_a_runtime_that_does_not_tell_is_refused(tmp_path, manifest):
    message = r"backend=inductor does not tell what its operators take.*Profile the same model on another backend"
    with pytest.raises(MillisError, match=message):
        profile(tmp_path, manifest(backend="inductor"), 1, [], most=10)


@pytest.mark.parametrize("storage", [None, Archived(bandwidth_mb_per_s=1, codecs=("zlib",), lossy=())])
def test_open_manifest_is_what_profile_takes(write, storage):
    folder = write(OnnxRuntime(), storage=storage)
    runner = load(folder)
    requests = [runner.feed(runner.tokenize(text)) for text in ("a b", "c")]
    (most,) = profile(folder, open_manifest(folder), 1, requests, most=1)
    assert most.kind and 0 < most.share <= 1 and most.microseconds > 0
