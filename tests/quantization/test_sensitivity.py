from math import log

import numpy as np
import pytest
import torch
from labelled import outputs
from specs import static
from torch import nn

from millis.backends.onnx.arithmetic import arithmetic
from millis.quantization.sensitivity import Ranking, compare, rank
from millis.quantization.spec import Calibration, Fallback, Quantization
from millis.types import Features, Output

DYNAMIC = Quantization()


class Sum(nn.Module):
    """Logits of three products of a token's vector: one exact in integers, one rounded a little, one a lot."""

    def __init__(self):
        super().__init__()
        self.spec = static(num_labels=2)
        self.table = nn.Embedding.from_pretrained(torch.tensor([[255.0, 128.0], [0.0, 255.0], [255.0, 77.0]]))
        self.exact, self.fine, self.coarse = (nn.Linear(2, 2, bias=False) for _ in range(3))
        with torch.no_grad():
            self.exact.weight.copy_(torch.tensor([[127.0, 3.0], [5.0, 127.0]]) / 25400)
            self.fine.weight.copy_(torch.tensor([[127.0, 3.1], [5.0, 127.0]]) / 25400)
            self.coarse.weight.copy_(torch.tensor([[127.0, 3.49], [5.49, 127.0]]) / 25400)

    def forward(self, input_ids, attention_mask, token_type_ids=None):
        x = self.table(input_ids[:, 0])
        return self.exact(x) + self.fine(x) + self.coarse(x)


def texts():
    return [Features(np.array([[token]]), np.ones((1, 1), np.int64), None) for token in range(3)]


def test_damage_by_hand():
    # p = (1/2, 1/2) and (1/2, 1/2); q = (3/4, 1/4) and (1/4, 3/4): KL = 1/2 log(2/3) + 1/2 log 2 = 1/2 log(4/3), twice.
    reference = torch.zeros(2, 2)
    rounded = torch.tensor([[log(3), 0.0], [0.0, log(3)]])
    damage = compare(outputs(2), [reference], [rounded])
    assert damage.kl == pytest.approx(0.5 * log(4 / 3), abs=1e-7)
    assert damage.mse == pytest.approx(log(3) ** 2 / 2)
    assert damage.flips == 0.5  # of equal logits the first counts as the likelier


def test_a_shift_of_all_logits_changes_no_prediction():
    damage = compare(outputs(2), [torch.tensor([[1.0, 2.0]])], [torch.tensor([[4.0, 5.0]])])
    assert damage == (pytest.approx(0, abs=1e-12), 9.0, 0.0)


def test_damage_of_other_answers_by_hand():
    # A number that is 2 off: KL of unit normals 4 / 2. Labels: sigmoid(0) = 1/2, then sigmoid(ln 3) = 3/4 of one.
    number, labels = Output("number", "text", 1, "value"), Output("labels", "text", 2, "each")
    assert compare([number], [torch.tensor([[5.0]])], [torch.tensor([[3.0]])]) == (2.0, 4.0, 0.0)
    damage = compare([labels], [torch.zeros(1, 2)], [torch.tensor([[log(3), 0.0]])])
    assert damage.kl == pytest.approx(0.5 * log(4 / 3) / 2, abs=1e-7)
    assert damage.flips == 0.5
    both = compare([number, labels], [torch.tensor([[5.0]]), same := torch.zeros(1, 2)], [torch.tensor([[3.0]]), same])
    assert both.kl == 1.0, "the mean over outputs"


def test_layers_are_ranked_by_what_rounding_them_costs():
    model = Sum().eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    table = rank(model, texts(), DYNAMIC, arithmetic(DYNAMIC))
    assert [row.name for row in table] == ["coarse", "fine", "exact"]
    coarse, fine, exact = (row.damage.kl for row in table)
    assert coarse > 10 * fine > 0
    assert exact == pytest.approx(0, abs=1e-11)
    assert table[0].relief > table[1].relief
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_the_fewest_layers_are_kept():
    ranking = Ranking(Sum().eval(), texts(), DYNAMIC, arithmetic(DYNAMIC))
    whole = ranking.damage(ranking.candidates).kl
    fine = ranking.damage(["fine", "exact"]).kl
    assert ranking.choose(Fallback(damage=whole)).names == ()
    chosen = ranking.choose(Fallback(damage=fine, layers=3))
    assert chosen == (("coarse",), (ranking.damage(["coarse"]).kl,), whole, fine)
    assert ranking.choose(Fallback(damage=0.0, layers=1)).names == ("coarse",)  # no more than asked for
    everything = ranking.choose(Fallback(damage=0.0, layers=9))
    assert (everything.names[:2], everything.after) == (("coarse", "fine"), pytest.approx(0, abs=1e-11))


def test_layers_that_stay_fp32_anyway_are_no_candidates():
    ranking = Ranking(Sum().eval(), texts(), DYNAMIC, arithmetic(DYNAMIC), fixed=["coarse"])
    assert ranking.candidates == ["exact", "fine"]
    assert ranking.choose(Fallback(damage=0.0, layers=1)).names == ("fine",)


def test_static_ranges_are_those_of_the_texts():
    static = Quantization(activations="static", calibration=Calibration())
    assert next(row.name for row in rank(Sum().eval(), texts(), static, arithmetic(static))) == "coarse"
