"""Pre-training as a stage: of which texts, kept under which key, and read by every way to fine-tune."""

from dataclasses import replace

import pytest
import torch
from recipes import tuning
from tiny import INTENTS, write_data

from millis.data.local import Local
from millis.models.scratch import Scratch
from millis.pipeline import keys
from millis.pipeline.inputs import read_inputs
from millis.pipeline.models_on_disk import restore
from millis.pipeline.place import Place
from millis.pipeline.pretraining import pretraining_of, read_texts
from millis.pipeline.teacher import ensure_teacher
from millis.training.fit import Fit
from millis.training.masked_tokens import MaskedTokens

MODEL = Scratch(1, 16, 2, 32, vocab_size=120)
WAY = MaskedTokens(max_epochs=6, lr=5e-3)
FURTHER = ["where is the money", "parcel stops here"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tmp_path_factory.mktemp("pretraining")
    write_data(place / "data", rows=12)
    (place / "further.txt").write_text("\n".join(FURTHER) + "\n")
    return place


@pytest.fixture(scope="module")
def asked(place):
    data = Local(str(place / "data"), unlabelled=str(place / "further.txt"))
    return tuning(data=data, model=MODEL, pretraining=WAY, trainer=Fit(1, batch_size=8, accelerator="cpu"))


@pytest.fixture(scope="module")
def teacher(asked, place):
    return ensure_teacher(asked, Place.under(place / "outputs"))


def key(asked, inputs, length=128):
    return keys.pretrained(asked, inputs, read_texts(asked, inputs), length)


def test_it_reads_the_training_texts_and_those_without_labels_alone(asked, teacher):
    read = read_texts(asked, teacher.inputs)
    assert read == [*teacher.inputs.dataset.train.texts, *FURTHER]
    assert read_texts(replace(asked, pretraining=None), teacher.inputs) == teacher.inputs.dataset.train.texts
    assert "money" in teacher.tokenizer.get_vocab(), "the vocabulary is learned from all of them"


def test_it_learns_and_is_kept(asked, teacher):
    fitted = pretraining_of(asked, teacher.inputs, teacher.manifest.max_length)
    losses = [row["train/masked_tokens"] for row in fitted.history]
    assert fitted.epochs == len(losses) == 6 and losses[-1] < losses[0]
    assert fitted.quality == pytest.approx(-min(row["train/objective"] for row in fitted.history), abs=0.2)
    assert not list((teacher.inputs.cache / "pretrained").glob("*.checkpoints"))
    assert teacher.read == (
        f"teacher: its encoder first read 38 texts without their labels, in 6 epochs and {fitted.seconds:.0f} s; the "
        f"mean loss of the last was {-fitted.quality:.2f} nats a hidden token"
    )


def test_the_teacher_begins_with_what_was_learned_and_no_way_to_fine_tune_repeats_it(asked, teacher, place):
    (kept,) = (teacher.inputs.cache / "pretrained").glob("*.safetensors")
    before = kept.stat().st_mtime_ns
    # At a rate of nearly nothing the teacher stays where it began, but for its head.
    still = replace(asked.at_rate(1e-12), trainer=replace(asked.trainer, max_epochs=1))
    second = ensure_teacher(still, Place.under(place / "outputs"))
    assert second.fingerprint != teacher.fingerprint and kept.stat().st_mtime_ns == before
    assert list((teacher.inputs.cache / "pretrained").glob("*.safetensors")) == [kept]
    for name, value in restore(kept).encoder.state_dict().items():
        assert torch.allclose(second.module.encoder.state_dict()[name], value, atol=1e-6), name


def test_what_its_key_depends_on(asked, place):
    inputs = read_inputs(asked.data, asked.task, place)
    own = key(asked, inputs)
    same = (asked.at_rate(1.0), replace(asked, trainer=replace(asked.trainer, max_epochs=9)))
    assert {key(one, inputs) for one in same} == {own}
    others = (
        replace(asked, pretraining=replace(WAY, share=0.3)), replace(asked, seed=1),
        replace(asked, model=replace(MODEL, layers=2)), replace(asked, trainer=replace(asked.trainer, batch_size=4)),
    )  # fmt: skip
    found = {key(one, inputs) for one in others} | {key(asked, inputs, 64)}
    fewer = read_inputs(Local(str(place / "data")), asked.task, place)
    assert len(found | {key(asked, fewer), own}) == 7


def test_a_teachers_key_holds_it_and_the_texts_without_labels(asked, place):
    inputs = read_inputs(asked.data, asked.task, place)
    fewer = read_inputs(Local(str(place / "data")), asked.task, place)
    assert keys.teacher(asked, inputs) != keys.teacher(asked, fewer)
    alone = replace(asked, pretraining=None)
    assert keys.teacher(alone, inputs) != keys.teacher(asked, inputs)
    assert len(INTENTS) == len(inputs.dataset.labels)
