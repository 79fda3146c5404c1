"""Loading: a saved encoder comes back whole, and every way to fail says what to do."""

import json
import sys

import pytest
import torch
from labelled import outputs
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers import AutoConfig, AutoModel, PreTrainedTokenizerFast

from millis import models
from millis.errors import MillisError
from millis.models import anatomy, load, wordpiece
from millis.models.load import Packaged, Pretrained
from millis.models.spec import Shape
from millis.types import Output

TEXTS = ["the cat sat on the mat", "a dog barked at the cat"]


@pytest.fixture
def saved(tmp_path, spec):
    """A folder as a download leaves it: config, weights with a pooler, tokenizer with padding and truncation on."""

    def make(model_type="bert"):
        torch.manual_seed(0)
        encoder = AutoModel.from_config(AutoConfig.for_model(**spec(model_type).encoder)).eval()
        encoder.save_pretrained(tmp_path)
        tokenizer = wordpiece.train(TEXTS, 100, lowercase=True)
        tokenizer.enable_padding(length=30)
        tokenizer.enable_truncation(8)
        PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]").save_pretrained(tmp_path)
        return encoder

    return make


@pytest.mark.parametrize("model_type", anatomy.supported())
def test_saved_encoder_comes_back(saved, tmp_path, spec, model_type):
    encoder = saved(model_type)
    model, tokenizer = Pretrained(str(tmp_path), dropout=0.2)(outputs(5), [])
    ids = torch.tensor([tokenizer.encode(TEXTS[0]).ids])
    with torch.no_grad():
        expected = encoder(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state.mean(dim=1)
        torch.testing.assert_close(model.eval().pooled(ids, torch.ones_like(ids)), expected, atol=1e-5, rtol=0)
    assert model.spec.shape == spec(model_type).shape
    assert model.spec.dropout == 0.2 and model.spec.outputs[0].width == 5
    assert models.read(json.loads(json.dumps(model.spec.to_json()))) == model.spec


def test_tokenizer_comes_without_padding_and_truncation(saved, tmp_path):
    saved()
    model, tokenizer = Pretrained(str(tmp_path))(outputs(2), [])
    assert isinstance(tokenizer, Tokenizer)
    assert tokenizer.padding is None and tokenizer.truncation is None
    assert len(tokenizer.encode(" ".join(["cat"] * 50)).ids) == 52
    assert model.spec.affixes == ((tokenizer.token_to_id("[CLS]"),), (tokenizer.token_to_id("[SEP]"),))


def test_half_precision_checkpoint_is_read_as_fp32(saved, tmp_path):
    saved().to(torch.bfloat16).save_pretrained(tmp_path)
    model, _ = Pretrained(str(tmp_path))(outputs(2), [])
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_loading_is_silent(saved, tmp_path, capfd):
    saved()
    capfd.readouterr()
    Pretrained(str(tmp_path))(outputs(2), [])
    assert capfd.readouterr() == ("", "")


def test_missing_model_says_what_to_do(tmp_path):
    name = str(tmp_path / "nowhere")
    with pytest.raises(MillisError) as error:
        Pretrained(name)(outputs(2), [])
    message = str(error.value)
    assert message.startswith(f"cannot load model {name!r}, neither as a local folder nor from the Hub: ")
    assert message.endswith(
        f". Run `hf download {name}` on a machine with network and give the folder as model.name=FOLDER; or use "
        "model=minilm_l6 (pip install 'millis[offline]'), or model=scratch"
    )


def test_checkpoint_without_some_encoder_weights(saved, tmp_path):
    saved()
    weights = load_file(tmp_path / "model.safetensors")
    lost = [name for name in weights if name.startswith("encoder.layer.3.")]
    save_file({k: v for k, v in weights.items() if k not in lost}, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(MillisError) as error:
        Pretrained(str(tmp_path))(outputs(2), [])
    assert str(error.value) == (
        f"the weights of {tmp_path} lack 16 of its encoder's tensors, first encoder.layer.3.attention.output."
        "LayerNorm.bias: the download is incomplete or its config belongs to another model. Fetch it again"
    )


def test_encoder_decoder_is_refused(saved, tmp_path):
    saved()
    AutoConfig.for_model("t5", d_model=8).save_pretrained(tmp_path)
    with pytest.raises(MillisError) as error:
        Pretrained(str(tmp_path))(outputs(2), [])
    assert str(error.value) == f"{tmp_path} is a t5 encoder-decoder; the task takes an encoder"


def test_slow_tokenizer_is_refused(saved, tmp_path, monkeypatch):
    class Slow:
        pass

    saved()
    monkeypatch.setattr(load.AutoTokenizer, "from_pretrained", lambda *args, **kwargs: Slow())
    with pytest.raises(MillisError) as error:
        Pretrained(str(tmp_path))(outputs(2), [])
    assert str(error.value) == (
        f"{tmp_path} has no fast tokenizer (Slow is written in Python); millis deploys tokenizer.json. Choose a model "
        "that has that file"
    )


def test_package_missing_and_hub_silent(monkeypatch):
    monkeypatch.setitem(sys.modules, load.PACKAGE, None)
    monkeypatch.setattr(load, "PACKAGE_HUB_NAME", "/nowhere/all-MiniLM-L6-v2")
    with pytest.raises(MillisError) as error:
        Packaged()(outputs(2), [])
    assert str(error.value).startswith(
        "all-MiniLM-L6-v2 is not installed and the Hub did not answer: pip install 'millis[offline]', or use "
        "model=scratch (cannot load model "
    )


def test_package_missing_falls_back_to_the_hub(monkeypatch, saved, tmp_path):
    saved()
    monkeypatch.setitem(sys.modules, load.PACKAGE, None)
    monkeypatch.setattr(load, "PACKAGE_HUB_NAME", str(tmp_path))
    assert Packaged(pooling="cls")(outputs(2), [])[0].spec.pooling == "cls"


def test_package_with_other_weights(monkeypatch, saved, tmp_path):
    pytest.importorskip(load.PACKAGE)
    monkeypatch.setattr(load, "PACKAGE_SHA256", "0" * 64)
    with pytest.raises(MillisError) as error:
        Packaged()(outputs(2), [])
    assert "model.safetensors does not match its checksum: got 53aa51172d142c89, expected 0000000000000000" in str(
        error.value
    )
    assert str(error.value).endswith("Install it again: pip install --force-reinstall 'millis[offline]'")


def test_packaged_minilm():
    """Its own training made paraphrases near: cosine of mean-pooled vectors, with margin."""
    pytest.importorskip(load.PACKAGE)
    model, tokenizer = Packaged()(outputs(2), [])
    assert model.spec.shape == Shape(32, (12,) * 6, (1536,) * 6)
    assert model.spec.affixes == ((101,), (102,))
    vectors = []
    for text in ("A man is eating food.", "Someone eats a meal.", "The stock market fell."):
        ids = torch.tensor([tokenizer.encode(text).ids])
        with torch.no_grad():
            vectors.append(torch.nn.functional.normalize(model.eval().pooled(ids, torch.ones_like(ids))[0], dim=0))
    assert vectors[0] @ vectors[1] > 0.5
    assert vectors[0] @ vectors[2] < 0.2


def test_a_tokenizer_with_more_ids_than_the_model_has_rows(saved, tmp_path, spec):
    saved()
    tokenizer = PreTrainedTokenizerFast.from_pretrained(tmp_path)
    tokenizer.add_tokens([f"<{index}>" for index in range(100)])
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(
        MillisError, match=rf"has ids up to {len(tokenizer) - 1}, the model 100 rows: call resize_token"
    ):
        Pretrained(str(tmp_path))(outputs(2), [])


def test_a_folder_without_a_tokenizer(tmp_path, spec):
    config = AutoConfig.for_model(**spec("bert").encoder)
    AutoModel.from_config(config).save_pretrained(tmp_path)
    message = r"has 5 tokens, the model 100 rows: .* files are missing \(tokenizer.json or vocab.txt\). Save it beside"
    with pytest.raises(MillisError, match=message):
        Pretrained(str(tmp_path))(outputs(2), [])


def test_a_tokenizer_of_another_language_is_warned_of(saved, tmp_path, caplog):
    saved()
    Pretrained(str(tmp_path))(outputs(2), [*TEXTS, ("a cat", "the dog")])
    assert not caplog.records
    Pretrained(str(tmp_path))(outputs(2), ["где мой заказ", "верните деньги", "cat"])
    assert "83 % of the tokens of the training texts are unknown to the tokenizer" in caplog.text  # 5 of 6


def test_a_tokenizer_that_contradicts_itself(saved, tmp_path):
    saved()
    state = json.loads((tmp_path / "tokenizer.json").read_text())
    state["post_processor"]["special_tokens"] = {}
    (tmp_path / "tokenizer.json").write_text(json.dumps(state))
    with pytest.raises(MillisError, match=r"the tokenizer of .* contradicts itself: .*Make or fetch it again"):
        Pretrained(str(tmp_path))(outputs(2), [])


def test_a_folder_says_its_family_before_it_is_loaded(tmp_path):
    reply = (Output("reply", "token", 4, "next"),)
    for kind, family in (("t5", "encoder_decoder"), ("gpt2", "transformer")):
        AutoConfig.for_model(kind).save_pretrained(tmp_path / kind)
        assert Pretrained(str(tmp_path / kind)).family(reply) == family
    assert Pretrained(str(tmp_path / "none")).family(reply) is None
    assert Pretrained(str(tmp_path / "none")).family((Output("label", "text", 2, "one"),)) == "transformer"
