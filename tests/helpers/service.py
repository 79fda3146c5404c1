"""A customer service of a few words: what each word means to its parts is set by hand, so answers can be read off."""

from dataclasses import asdict

import numpy as np
import torch
from specs import static
from tokenizers import Tokenizer, models, pre_tokenizers

from millis.applications.customer_service.answering import Entry, Settings
from millis.applications.customer_service.replies import Reply
from millis.applications.manifest import seal
from millis.backends.artifact import write_artifact
from millis.backends.eager import Eager
from millis.data.vectors import Vectors
from millis.models import build
from millis.storage.manifest import Manifest
from millis.tasks.classification import Classification
from millis.tasks.retrieval import Retrieval

LABELS = ("track", "cancel", "question", "out_of_scope")
SURE = 8.0  # the logit of what a word says: of four labels e^8 / (e^8 + 3) = 0.999
WORDS = {
    "parcel": (SURE, 0, 0, 0), "stop": (0, SURE, 0, 0), "open": (0, 0, SURE, 0), "postage": (0, 0, SURE, 0),
    "weather": (0, 0, 0, SURE), "hm": (1, 0, 0, 0),
}  # fmt: skip
FOUND = {"open": (1.0, 0.0), "postage": (0.0, 1.0)}  # the vectors of the FAQ's two entries
SETTINGS = Settings(
    least_confidence=0.9,
    least_cosine=0.8,
    replies={
        "track": Reply("order {order_number} is on its way", {"order_number": "which order?"}),
        "cancel": Reply("cancelled {order_number}", {"order_number": "which one?"}),
    },
    entries=[Entry("hours", "from nine to five"), Entry("costs", "it is free")],
    out_of_scope="i do not know",
    hand_over="a colleague takes over",
)


def part(folder, meanings, task, choice="one"):
    """An artifact that gives a text the mean of what its words mean; of unknown words nothing."""
    words = ["[UNK]", *meanings]
    width = len(next(iter(meanings.values())))
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    outputs = [[task.outputs[0].name, "text", width, choice]]
    model = build(static(vocab_size=len(words), size=width, outputs=outputs, num_labels=None))
    with torch.no_grad():
        model.vectors.weight.copy_(torch.tensor([(0.0,) * width, *map(tuple, meanings.values())]))
        model.head.weight.copy_(torch.eye(width))
        model.head.bias.zero_()
    manifest = Manifest(
        name=folder.name, backend="", spec=model.spec, task=task.described(), inputs=("input_ids", "attention_mask"),
        max_length=16, fingerprint=folder.name,
    )  # fmt: skip
    write_artifact(folder, model, tokenizer, Eager(), manifest, None, carried=task.carried(folder))
    return folder


def parts(folder):
    """Those of the service, by name."""
    folder.mkdir(parents=True, exist_ok=True)
    vectors = Vectors(np.array([*FOUND.values()], np.float32))
    found = {**dict.fromkeys(WORDS, (0.0, 0.0)), **FOUND}
    return {
        "intent": part(folder / "intent", WORDS, Classification(labels=LABELS)),
        "faq": part(folder / "faq", found, Retrieval("").over(tuple(FOUND), vectors), "vector"),
    }


def service(folder, **changes):
    """The folder of an application with these parts."""
    made = parts(folder)
    seal(folder, "service", "customer_service", made, settings=asdict(SETTINGS) | changes)
    return folder
