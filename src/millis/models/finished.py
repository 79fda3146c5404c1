"""Classifiers that come finished with a checkpoint, as transformers' `...ForSequenceClassification` save them.

Their form is a layer [D, D] with an activation over the first position's state, and a linear layer [C, D] (BERT's
pooler and classifier, Devlin et al. 2019, section 4.1; RoBERTa's, ELECTRA's and DistilBERT's heads): here a `pooler`
of `millis.models.transformer` and its head. GPT-2's, which reads the last position, has no such form.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import float32, nn
from transformers import AutoModelForSequenceClassification

from millis.errors import MillisError

SUFFIX = "ForSequenceClassification"
CHOICES = ("auto", "checkpoint", "fresh")


class Form(NamedTuple):
    """Where the parts are, in transformers' module, and the activation between them."""

    dense: str
    activation: str
    out: str


_ROBERTA = Form("classifier.dense", "tanh", "classifier.out_proj")
FORMS = {
    "bert": Form("bert.pooler.dense", "tanh", "classifier"),
    "albert": Form("albert.pooler", "tanh", "classifier"),
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
    "camembert": _ROBERTA,
    "electra": _ROBERTA._replace(activation="gelu"),
    "distilbert": Form("pre_classifier", "relu", "classifier"),
}


class Classifier(NamedTuple):
    """A finished classifier, its rows in the order of the data's labels."""

    activation: str
    dense: nn.Linear  # [D, D]
    weight: torch.Tensor  # [C, D]
    bias: torch.Tensor  # [C]

    @torch.no_grad()
    def fill(self, model: Any) -> None:
        """Copy it into a `Transformer` whose spec has the pooler."""
        model.pool.dense.load_state_dict(self.dense.state_dict())
        model.head.weight.copy_(self.weight)
        model.head.bias.copy_(self.bias)


def is_finished(config: Any) -> bool:
    """Whether a checkpoint of `config` has a classifier of its own."""
    return any(name.endswith(SUFFIX) for name in config.architectures or ())


def classifier(name: str, revision: str | None, config: Any, labels: Sequence[str]) -> Classifier:
    """The classifier of a checkpoint.

    Args:
        name, revision: As transformers loads it.
        config: Of the checkpoint.
        labels: Of the data, in order.

    Raises:
        MillisError: it answers other labels or another kind of question, its form is not known here, or its weights
            are missing.
    """
    order = _order(config.id2label, labels)
    if order is None:
        raise MillisError(f"its labels are {_some(config.id2label.values())}, the data's {_some(labels)}")
    if config.problem_type not in (None, "single_label_classification"):
        raise MillisError(f"it is made for {config.problem_type}")
    form = FORMS.get(config.model_type)
    if form is None:
        raise MillisError(f"millis knows the form of the classifiers of {', '.join(FORMS)}, not of {config.model_type}")
    whole, report = AutoModelForSequenceClassification.from_pretrained(
        name, revision=revision, dtype=float32, output_loading_info=True
    )
    if missing := sorted(key for key in report["missing_keys"] if key.startswith((form.dense, form.out))):
        raise MillisError(f"its weights lack {missing[0]}")
    out = whole.get_submodule(form.out)
    return Classifier(form.activation, whole.get_submodule(form.dense), out.weight[order], out.bias[order])


def _order(theirs: Mapping[int, str], labels: Sequence[str]) -> list[int] | None:
    """Their index of each of `labels`; None where the names are not the same ones."""
    index = {_plain(label): position for position, label in theirs.items()}
    wanted = [_plain(label) for label in labels]
    same = sorted(index) == sorted(wanted) and len(index) == len(theirs)
    return [index[label] for label in wanted] if same else None


def _plain(label: str) -> str:
    """A label's name as it is compared: `LABEL_1`, which transformers makes up, is the data's `1`."""
    return str(label).strip().casefold().removeprefix("label_")


def _some(labels: Any) -> str:
    first, *others = list(labels)
    shown = [first, *others[:4]]
    return ", ".join(map(str, shown)) + (", ..." if len(others) > 4 else "")
