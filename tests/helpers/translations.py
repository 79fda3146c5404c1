"""A translation whose model says words that were set by hand, and one of a model that was never trained."""

from dataclasses import asdict, dataclass, field

import torch

from millis.applications.manifest import seal
from millis.applications.translation.answering import Settings, Translator
from millis.backends.artifact import write_artifact
from millis.backends.onnxruntime import OnnxRuntime
from millis.described import described
from millis.generation.greedy import Greedy
from millis.models.scratch_seq2seq import ScratchSeq2seq
from millis.serving.writer import Reply
from millis.storage.manifest import Manifest
from millis.tasks.sequence_to_sequence import SequenceToSequence

SETTINGS = Settings("en", "de", ["LATIN"])
WORDS = {"the": "die", "lamp": "Lampe", "is": "ist", "old": "alt", "new": "neu", "lost": ""}
PAIRS = [("the lamp is old.", "die Lampe ist alt."), ("the new lamp is lost.", "die neue Lampe ist weg.")] * 4


@dataclass
class WordByWord:
    """Says the word of each word, and one that it does not know as it is.

    Args:
        words: Of a source in small letters → in the translation.
        longest: Words of a text that is read; of one that is written.
        deaf: Letters that it does not carry over.
        asked: What it was asked.
    """

    words: dict[str, str] = field(default_factory=lambda: WORDS)
    longest: int = 99
    most: int = 99
    deaf: str = ""
    asked: list[str] = field(default_factory=list)

    def cut(self, text):
        return max(0, len(text.split()) - self.longest)

    def replied(self, text):
        self.asked.append(text)
        said = [self.words.get(word.lower(), word) for word in text.replace(".", " .").split()]
        kept = [word for word in said if word and word not in self.deaf]
        whole = " ".join(kept[: self.most]).replace(" .", ".")
        return Reply(whole, (), "end" if len(kept) <= self.most else "length")


def translator(model=None, **changes):
    """The application of such a model."""
    return Translator(Settings(**asdict(SETTINGS) | changes), model or WordByWord())


def translation_application(folder, **changes):
    """The folder of an application whose model was never trained: it writes six tokens, whatever it reads."""
    torch.manual_seed(0)
    task = SequenceToSequence()
    source = ScratchSeq2seq(1, 1, hidden_size=16, heads=2, ffn_size=16, vocab_size=280, max_length=64, dropout=0.0)
    model, tokenizer = source(task.outputs, PAIRS)
    manifest = Manifest(
        name="translate", backend="", spec=model.spec, task=task.described(), inputs=("input_ids", "attention_mask"),
        max_length=64, fingerprint="untrained", generation=described(Greedy(max_tokens=6)),
    )  # fmt: skip
    folder.mkdir(parents=True)
    write_artifact(folder / "translate", model.eval(), tokenizer, OnnxRuntime(), manifest, None)
    settings = asdict(SETTINGS) | changes
    seal(folder, "letters", "translation", {"translate": folder / "translate"}, settings=settings)
    return folder
