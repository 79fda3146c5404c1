"""A teacher that comes finished is used as it is, and what is left of a damaged one says how to mend it."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from recipes import tuning
from tiny import INTENTS, write_data
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

from millis.data.local import Local
from millis.errors import MillisError
from millis.models import wordpiece
from millis.models.load import Pretrained
from millis.models.scratch import Scratch
from millis.pipeline.place import Place
from millis.pipeline.teacher import ensure_teacher
from millis.training.fit import Fit


@pytest.fixture
def untrained(tmp_path):
    """Makes a teacher of a model that is trained for no epoch."""
    write_data(tmp_path / "data", rows=8)

    def make(model):
        asked = tuning(data=Local(str(tmp_path / "data")), model=model, trainer=Fit(0))
        return ensure_teacher(asked, Place.under(tmp_path / "outputs"))

    return make


def test_a_finished_classifier_is_the_teacher_as_it_is(untrained, tmp_path):
    names = ["track", "cancel", "refund"]  # the data's are sorted: cancel, refund, track
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    whole = BertForSequenceClassification(BertConfig(vocab_size=120, id2label=dict(enumerate(names)), **shape)).eval()
    whole.save_pretrained(tmp_path / "model")
    tokenizer = wordpiece.train(list(INTENTS.values()), 120, lowercase=True)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]").save_pretrained(tmp_path / "model")
    teacher = untrained(Pretrained(str(tmp_path / "model")))
    split = teacher.inputs.dataset.validation
    with torch.inference_mode():
        given = [torch.tensor([tokenizer.encode(text).ids]) for text in split.texts]
        expected = torch.cat([whole(ids).logits[:, [1, 2, 0]] for ids in given]).numpy()
    assert np.abs(teacher.logits(split).logits[0] - expected).max() < 1e-5
    right = float(np.mean(expected.argmax(axis=1) == split.references))
    assert (teacher.fitted.epochs, teacher.fitted.quality) == (0, pytest.approx(100 * right))


def test_a_fresh_classifier_is_no_teacher_as_it_is(untrained):
    with pytest.raises(
        MillisError, match=r"max_epochs=0 takes the model as it is, but its classifier is fresh: .*canc"
    ):
        untrained(Scratch(layers=1, hidden_size=16, heads=2, ffn_size=16, vocab_size=100))


def test_a_teacher_without_its_manifest_says_which_folder_to_delete(teacher, tmp_path):
    folder = tmp_path / "teacher"
    shutil.copytree(teacher.folder, folder)
    (folder / "manifest.json").unlink()
    with pytest.raises(MillisError, match=rf"^{folder} is damaged or gone .*Delete it, if it is there, and run again"):
        _ = replace(teacher, folder=folder).manifest
