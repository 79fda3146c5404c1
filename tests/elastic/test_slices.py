"""A slice computes what the student that is cut out computes, with as little work, and trains the larger weights."""

import pytest
import torch
from causal import writer
from shaped import batch, transformer
from torch.utils.flop_counter import FlopCounterMode

from millis.elastic.setting import Setting
from millis.elastic.slices import Slice
from millis.errors import MillisError
from millis.models import anatomy
from millis.models.outputs import each
from millis.pruning.shrink import shrink

FOUR = {"heads": (4,) * 4, "ffn": (48,) * 4}
MODELS = [transformer(kind, **FOUR) for kind in ("bert", "roberta", "distilbert")] + [
    transformer("bert", **FOUR, outputs=[["a", "text", 3, "one"], ["b", "token", 2, "one"]]),
    writer("gpt2, scaled by depth"), writer("qwen2"),
]  # fmt: skip


def inputs(rows=5, length=9):
    found = batch(1, rows, length)
    return {"input_ids": torch.as_tensor(found.ids), "attention_mask": torch.as_tensor(found.mask)}


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.spec.kind)
@pytest.mark.parametrize("narrow", [True, False])
def test_a_slice_answers_as_the_student_that_is_cut_out(model, narrow):
    width = anatomy.hidden_size(model.spec)
    setting = Setting(1, width - 8, 2, 17) if narrow else Setting(2, width, 2, model.spec.shape.ffn[0])
    small = shrink(model, setting.selection(model.spec))
    with torch.inference_mode():
        for ours, theirs in zip(Slice(model, setting)(**inputs()), each(small(**inputs())), strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def flops(answering):
    with FlopCounterMode(display=False) as counted, torch.no_grad():
        answering(**inputs())
    return counted.get_total_flops()


def test_a_slice_does_the_work_of_the_student():
    model, setting = MODELS[0], Setting(2, 24, 2, 17)
    small = shrink(model, setting.selection(model.spec))
    assert flops(Slice(model, setting)) == flops(small) < flops(model) / 2


def test_gradients_go_into_the_larger_weights_that_were_used():
    model = transformer("bert", **FOUR)
    Slice(model, Setting(1, 32, 2, 17))(**inputs())[0].sum().backward()
    last, first = model.encoder.encoder.layer[3], model.encoder.encoder.layer[0]
    assert last.intermediate.dense.weight.grad[:17].abs().sum() > 0
    assert last.intermediate.dense.weight.grad[17:].abs().sum() == 0
    assert first.intermediate.dense.weight.grad is None


def test_it_drops_out_as_the_model_does_and_follows_its_weights():
    model = transformer("bert", **FOUR)
    found, given = Slice(model, Setting(2, 32, 2, 17)), inputs()
    before = found(**given)[0]
    model.train()
    assert not torch.equal(found(**given)[0], found(**given)[0])
    model.eval()
    with torch.no_grad():
        torch.testing.assert_close(found(**given)[0], before)
        model.head.bias += 1
    torch.testing.assert_close(found(**given)[0], before + 1)


def test_what_the_model_does_not_contain_is_refused():
    with pytest.raises(MillisError, match="a selection keeps heads of layer 3"):
        Slice(transformer("bert", **FOUR), Setting(1, 32, 5, 17))
