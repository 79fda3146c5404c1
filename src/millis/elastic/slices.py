"""A slice: elastic weights run at one setting.

Every weight of a student that is a prefix is the beginning, along each axis, of the weight of the same name in the
larger model, its layer's number aside. So the student's own modules run on views of the larger model's weights: as
little is computed as in the student that is cut out, which is made of the same modules, and gradients go into the
larger weights. Norms take their mean and variance over the channels that are left.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from millis import models
from millis.elastic.setting import Setting
from millis.models import anatomy
from millis.models.encoder import Transformer
from millis.models.outputs import each
from millis.models.selection import Selection, selected_spec


class Slice:
    """`model` at a setting; its weights are looked up in every call, for training replaces and moves them.

    Args:
        model: Elastic weights at their largest.
        setting: Not larger.

    Raises:
        MillisError: a setting that the model does not contain.
    """

    def __init__(self, model: Transformer, setting: Setting) -> None:
        self.model = model
        keep = setting.selection(model.spec)
        spec = selected_spec(model.spec, keep)
        with torch.device("meta"):  # its own weights are never read
            self.modules: nn.Module = models.build(spec)
        self.names = _names(self.modules, model, keep)

    def __call__(self, **inputs: Tensor) -> tuple[Tensor, ...]:
        """Logits of each output, as the student that is cut out gives them in the same mode."""
        whole = dict(_tensors(self.model))
        views = {
            own: whole[source][tuple(slice(size) for size in shape)] for own, (source, shape) in self.names.items()
        }
        if self.modules.training != self.model.training:
            self.modules.train(self.model.training)
        return each(functional_call(self.modules, views, (), inputs))


def _names(small: Any, large: Any, keep: Selection) -> dict[str, tuple[str, torch.Size]]:
    """Each weight of `small` → that of `large` which it is the beginning of, and its shape."""
    parts = anatomy.find(large.spec.kind)
    for target, index in zip(parts.layers(small.encoder), keep.layers, strict=True):  # a GPT-2 may scale by depth
        target.attention.scaling = parts.layers(large.encoder)[index].attention.scaling
    called = {module: name for model in (small, large) for name, module in model.named_modules()}
    sources = parts.blocks(large.encoder)
    moved = {
        f"{called[block]}.": f"{called[sources[index]]}."
        for block, index in zip(parts.blocks(small.encoder), keep.layers, strict=True)
    }
    own = [*small.named_parameters(), *small.named_buffers()]  # what is shared, once: the call shares it again
    return {name: (_moved(name, moved), tensor.shape) for name, tensor in own}


def _moved(name: str, moved: dict[str, str]) -> str:
    """`name` in the larger model, where the block that it lies in has another number."""
    before = next((prefix for prefix in moved if name.startswith(prefix)), "")
    return moved.get(before, "") + name.removeprefix(before)


def _tensors(model: nn.Module) -> list[tuple[str, Tensor]]:
    """Parameters and buffers by name, those that are shared under each of theirs."""
    return [*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)]
