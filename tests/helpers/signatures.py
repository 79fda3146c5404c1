"""Signatures and tasks of models that answer a text with logits."""

from millis.tasks.classification import Classification
from millis.types import Output, Signature

LOGITS = (Output("logits", "text", 2),)  # the width is the model's own: no exporter reads it
TEXTS = Signature(("input_ids", "attention_mask"), LOGITS)
PAIRS = Signature((*TEXTS.inputs, "token_type_ids"), LOGITS)


def answering(*labels):
    """What an artifact that answers so many labels says of its task."""
    return Classification(labels=labels).described()
