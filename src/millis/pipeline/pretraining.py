"""Pre-training: a teacher's encoder reads the texts alone before it is fine-tuned, once for each fingerprint.

It reads the training texts and those without labels (`data.unlabelled`); validation and test texts are left out, for
what is judged must not be learned. What it learns depends on no label, so tasks over the same texts share it, and so do
all ways to fine-tune that a search tries.
"""

from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from millis.data.dataset import Split
from millis.data.encode import encode
from millis.models.tokenizer import pad_id
from millis.pipeline import keys
from millis.pipeline.fine_tuning import FineTuning
from millis.pipeline.inputs import Inputs
from millis.pipeline.place import Place
from millis.pipeline.tracker import PRETRAINING, tracked
from millis.pipeline.trained_once import model_once, training_of
from millis.training.fit import Fitted
from millis.training.masked_tokens import Reading, States, check, objective
from millis.training.module import TextModule
from millis.types import Text


def read_texts(tuning: FineTuning, inputs: Inputs) -> list[Text]:
    """The texts that the teacher reads before it sees a label, and that its vocabulary is learned from."""
    dataset = inputs.dataset
    further = [] if tuning.pretraining is None else dataset.unlabelled
    return [*inputs.task.references.spelled(dataset.train.texts, dataset.train.references), *further]


def pretrain(tuning: FineTuning, inputs: Inputs, place: Place, model: Any, tokenizer: Tokenizer, length: int) -> None:
    """Give `model` the encoder that pre-training ends with: trained now, continued from its last epoch, or read.

    Args:
        length: Most tokens of a text.

    Raises:
        MillisError: a model or a tokenizer that cannot be trained so.
    """
    check(model)
    hiding = tuning.pretraining.hiding(tokenizer)
    path = _path(tuning, inputs, length)
    checkpoints = path.with_suffix(".checkpoints")

    def train() -> tuple[Any, Fitted]:
        texts = read_texts(tuning, inputs)
        read = encode(Split(texts, [None] * len(texts)), tokenizer, length, inputs.cache / "tokens", Reading())
        learner = States(deepcopy(model))
        module = TextModule(learner, objective(learner.model), tuning.pretraining.optimizer, inputs.validation_score)
        fit = replace(tuning.trainer, max_epochs=tuning.pretraining.max_epochs, averaging=None, adversarial=None)
        said = {**place.said, **tuning.described}
        with tracked(place.tracker, f"pretrained-{path.stem[:6]}", PRETRAINING, said) as kept:
            fitted = fit(
                module, read, read, pad_id(tokenizer), folder=checkpoints, seed=tuning.seed,
                title=f"pre-training ({inputs.dataset.name})", logger=kept.logger, callbacks=[hiding],
            )  # fmt: skip
        return learner.model, fitted

    kept, _ = model_once(path, "this pre-training, which another process carries out", checkpoints, train)
    model.encoder.load_state_dict(kept.encoder.state_dict())


def pretraining_note(tuning: FineTuning, inputs: Inputs, length: int) -> str:
    """What a reader of a teacher's record should know; empty where it read nothing first."""
    if tuning.pretraining is None:
        return ""
    fitted, texts = pretraining_of(tuning, inputs, length), len(read_texts(tuning, inputs))
    return (
        f"teacher: its encoder first read {texts:,} texts without their labels, in {fitted.epochs} epochs and "
        f"{fitted.seconds:.0f} s; the mean loss of the last was {-fitted.quality:.2f} nats a hidden token"
    )


def pretraining_of(tuning: FineTuning, inputs: Inputs, length: int) -> Fitted:
    """How the pre-training went whose encoder lies there; arguments as for `pretrain`."""
    return training_of(_path(tuning, inputs, length))


def _path(tuning: FineTuning, inputs: Inputs, length: int) -> Path:
    key = keys.pretrained(tuning, inputs, read_texts(tuning, inputs), length)
    return inputs.cache / "pretrained" / f"{key}.safetensors"
