"""From a masked model to a smaller dense one that computes the same.

What a mask means, part by part, and what is left when the part is cut away:

    head       its columns of the attention output are zero     fewer rows of query, key, value; fewer columns
    neuron     its column of the feed-forward output is zero    fewer rows of ffn_in, fewer columns of ffn_out
    channel    zero wherever the residual stream is written;    fewer channels everywhere
               layer norms take mean and variance over the rest
    layer      the block's output is its input                  fewer blocks

Biases of the two outputs stay, so a block without heads or neurons still adds them. `tests/pruning/test_shrink.py`
holds masked and shrunk logits to 1e-5 in fp32 for every architecture.
"""

from millis import models
from millis.errors import MillisError
from millis.models import anatomy
from millis.models.encoder import Transformer
from millis.models.selection import Selection, copy_selected, selected_spec


def shrink(model: Transformer, keep: Selection) -> Transformer:
    """A dense model of exactly the kept parts, classifier included; `model` stays as it is.

    Its `spec` describes it: `models.build(small.spec)` and `load_state_dict` restore it. It is on the model's device,
    in its precision and its mode.

    Raises:
        MillisError: as `selected_spec`, an architecture whose parts are not known, or matrices held as factors.
    """
    anatomy.find(model.spec.kind)
    if ranks := model.spec.ranks:
        raise MillisError(
            f"a model with {len(ranks)} factorized matrices, first {next(iter(ranks))}, cannot be shrunk: heads, "
            "neurons and channels are rows and columns of whole matrices. Prune before factorizing, or use "
            "factorization=none"
        )
    small = models.build(selected_spec(model.spec, keep))
    assert isinstance(small, Transformer)  # the family that the spec of `model` names
    weight = next(model.parameters())
    small.to(device=weight.device, dtype=weight.dtype).train(model.training)
    copy_selected(small, model, keep)
    return small
