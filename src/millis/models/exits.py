"""Early exits: classifiers after chosen blocks, and the model cut into the segments between them.

A model with exits computes its answer several times, each from a deeper state (Teerapittayanon et al. 2016,
1709.01686; on BERT: DeeBERT, 2004.12993, and PABEE, 2006.04152):

    segment 0      token ids → embeddings → blocks up to the first exit → states, logits
    segment i      states → blocks up to the next exit → states, logits
    last segment   states → the remaining blocks → states, the model's own logits

A forward pass runs all of them, so that what is trained is what is deployed; whoever answers requests runs segment
after segment and stops where a policy is sure (`millis.early_exit.policy`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from torch import Tensor, nn

from millis.errors import MillisError
from millis.models import heads
from millis.models.between import Between
from millis.models.blocks import blocks_of, embedded, require_post_norm, written_mask
from millis.models.spec import Spec
from millis.models.transformer_spec import TransformerSpec


def spans(spec: TransformerSpec) -> list[range]:
    """The layers of each segment: exits after 1 and 3 of six layers give 0..1, 2..3, 4..5."""
    ends = [layer + 1 for layer in spec.exits]
    return [range(begin, end) for begin, end in zip([0, *ends], [*ends, spec.layers], strict=True)]


def with_exits_after(spec: Spec, layers: Sequence[int]) -> TransformerSpec:
    """`spec` with exits after `layers`.

    Raises:
        MillisError: no transformer that exits are known for, a layer that does not exist, the last one, or none.
    """
    whole = require_post_norm(spec, "early_exit", "early exits stand between the layers")
    last, layers = whole.layers - 1, list(layers)
    if outside := [layer for layer in layers if not 0 <= layer < last]:
        after = f"an exit may stand after layer {last - 1} or before" if last else "so no exit comes before its last"
        raise MillisError(
            f"early_exit.layers={layers} asks for an exit after layer {outside[0]}: the student has {last + 1} layers, "
            f"counted from 0, and {after} (the last one's answer is the model's own). Choose among these"
        )
    if not layers or sorted(set(layers)) != layers:
        raise MillisError(
            f"early_exit.layers={layers}: expected at least one layer, each once, ascending; or null for every layer "
            "but the last"
        )
    return replace(whole, exits=tuple(layers))


class Exits(Between):
    """Classifiers after the layers that `spec.exits` names, each [D] → [C].

    The last answer is the head's, as in the model without exits.
    """

    def __init__(self, spec: TransformerSpec, encoder: Any) -> None:
        super().__init__(spec, encoder)
        self.early = heads.Early(encoder.config.hidden_size, spec.outputs[0].width, spec.exits)

    @staticmethod
    def check(spec: Spec) -> None:
        """As `with_exits_after`."""
        with_exits_after(spec, spec.exits)

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        return {"exits": self.early}

    @property
    def classifiers(self) -> Mapping[int, nn.Linear]:
        return {int(layer): cast(nn.Linear, classifier) for layer, classifier in self.early.items()}

    def answers(self, model: Any, ids: Tensor, mask: Tensor, types: Tensor | None) -> heads.Answers:
        """The last exit's logits [B, C]."""
        return exit_logits(model, ids, mask, types)[-1]


def exit_logits(
    model: Any, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
) -> list[Tensor]:
    """Logits [B, C] of every exit of `model`, first to last; the last ones are its own."""
    states = embedded(model, input_ids, token_type_ids)
    blocks, found = blocks_of(model), []
    for span in spans(model.spec):
        states = through(model.encoder.config, [blocks[layer] for layer in span], states, attention_mask)
        found.append(_classifier(model, span[-1])(model.dropout(model.pool(states, attention_mask))))
    return found


def _classifier(model: Any, layer: int) -> nn.Module:
    """What answers from the output of `layer`."""
    found: nn.Module = model.between.classifiers.get(layer, model.head)
    return found


class Segment(nn.Module):
    """Some blocks and the classifier after them; parts are shared with `model`, not copied.

    Args:
        model: With exits, in evaluation mode.
        span: Its layers that this segment runs.
    """

    def __init__(self, model: Any, span: range) -> None:
        super().__init__()
        blocks = blocks_of(model)
        self.config = model.encoder.config
        self.pool = model.pool
        self.blocks = nn.ModuleList([blocks[layer] for layer in span])
        self.classifier = _classifier(model, span[-1])

    def forward(self, states: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        """States [B, S, D] and mask [B, S] to the states after this segment and logits [B, C]."""
        states = through(self.config, list(self.blocks), states, attention_mask)
        return states, self.classifier(self.pool(states, attention_mask))


class Opening(nn.Module):
    """The first segment, from token ids."""

    def __init__(self, model: Any, span: range) -> None:
        super().__init__()
        self.encoder = nn.Module()
        self.encoder.embeddings = model.encoder.embeddings
        if (project := getattr(model.encoder, "embeddings_project", None)) is not None:
            self.encoder.embeddings_project = project
        self.takes_token_types = model.takes_token_types
        self.segment = Segment(model, span)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Token ids [B, S] to states [B, S, D] and logits [B, C]."""
        found: tuple[Tensor, Tensor] = self.segment(embedded(self, input_ids, token_type_ids), attention_mask)
        return found


def segments(model: Any) -> list[nn.Module]:
    """`model` in pieces: an `Opening`, then `Segment`s."""
    first, *others = spans(model.spec)
    return [Opening(model, first), *(Segment(model, span) for span in others)]


def through(config: Any, blocks: list[nn.Module], states: Tensor, mask: Tensor) -> Tensor:
    """`states` [B, S, D] after `blocks` of an encoder of `config`; where `mask` [B, S] is 0 nobody looks."""
    written = written_mask(config, mask)
    for block in blocks:
        output = block(states, attention_mask=written)
        states = output[0] if isinstance(output, tuple) else output
    return states
