"""What every runtime promises of models with several outputs, one of them for each token."""

from functools import cache, partial

import numpy as np
import pytest
import torch

from millis.backends.artifact import write_artifact
from millis.errors import MillisError
from millis.models import build, read
from millis.quantization.spec import Calibration, Quantization
from millis.serving import runner as runners
from millis.storage.manifest import Manifest
from millis.tasks.intent_slots import IntentSlots
from millis.types import Features

LABELS, TAGS = ("no", "yes", "perhaps"), ("O", "B-city", "I-city", "B-day")
TASK = IntentSlots(labels=LABELS, tags=TAGS)
SPECS = {
    "transformer": {
        "family": "transformer", "pooling": "mean", "dropout": 0.0, "affixes": [[], []],
        "encoder": {
            "model_type": "bert", "vocab_size": 12, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
            "intermediate_size": 32, "max_position_embeddings": 16, "type_vocab_size": 2, "pad_token_id": 0,
        },
        "shape": {"head_size": 8, "heads": [2, 2], "ffn": [32, 32]},
    },
    "bilstm": {"family": "bilstm", "vocab_size": 12, "embedding_size": 16, "hidden_size": 16, "dropout": 0.0},
    "convolution": {
        "family": "convolution", "vocab_size": 12, "embedding_size": 16, "filters": 16, "widths": [1, 3],
        "dropout": 0.0,
    },
}  # fmt: skip
INT8 = {
    "dynamic": Quantization(),
    "static": Quantization(activations="static", calibration=Calibration(texts=4)),
}
TEXTS = ["a b c", "d", "e f g h a b", "", "h  g"]
load = partial(runners.load, trust_code=True)


@cache
def model(family):
    """Weights wide enough for tokens to differ."""
    torch.manual_seed(0)
    made = build(read({**SPECS[family], "outputs": [["intent", "text", 3, "one"], ["tags", "token", 4, "one"]]}))
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=0.4)
    return made.eval()


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return {}, tmp_path_factory.mktemp("outputs")


@pytest.fixture(params=SPECS)
def family(request):
    return request.param


@pytest.fixture
def artifact(backend, family, folders, tokenizer):
    """The folder of the fp32 artifact; not to be changed."""
    if (backend.name, family) == ("inductor", "bilstm"):
        pytest.skip("torch.export takes the mirrored tokens of a BiLSTM for a constraint on their number")
    made, root = folders
    if (backend.name, family) not in made:
        made[backend.name, family] = written(root / f"{backend.name}-{family}", backend, family, tokenizer())
    return made[backend.name, family]


def written(folder, backend, family, tokenizer, quantization=None, calibration=()):
    manifest = Manifest("tiny", "", model(family).spec, TASK.described(), ("input_ids", "attention_mask"), max_length=8)
    write_artifact(folder, model(family), tokenizer, backend, manifest, quantization, calibration)
    return folder


def ids(*rows):
    length = max(map(len, rows))
    padded = np.array([[*row, *[0] * (length - len(row))] for row in rows], np.int64)
    mask = np.array([[1] * len(row) + [0] * (length - len(row)) for row in rows], np.int64)
    return Features(padded, mask, None)


def eager(family, features):
    with torch.inference_mode():
        outputs = model(family)(torch.from_numpy(features.ids), torch.from_numpy(features.mask))
    return [output.numpy() for output in outputs]


def test_both_outputs_are_those_of_eager_at_every_token(artifact, family):
    runner = load(artifact)
    for features in (ids([2]), ids([2, 4, 5, 3]), ids([4, 5, 6], [7], [8, 9]), ids([2, 4, 5])):
        label, tags = runner.compute(features)
        expected = eager(family, features)
        assert label == pytest.approx(expected[0], abs=1e-4)
        real = features.mask.astype(bool)
        assert tags.shape == expected[1].shape
        assert tags[real] == pytest.approx(expected[1][real], abs=1e-4)


def test_what_is_padded_is_not_read(artifact):
    runner = load(artifact)
    alone, padded = runner.compute(ids([4, 5])), runner.compute(ids([4, 5], [6, 7, 8, 9]))
    assert padded[0][0] == pytest.approx(alone[0][0], abs=1e-5)
    assert padded[1][0, :2] == pytest.approx(alone[1][0], abs=1e-5)


def test_requests_have_both_answers(artifact, family):
    runner = load(artifact)
    for text in TEXTS:
        found, encoding = runner.predict(text), runner.tokenize(text)
        label, tags = eager(family, runner.feed(encoding))
        assert found.intent.index == label.argmax()
        assert found.slots.value() == tuple(tags[0].argmax(axis=1)[1:-1].tolist())  # between [CLS] and [SEP]


@pytest.mark.parametrize("kind", INT8)
def test_int8_keeps_both_outputs_or_is_refused_with_advice(backend, family, kind, tmp_path, tokenizer):
    calibration = [ids([2, *(4 + "abcdefgh".index(letter) for letter in text.split()), 3]) for text in TEXTS]
    try:
        folder = written(tmp_path / "artifact", backend, family, tokenizer(), INT8[kind], calibration)
    except MillisError as error:
        assert f"backend={backend.name}" in str(error) and "se backend=" in str(error)
        return
    label, tags = load(folder).compute(ids([2, 4, 5, 6, 3]))
    expected = eager(family, ids([2, 4, 5, 6, 3]))
    assert label.shape == expected[0].shape and tags.shape == expected[1].shape
    assert np.abs(tags - expected[1]).max() < 0.5 * np.ptp(expected[1])
