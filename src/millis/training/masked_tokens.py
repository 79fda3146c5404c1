"""Masked-token pre-training: an encoder learns the language of texts by saying which tokens were hidden in them.

Devlin et al. 2019 (1810.04805, section 3.1, task 1): 15 % of the tokens are asked for; of these 80 % are replaced by
`[MASK]`, 10 % by a random token, 10 % left as they are. Which ones is drawn anew in every epoch, as in RoBERTa (Liu et
al. 2019, 1907.11692, section 4.1). What says the tokens is BERT's: a layer [D, E] with GELU and a norm, then the table
of token vectors with a bias of its own. It is thrown away afterwards. Labels are not read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from millis.data.batches import Batch
from millis.data.encode import TARGETS
from millis.data.references import IGNORED, TextsAlone
from millis.distillation.weighted_terms import Objective
from millis.errors import MillisError
from millis.models import anatomy
from millis.models.encoder import Transformer
from millis.models.tokenizer import AnyTokenizer
from millis.training.length import Length
from millis.training.optim import AdamW
from millis.types import Output, Text

HIDDEN, RANDOM = 0.8, 0.1  # of the tokens that are asked for: replaced by [MASK], and by any token
MASK_TOKENS = ("[MASK]", "<mask>")
TOKENS = "tokens"  # the output that says them
KEY = "pretraining@teacher.pretraining"  # on the command line


def none() -> None:
    """The encoder comes to its task as it is: what `conf/pretraining/none.yaml` asks for."""


@dataclass(frozen=True)
class MaskedTokens:
    """How an encoder is pre-trained. Batch size, precision and devices are those of the teacher's training.

    Args:
        share: Of the tokens, that are asked for.
        lr: Peak rate of all weights.
        max_epochs: A `Length`, or a whole number.

    Raises:
        MillisError: no share between 0 and 1, a rate that is not above 0, or no epoch.
    """

    share: float = 0.15
    lr: float = 5e-4
    max_epochs: int | Length = 20

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise MillisError(
                f"teacher.pretraining.share={self.share}: expected a share of the tokens, above 0 below 1"
            )
        if self.lr <= 0:
            raise MillisError(f"teacher.pretraining.lr={self.lr}: expected above 0")
        if isinstance(self.max_epochs, int) and self.max_epochs < 1:
            raise MillisError(
                f"teacher.pretraining.max_epochs={self.max_epochs}: expected at least 1; {KEY}=none leaves it out"
            )

    @property
    def optimizer(self) -> AdamW:
        """Of all weights, those that are thrown away afterwards included."""
        return AdamW(self.lr, self.lr)

    def hiding(self, tokenizer: AnyTokenizer) -> "Hiding":
        """What hides tokens in batches.

        Raises:
            MillisError: the tokenizer has no token to hide others with.
        """
        found = (tokenizer.token_to_id(token) for token in MASK_TOKENS)
        mask = next((token for token in found if token is not None), None)
        if mask is None:
            raise MillisError(
                f"{KEY}=masked hides tokens behind {' or '.join(MASK_TOKENS)}, and the model's tokenizer has neither: "
                f"choose {KEY}=none, or a model whose tokenizer has one, such as model=scratch"
            )
        return Hiding(self.share, mask, tokenizer.get_vocab_size())


def check(model: Any) -> None:
    """Refuse what cannot be pre-trained so.

    Raises:
        MillisError: no transformer, or one whose tokens look back only.
    """
    causal = [kind for parts in anatomy.ANATOMIES if parts.causal for kind in parts.model_types]
    if not isinstance(model, Transformer) or model.spec.kind in causal:
        raise MillisError(
            f"{KEY}=masked hides tokens in the middle of a text: expected an encoder, whose tokens look both ways, "
            f"such as model=scratch, got a {model.spec.kind!r} model. Choose {KEY}=none"
        )


class States(nn.Module):
    """A transformer's state of each token, [B, S, D], in place of its answers."""

    def __init__(self, model: Transformer) -> None:
        super().__init__()
        self.model, self.spec = model, model.spec
        for unused in (model.head, model.pool):
            if isinstance(unused, nn.Module):
                unused.requires_grad_(requires_grad=False)

    def forward(self, **inputs: Tensor) -> Tensor:
        """`inputs` are those of the model."""
        return self.model.states(**inputs)


class Guess(nn.Module):
    """The term: cross-entropy of the hidden tokens, mean over them.

    Args:
        model: Whose states and table of token vectors are read; the table is trained as a part of it.
    """

    def __init__(self, model: Transformer) -> None:
        super().__init__()
        self._table = (model.encoder.get_input_embeddings(),)  # in a tuple, for it is no module of this one
        rows, width = self._table[0].weight.shape
        self.transform = nn.Sequential(
            nn.Linear(model.encoder.config.hidden_size, width), nn.GELU(), nn.LayerNorm(width)
        )
        self.bias = nn.Parameter(torch.zeros(rows))

    def forward(self, outputs: Sequence[Tensor], batch: Batch) -> Tensor:
        """Of states [B, S, D]; 0 where no token of the batch is hidden."""
        targets = batch[TARGETS + TOKENS]
        asked = targets != IGNORED
        logits = F.linear(self.transform(outputs[0][asked]), self._table[0].weight, self.bias)
        return F.cross_entropy(logits.float(), targets[asked], reduction="sum") / asked.sum().clamp(min=1)


class Hiding(pl.Callback):
    """Hides tokens of every training batch; what is drawn follows the seed of the epoch (`Noise`).

    Args:
        share: Of the tokens, that are asked for.
        mask: Id of the token that hides others.
        vocabulary: V, of which random tokens are drawn.
    """

    def __init__(self, share: float, mask: int, vocabulary: int) -> None:
        self.share, self.mask, self.vocabulary = share, mask, vocabulary

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, *_: Any) -> None:
        """Replace token ids, and leave as targets those that are asked for."""
        ids, targets = batch["input_ids"], batch[TARGETS + TOKENS]
        asked = (targets != IGNORED) & (torch.rand(ids.shape, device=ids.device) < self.share)
        drawn = torch.rand(ids.shape, device=ids.device)
        other = torch.randint_like(ids, self.vocabulary)
        hidden = torch.where(drawn < HIDDEN, self.mask, torch.where(drawn < HIDDEN + RANDOM, other, ids))
        batch["input_ids"] = torch.where(asked, hidden, ids)
        batch[TARGETS + TOKENS] = torch.where(asked, targets, IGNORED)


@dataclass(frozen=True)
class EachToken(TextsAlone):
    """References of a text that is its own: each token is what is to be said in its place, but for those put around."""

    reads_offsets = False

    def targets(
        self, texts: Sequence[Text], references: Sequence[Any], encodings: Sequence[Any]
    ) -> tuple[NDArray[Any], ...]:
        """Token ids, end to end, with `IGNORED` at special tokens, [tokens]."""
        special = [np.asarray(one.special_tokens_mask, dtype=bool) for one in encodings]
        ids = [np.asarray(one.ids, dtype=np.int64) for one in encodings]
        return (np.where(np.concatenate(special), IGNORED, np.concatenate(ids)),)


@dataclass(frozen=True)
class Reading:
    """What is learned from texts alone, as `millis.data.encode.encode` asks for it."""

    references: EachToken = EachToken()
    outputs: tuple[Output, ...] = (Output(TOKENS, "token", 0),)


def objective(model: Transformer) -> Objective:
    """What pre-training minimises. No metric judges it: the answers are not trained."""
    return Objective({"masked_tokens": (1.0, Guess(model))}, answers=False)
