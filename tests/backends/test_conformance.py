"""What every runtime promises, tested on each that has a file in `millis.backends`; what cannot run here is skipped.

A new runtime comes under these tests without an edit.
"""

import json
import os
import select
import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, fields, replace
from functools import cache, partial

import numpy as np
import pytest
import torch
from signatures import answering
from specs import static, transformer
from torch import nn

from millis import backends
from millis.backends.artifact import write_artifact
from millis.errors import MillisError
from millis.models import build
from millis.models.token_pruning import tokens_left
from millis.quantization.spec import Calibration, Quantization
from millis.serving import cascade
from millis.serving import runner as runners
from millis.serving.parity import parity
from millis.storage.manifest import FILE_NAME, TOKENIZER, Manifest, open_manifest, seal
from millis.traits import DATA_SIZES, SEGMENTS, has
from millis.types import Features

SPEC = static(size=32, num_labels=3)
DROPPING = transformer(tokens=[0, 1], num_labels=3)
EXITING = transformer(exits=[0], num_labels=3)
load = partial(runners.load, trust_code=True)  # of artifacts that these tests write themselves
LABELS = ("a", "b", "c")
INPUTS = ("input_ids", "attention_mask")
TEXTS = ["a b c", "d", "e f g h a b", "c c", "h g"]
INT8 = {
    "dynamic": Quantization(),
    "static": Quantization(activations="static", calibration=Calibration(texts=4)),
    "weights": Quantization(activations="none", block_size=16),
}


@cache
def model():
    """Wide-apart weights, so that int8 cannot change its mind by chance."""
    torch.manual_seed(0)
    made = build(SPEC)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.normal_()
    return made.eval()


@cache
def transformer(part):
    """One that drops tokens or has an exit, with weights wide enough for texts to differ."""
    torch.manual_seed(0)
    made = build(DROPPING if part == "tokens" else EXITING)
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=0.3)
        if part == "tokens":
            made.thresholds.logarithms.copy_(torch.tensor([0.2, 0.25]).log())
    return made.eval()


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Backend → its fp32 artifact, written once: some runtimes take seconds to compile."""
    return {}, tmp_path_factory.mktemp("artifacts")


@pytest.fixture
def artifact(backend, folders, tokenizer):
    """The folder of the fp32 artifact; not to be changed."""
    made, root = folders
    if backend.name not in made:
        made[backend.name] = write_model(root / backend.name, backend, tokenizer())
    return made[backend.name]


def write_model(folder, backend, tokenizer, quantization=None, calibration=(), of=None, spec=SPEC, **described):
    manifest = Manifest("tiny", "", spec, answering(*LABELS), INPUTS, max_length=8, **described)
    write_artifact(folder, of or model(), tokenizer, backend, manifest, quantization, calibration)
    return folder


def altered(artifact, folder, change):
    """A copy of the artifact under a manifest that fits it, `change`d."""
    folder.mkdir()
    for path in artifact.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    seal(folder, change(open_manifest(folder, verify=False)))
    return folder


def ids(*rows):
    """Features of token ids padded to the longest row."""
    length = max(map(len, rows))
    padded = np.array([[*row, *[0] * (length - len(row))] for row in rows], np.int64)
    mask = np.array([[1] * len(row) + [0] * (length - len(row)) for row in rows], np.int64)
    return Features(padded, mask, None)


def eager(features):
    with torch.inference_mode():
        return model()(torch.from_numpy(features.ids), torch.from_numpy(features.mask)).numpy()


def test_the_manifest_says_how_it_was_made(artifact, backend):
    manifest = open_manifest(artifact)
    assert manifest.backend == backend.name
    assert manifest.options == json.loads(json.dumps(asdict(backend)))
    assert manifest.quantization is None
    assert {TOKENIZER} < set(manifest.files)


def test_every_batch_and_length_answers_as_eager_does(artifact):
    runner = load(artifact)
    for features in (ids([2]), ids([2, 4, 5, 3]), ids([4, 5, 6], [7], [8, 9]), ids(*[[4, 5]] * 9), ids([2, 4, 5])):
        (got,) = runner.compute(features)
        assert got.dtype == np.float32
        assert got == pytest.approx(eager(features), abs=1e-4)


def test_a_later_answer_leaves_an_earlier_one_alone(artifact):
    runner = load(artifact)
    (first,) = runner.compute(ids([2, 4, 3]))
    kept = first.copy()
    runner.compute(ids([2, 9, 3]))
    assert first.tolist() == kept.tolist()


def test_what_is_padded_is_not_read(artifact):
    runner = load(artifact)
    (alone,), (padded,) = runner.compute(ids([4, 5])), runner.compute(ids([4, 5], [6, 7, 8, 9]))
    assert padded[0] == pytest.approx(alone[0], abs=1e-5)


def test_a_text_without_tokens_has_an_answer(artifact):
    assert np.isfinite(load(artifact).logits([""])).all()


@pytest.mark.parametrize("kind", INT8)
def test_int8_agrees_with_eager_or_is_refused_with_advice(backend, kind, tmp_path, tokenizer):
    calibration = [ids([2, *(4 + "abcdefgh".index(letter) for letter in text.split()), 3]) for text in TEXTS]
    try:
        folder = write_model(tmp_path / "artifact", backend, tokenizer(), INT8[kind], calibration)
    except MillisError as error:
        assert f"backend={backend.name} got" in str(error) and "expected" in str(error) and "se backend=" in str(error)
        assert not (tmp_path / "artifact").exists()
        return
    runner = load(folder)
    expected = np.concatenate([eager(runner.feed(runner.tokenize(text))) for text in TEXTS])
    found = parity(runner, TEXTS, runner.outputs(TEXTS), [(row[None],) for row in expected])
    assert found["label_agreement"] == 1
    assert found["max_abs_logit_difference"] < 0.05 * np.abs(expected).max()
    assert open_manifest(folder).quantization["activations"] == INT8[kind].activations


def test_a_model_that_drops_tokens_computes_on_shorter_sequences_or_is_refused(backend, tmp_path, tokenizer):
    dropping = transformer("tokens")
    try:
        runner = load(write_model(tmp_path / "artifact", backend, tokenizer(), of=dropping, spec=DROPPING))
    except MillisError as error:
        assert not has(backend, DATA_SIZES)
        assert f"backend={backend.name} " in str(error) and "se backend=" in str(error)
        assert not (tmp_path / "artifact").exists()
        return
    assert has(backend, DATA_SIZES)
    for features in (ids([2]), ids([2, 4, 5, 3]), ids([4, 5, 6, 9, 10], [7], [8, 9]), ids([2, 4, 5, 11, 6])):
        inputs = torch.from_numpy(features.ids), torch.from_numpy(features.mask)
        assert (
            any((left < inputs[1].sum(1)).any() for left in tokens_left(dropping, *inputs)) or len(features.ids[0]) < 3
        )
        with torch.inference_mode():
            assert runner.compute(features)[0] == pytest.approx(dropping(*inputs).numpy(), abs=1e-4)


def test_who_writes_segments_says_so(backend):
    assert has(backend, SEGMENTS) == hasattr(backend, "write_segments")


def test_two_threads_answer_as_one_does(backend, artifact, tmp_path, tokenizer):
    if any(field.name == "threads" for field in fields(backend)):  # the artifact is made for a number of them
        two = load(write_model(tmp_path / "two", replace(backend, threads=2), tokenizer()), threads=2)
    else:
        two = load(artifact, threads=2)
    one = load(artifact, threads=1)
    assert one.logits(TEXTS) == pytest.approx(two.logits(TEXTS), abs=1e-5)


@pytest.fixture(params=["whole", "tokens", "exits", "cascade"])
def any_kind(request, backend, artifact, tmp_path, tokenizer):
    """The folder of an artifact of each kind that the runtime has."""
    folder, kind = tmp_path / "artifact", request.param
    if kind == "whole":
        return artifact
    if kind == "cascade":
        members = dict.fromkeys(cascade.MEMBERS, (artifact, open_manifest(artifact)))
        cascade.write(folder, members, "two", threshold=0.9)
        return folder
    described = {"early_exit": {"policy": "maximum_probability", "threshold": 0.442}} if kind == "exits" else {}
    try:
        return write_model(folder, backend, tokenizer(), of=transformer(kind), spec=transformer(kind).spec, **described)
    except MillisError:
        pytest.skip(f"{backend.name}: has no {kind}")


def random_texts():
    chance = np.random.default_rng(0)
    return [" ".join(chance.choice(list("abcdefgh"), size=length)) for length in chance.integers(1, 7, 30)]


def test_eight_threads_get_the_answers_that_one_gets(any_kind):
    runner, texts = load(any_kind), random_texts()
    alone = [runner.answer(runner.feed(runner.tokenize(text))) for text in texts]
    if is_stepwise := hasattr(runner._session, "answer"):
        assert {int(answered.steps[0]) for answered in alone} == {1, 2}

    def wrong(seed):
        order = np.random.default_rng(seed).permutation(np.tile(np.arange(len(texts)), 2))
        found = [(row, runner.answer(runner.feed(runner.tokenize(texts[row])))) for row in order]
        return [
            row
            for row, ((logits,), steps) in found
            if steps != alone[row].steps or not np.allclose(logits, alone[row].outputs[0], atol=1e-5)
        ]

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(wrong, range(8))) == [[]] * 8
        # Nobody called `learn_times`: of the eight, the first does.
        hurried = list(threads.map(lambda text: runner.predict(text, deadline_ms=1e6), texts))
    assert [timed.answer.index for timed in hurried] == [int(answered.outputs[0].argmax()) for answered in alone]
    assert all(timed.steps == 1 + is_stepwise for timed in hurried)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_fork_is_refused_and_the_process_goes_on(artifact):
    runner = load(artifact)
    expected = runner.predict("a b")
    told, tell = os.pipe()
    if (child := os.fork()) == 0:
        try:
            os.write(tell, repr(runner.predict("a b")).encode())
        except BaseException as error:
            os.write(tell, f"{type(error).__name__}: {error}".encode())
        os._exit(0)
    answered, _, _ = select.select([told], [], [], 60)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(tell)
    assert answered, "the fork waits for ever"
    assert os.read(told, 4096).decode().startswith("MillisError: this runner was loaded before the process was forked")
    assert runner.predict("a b") == expected


def test_weights_that_are_damaged_are_refused(backend, artifact, tmp_path):
    weights = max((path for path in artifact.iterdir() if path.name not in (TOKENIZER, FILE_NAME)), key=size)
    folder = altered(artifact, tmp_path / "damaged", lambda manifest: manifest)
    (folder / weights.name).write_bytes(b"cos\nsystem\n(S'true'\ntR.")  # a pickle: must not be run
    with pytest.raises(MillisError, match="does not match its checksum"):
        load(folder)
    seal(folder, open_manifest(folder, verify=False))
    with pytest.raises(MillisError, match=r"Make (the artifact|it) again"):
        load(folder)


def size(path):
    return path.stat().st_size


def test_an_option_of_another_millis_is_refused(backend, artifact, tmp_path):
    folder = altered(artifact, tmp_path / "other", lambda manifest: replace(manifest, options={"turbo": True}))
    with pytest.raises(MillisError, match=rf"has the option 'turbo', which backend={backend.name} does not have"):
        load(folder)


def test_an_artifact_without_options_is_loaded_by_default(artifact, tmp_path):
    folder = altered(artifact, tmp_path / "older", lambda manifest: replace(manifest, options={}))
    assert load(folder).logits(["a b"]) == pytest.approx(load(artifact).logits(["a b"]), abs=1e-6)


def test_a_model_that_cannot_be_traced_is_refused_with_advice(backend, tmp_path, tokenizer):
    class Branching(nn.Module):
        """Its path depends on what it is given: nothing that traces can follow."""

        def __init__(self):
            super().__init__()
            self.spec = SPEC

        def forward(self, input_ids, attention_mask, token_type_ids=None):
            sums = [float(row.sum()) if row[0] % 2 else float(row.max()) for row in input_ids]
            return torch.tensor([[value, 1.0, 0.0] for value in sums])

    if backend.name in ("eager", "cuda"):
        pytest.skip(f"{backend.name}: writes any module")
    with pytest.raises(MillisError, match=r"[Uu]se backend="):
        write_model(tmp_path / "artifact", backend, tokenizer(), of=Branching())
    assert not (tmp_path / "artifact").exists()


def test_operators_add_up_where_a_runtime_tells(backend, artifact):
    tell = getattr(backends.module(backend.name), "operators", None)
    if tell is None:
        pytest.skip(f"{backend.name}: does not tell")
    found = tell(artifact, open_manifest(artifact), 1, [ids([2, 4, 3]), ids([2, 4, 5, 3])])
    assert sum(operator.share for operator in found) == pytest.approx(1)
    assert any(
        "mul" in operator.kind.lower() or "mm" in operator.kind or "Fully" in operator.kind for operator in found
    )
