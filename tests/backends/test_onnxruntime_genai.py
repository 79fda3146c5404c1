"""onnxruntime-genai: what it writes is what the module writes, and models that it cannot run are refused at once."""

import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from signatures import LOGITS
from tokenizers import Tokenizer, models, pre_tokenizers
from writers import LONGEST, VOCABULARY, after_each, tokens, writer

from millis.backends import onnxruntime_genai as backend
from millis.backends.artifact import write_artifact
from millis.backends.eager_decoder import EagerDecoder
from millis.backends.onnxruntime_genai import OnnxRuntimeGenai
from millis.errors import MillisError
from millis.generation.greedy import Greedy
from millis.generation.writing import Vocabulary
from millis.quantization.spec import Quantization
from millis.serving.runner import load
from millis.storage.manifest import Manifest, open_manifest, seal
from millis.tasks.language_model import LanguageModel
from millis.types import Features

EVEN = {"heads": (6, 6), "ffn": (32, 32), "groups": 3, "hidden": 48, "size": 16}
FP32 = OnnxRuntimeGenai()
needed = pytest.mark.skipif(bool(FP32.missing()), reason=f"{FP32.missing()}")


def write(folder, made, options=FP32, quantization=None):
    """An artifact of a model, with a tokenizer of a few letters."""
    words = Tokenizer(models.WordLevel({letter: index for index, letter in enumerate("abcdefgh")}, unk_token="h"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    manifest = Manifest("tiny", "", made.spec, LanguageModel().described(), ("input_ids", "attention_mask"), 64)
    write_artifact(folder, made, words, options, manifest, quantization)
    return folder


def opened(folder, threads=1):
    return backend.load(folder, open_manifest(folder), threads)


@pytest.fixture(scope="module")
def model():
    return writer(**EVEN)


@pytest.fixture(scope="module")
def artifact(model, tmp_path_factory):
    """The fp32 artifact, written once; not to be changed."""
    if lacking := FP32.missing():
        pytest.skip(lacking)
    return write(tmp_path_factory.mktemp("genai") / "artifact", model)


@pytest.fixture
def copied(artifact, tmp_path):
    return shutil.copytree(artifact, tmp_path / "copied")


def greedy(decoder, prompt, count=20):
    return Greedy(max_tokens=count).begin(decoder, prompt, Vocabulary((), str)).finish().tokens


def test_greedy_text_is_the_modules(model, artifact):
    decoder = opened(artifact)
    for seed in range(5):
        prompt = tokens(seed, 1 + 3 * seed)
        assert greedy(decoder, prompt).tolist() == greedy(EagerDecoder(model), prompt).tolist()


def test_logits_after_each_token_or_the_last(model, artifact):
    ids = tokens(7, 12)
    expected = after_each(model, ids)
    text = opened(artifact).begin(12)
    assert text.length == 0
    assert text.read(ids[:5], every=True) == pytest.approx(expected[:5], abs=1e-4)
    last = text.read(ids[5:8])
    assert last.shape == (1, VOCABULARY) and last.dtype == np.float32
    assert last[0] == pytest.approx(expected[7], abs=1e-4)
    assert text.read(ids[8:], every=True) == pytest.approx(expected[8:], abs=1e-4)
    assert text.length == 12


def test_rewound_it_goes_on_as_if_it_had_read_no_more(model, artifact):
    ids, others = tokens(8, 10), tokens(9, 10)
    text = opened(artifact).begin(20)
    text.read(ids)
    for length in (10, 6, 0):
        text.rewind(length)
        assert text.length == length
        expected = after_each(model, np.concatenate([ids[:length], others]))[length:]
        assert text.read(others, every=True) == pytest.approx(expected, abs=1e-4)
        text.rewind(length)


def test_as_a_session_it_gives_all_positions_of_padded_rows(model, artifact):
    ids = np.stack([tokens(1, 6), tokens(2, 6)])
    mask = np.array([[1] * 6, [1] * 4 + [0] * 2], np.int64)
    (found,) = opened(artifact)(Features(ids, mask, None))
    assert found.shape == (2, 6, VOCABULARY) and found.dtype == np.float32
    assert found[0] == pytest.approx(after_each(model, ids[0]), abs=1e-4)
    assert found[1, :4] == pytest.approx(after_each(model, ids[1, :4]), abs=1e-4)
    assert not found[1, 4:].any()
    (none,) = opened(artifact)(Features(ids[:1], 0 * mask[:1], None))
    assert not none.any()


def test_texts_in_several_threads_are_written_as_one_after_the_other(artifact):
    decoder, prompts = opened(artifact), [tokens(seed, 4) for seed in range(16)]
    alone = [greedy(decoder, prompt).tolist() for prompt in prompts]
    with ThreadPoolExecutor(4) as threads:
        assert [found.tolist() for found in threads.map(lambda prompt: greedy(decoder, prompt), prompts)] == alone


def test_a_number_of_threads_changes_no_text(artifact):
    assert greedy(opened(artifact, 2), tokens(3, 9)).tolist() == greedy(opened(artifact, 1), tokens(3, 9)).tolist()


def test_the_runner_serves_it(artifact):
    assert load(artifact).predict("a b").tokens  # as many as Greedy writes by default


def test_what_cannot_be_read(artifact):
    decoder = opened(artifact)
    with pytest.raises(MillisError, match=rf"room for {LONGEST + 1} tokens; expected 1 to {LONGEST}, which the model"):
        decoder.begin(LONGEST + 1)
    with pytest.raises(MillisError, match=r"a text is begun with room for 0 tokens"):
        decoder.begin(0)
    text = decoder.begin(3)
    text.read(tokens(0, 2))
    with pytest.raises(MillisError, match=r"2 tokens are to be read after 2, and there is room for 3: begin with more"):
        text.read(tokens(0, 2))
    with pytest.raises(MillisError, match=r"tokens of shape \[0\] are to be read; expected \[K\], K at least 1"):
        text.read(tokens(0, 0))
    with pytest.raises(MillisError, match=rf"ids 40 to 40 are to be read, and the vocabulary has {VOCABULARY}"):
        text.read(np.array([40]))
    with pytest.raises(MillisError, match=r"cannot rewind to 3 tokens; expected 0 to 2, which were read"):
        text.rewind(3)
    assert text.length == 2


def test_damaged_files(copied):
    (copied / "model.onnx").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(MillisError, match=r"does not match its checksum"):
        load(copied)
    seal(copied, open_manifest(copied, verify=False))
    with pytest.raises(MillisError, match=r"onnxruntime-genai cannot open .*copied: .*\. Make the artifact again"):
        opened(copied)


def test_a_config_that_names_a_library(copied):
    path = copied / "genai_config.json"
    said = json.loads(path.read_text())
    said["model"]["decoder"]["session_options"]["custom_ops_library"] = "evil.so"
    path.write_text(json.dumps(said))
    seal(copied, open_manifest(copied, verify=False))
    with pytest.raises(MillisError, match=r"genai_config.json is not what the manifest's architecture asks for. Make"):
        opened(copied)
    path.write_text("{")
    seal(copied, open_manifest(copied, verify=False))
    with pytest.raises(MillisError, match=r"genai_config.json cannot be read: .* Make the artifact again"):
        opened(copied)


def test_a_missing_runtime_names_the_extra(artifact, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime_genai", None)
    with pytest.raises(MillisError, match=r"needs onnxruntime-genai: pip install 'millis\[genai\]'"):
        opened(artifact)


def test_a_graph_that_errs_is_refused(model, artifact, tmp_path, monkeypatch):
    from millis.backends.genai import graph

    def other(arguments, place, model):  # what the builder makes, of other weights
        shutil.copytree(artifact, place / "graph")

    monkeypatch.setattr(graph, "_run", other)
    with pytest.raises(MillisError, match=r"does not compute what the model does: next differ by .*Use backend=native"):
        write(tmp_path / "artifact", writer(**EVEN, seed=1))
    assert not (tmp_path / "artifact").exists()


@needed
def test_a_builder_that_fails_says_why(model, tmp_path, monkeypatch):
    from millis.backends.genai import graph

    monkeypatch.setattr(graph, "BUILDER", "millis.nowhere")
    with pytest.raises(MillisError, match=r"builder cannot take this model: .*No module named .*Use backend=native"):
        write(tmp_path / "artifact", model)


@needed
@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("llama", {"tied": False, "heads": (4, 4), "groups": 2, "size": 32}),  # wider than D, untied
        ("llama", {"attention_bias": True, "rope_parameters": {"rope_type": "default", "rope_theta": 500.0}}),
        ("mistral", {"sliding_window": None}),
        ("qwen2", {}),
    ],
)
def test_every_kind_computes_as_its_module(tmp_path, kind, changes):
    made = writer(**EVEN | changes, kind=kind)
    decoder, prompt = opened(write(tmp_path / "artifact", made)), tokens(4, 20)
    assert decoder.begin(20).read(prompt, every=True) == pytest.approx(after_each(made, prompt), abs=1e-4)


@needed
@pytest.mark.slow
@pytest.mark.parametrize("precision", ["int8", "int4", "int4_mixed"])
def test_integers_are_smaller_and_near(tmp_path, artifact, precision):
    made = writer(heads=(4, 4), ffn=(128, 128), groups=2, size=16, hidden=64)
    if precision == "int8":
        folder = write(tmp_path / "artifact", made, quantization=Quantization())
    else:
        folder = write(tmp_path / "artifact", made, OnnxRuntimeGenai(precision=precision))
    ids = tokens(5, 30)
    expected, found = after_each(made, ids), opened(folder).begin(30).read(ids, every=True)
    cosine = (expected * found).sum() / np.linalg.norm(expected) / np.linalg.norm(found)
    assert cosine > {"int8": 0.99, "int4": 0.6, "int4_mixed": 0.9}[precision]  # weights that no training made
    weights = sum(parameter.numel() for parameter in made.parameters())
    assert (folder / "model.onnx.data").stat().st_size < weights * (2.5 if precision == "int8" else 2)
    assert open_manifest(folder).options == {"precision": "fp32" if precision == "int8" else precision}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"heads": (6, 3)}, r"layers of \[3, 6\] heads; expected one number for all"),
        ({"ffn": (32, 16)}, r"layers of \[16, 32\] neurons; expected one number for all"),
        ({"ffn": (0, 0)}, r"layers of \[0\] neurons; expected one number for all"),
        ({"hidden": 40}, r"6 heads at a hidden size of 40; expected a number that divides it"),
        ({"size": 24}, r"heads of 24 channels; expected a multiple of 16"),
        (
            {"kind": "mistral", "sliding_window": 8},
            rf"attention to the last 8 of {LONGEST} tokens; expected to all of them",
        ),
        ({"kind": "gpt2", "heads": (2, 2), "hidden": 16}, r"a 'gpt2' model with 1 outputs; expected llama, mistral, "),
    ],
)
def test_a_model_that_it_cannot_run_is_refused_at_once(tmp_path, changes, told):
    message = rf"backend=onnxruntime_genai cannot run {told}.*Use backend=native or backend=eager, which take it"
    with pytest.raises(MillisError, match=message):
        write(tmp_path / "artifact", writer(**EVEN | changes))
    assert not (tmp_path / "artifact").exists()


def test_low_rank_and_exits_are_refused_at_once(model):
    from millis.backends.genai.sizes import checked

    with pytest.raises(MillisError, match=r"matrices of low rank, first encoder.layers.0.mlp.up_proj; expected factor"):
        checked(replace(model.spec, ranks={"encoder.layers.0.mlp.up_proj": 4}))
    with pytest.raises(MillisError, match=r"layers that may answer early; expected early_exit=none"):
        checked(replace(model.spec, exits=(0,)))


def test_what_does_not_write_is_refused():
    with pytest.raises(MillisError) as error:
        OnnxRuntimeGenai.check_outputs(LOGITS)
    assert str(error.value) == (
        "backend=onnxruntime_genai answers what comes next in a text, and logits answers a text as a whole. Use "
        "backend=native or backend=onnxruntime"
    )


@pytest.mark.parametrize(
    ("options", "quantization", "told"),
    [
        ({}, Quantization(per_channel=False), "per_channel=False and precision=fp32"),
        (
            {},
            Quantization(weights=4, activations="none", block_size=32),
            "weights=4, activations='none', block_size=32",
        ),
        ({"precision": "int4"}, Quantization(), "int8 and precision=int4"),
    ],
)
def test_a_quantization_that_it_does_not_compute(tmp_path, model, options, quantization, told):
    with pytest.raises(MillisError) as error:
        write(tmp_path / "artifact", model, OnnxRuntimeGenai(**options), quantization)
    assert f"backend=onnxruntime_genai got a quantization with {told}" in str(error.value)
    assert "quantization=none with any of fp32, int4, int4_mixed. Or use backend=native" in str(error.value)


def test_an_unknown_precision():
    with pytest.raises(MillisError, match=r"backend.precision='int3' is not supported by onnxruntime_genai: expected"):
        OnnxRuntimeGenai(precision="int3")


def test_opening_needs_no_torch(artifact):
    code = (
        "import sys; from pathlib import Path; from millis.serving.runner import load; "
        f"load(Path({str(artifact)!r})).predict('a'); print({{'torch', 'transformers', 'onnx'}} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"
