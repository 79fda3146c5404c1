"""Finished classifiers against transformers' own modules."""

import re

import pytest
import torch
from labelled import outputs
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedTokenizerFast

from millis import models
from millis.errors import MillisError
from millis.models import anatomy, wordpiece
from millis.models.finished import FORMS
from millis.models.load import Pretrained
from millis.models.student import TransformerStudent

TEXTS = ["the cat sat on the mat", "a dog barked at the cat"]
LABELS = ("fruit", "metal", "sky")


@pytest.fixture
def saved(tmp_path, spec):
    """A folder with a fine-tuned classifier, its weights and biases all random."""

    def make(model_type="bert", names=LABELS, **settings):
        torch.manual_seed(0)
        config = AutoConfig.for_model(**{**spec("bert").encoder, **spec_of(model_type, spec)}, **settings)
        config.id2label = dict(enumerate(names))
        config.label2id = {name: index for index, name in enumerate(names)}
        whole = AutoModelForSequenceClassification.from_config(config).eval()
        with torch.no_grad():
            for parameter in whole.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.1)
        whole.save_pretrained(tmp_path)
        tokenizer = wordpiece.train(TEXTS, 100, lowercase=True)
        PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]").save_pretrained(tmp_path)
        return whole

    return make


def spec_of(model_type, spec):
    if model_type == "albert":
        return {"model_type": "albert", "embedding_size": 16}
    return spec(model_type).encoder


def ids(tokenizer, text=TEXTS[0]):
    return torch.tensor([tokenizer.encode(text).ids])


@pytest.mark.parametrize("model_type", FORMS)
@pytest.mark.parametrize("labels", [LABELS, ("sky", "fruit", "metal")])
def test_logits_are_those_of_the_checkpoint(saved, tmp_path, model_type, labels):
    whole = saved(model_type)
    model, tokenizer = Pretrained(str(tmp_path), head="checkpoint")(outputs(3), TEXTS, labels)
    with torch.no_grad():
        given = ids(tokenizer)
        expected = whole(input_ids=given, attention_mask=torch.ones_like(given)).logits
        got = model.eval()(given, torch.ones_like(given))
    torch.testing.assert_close(got, expected[:, [LABELS.index(label) for label in labels]], atol=1e-5, rtol=0)
    assert model.spec.pooling == "cls"


@pytest.mark.parametrize(
    ("names", "labels"), [(("LABEL_0", "LABEL_1", "LABEL_2"), ("0", "1", "2")), (("Fruit ", "METAL", "sky"), LABELS)]
)
def test_names_that_differ_in_spelling_alone(saved, tmp_path, names, labels):
    saved(names=names)
    assert Pretrained(str(tmp_path))(outputs(3), [], labels)[0].spec.pooler == "tanh"


@pytest.mark.parametrize(
    ("settings", "labels", "reason"),
    [
        ({}, ("fruit", "metal", "sea"), "its labels are fruit, metal, sky, the data's fruit, metal, sea"),
        ({}, ("fruit", "metal"), "its labels are fruit, metal, sky, the data's fruit, metal"),
        ({"problem_type": "multi_label_classification"}, LABELS, "it is made for multi_label_classification"),
        ({"model_type": "gpt2"}, LABELS, "millis knows the form of the classifiers of bert, .*, not of gpt2"),
    ],
)
def test_a_classifier_that_is_not_used_is_spoken_of(saved, tmp_path, caplog, settings, labels, reason):
    saved(**settings)
    model, _ = Pretrained(str(tmp_path))(outputs(len(labels)), [], labels)
    assert model.spec.pooler is None and model.spec.pooling == "mean"
    assert "the folder's own classifier (3 labels) is not used: millis trains its own" in caplog.text
    assert re.search(reason, caplog.text)
    with pytest.raises(MillisError, match=rf"model.head=checkpoint: the classifier of .* cannot be taken: .*{reason}"):
        Pretrained(str(tmp_path), head="checkpoint")(outputs(len(labels)), [], labels)


def test_a_fresh_head_is_had_for_the_asking(saved, tmp_path):
    saved()
    assert Pretrained(str(tmp_path), head="fresh")(outputs(3), [], LABELS)[0].spec.pooler is None


def test_another_head_is_refused():
    with pytest.raises(MillisError, match=r"model.head='checkpiont' is unknown; .*did you mean 'checkpoint'"):
        Pretrained("a", head="checkpiont")


def test_a_narrower_student_has_the_kept_channels_of_the_pooler(saved, tmp_path):
    saved()
    teacher, _ = Pretrained(str(tmp_path))(outputs(3), [], LABELS)
    student = TransformerStudent(hidden_size=16)
    model = models.build(student.spec(teacher.spec))
    student.initialise(model, teacher)
    kept = [int((column == teacher.head.weight.T).all(dim=1).nonzero()) for column in model.head.weight.T]
    assert torch.equal(model.pool.dense.weight, teacher.pool.dense.weight[kept][:, kept])
    assert torch.equal(model.pool.dense.bias, teacher.pool.dense.bias[kept])
    assert anatomy.find("bert").keys.hidden == "hidden_size" and model.spec.pooler == "tanh"
