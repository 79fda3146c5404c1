"""Fisher information against gradients taken text by text."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from millis.errors import MillisError
from millis.factorization.fisher import DAMPING, Fisher, row_information
from millis.factorization.rank import Fixed
from millis.factorization.svd import Svd, decompose

NAMES = [
    "encoder.embeddings.word_embeddings",
    "encoder.encoder.layer.0.attention.self.query",
    "encoder.encoder.layer.0.attention.output.dense",
    "encoder.encoder.layer.1.intermediate.dense",
    "head",
]


def one_at_a_time(model, name, batches):
    """1/n Σ_i ||∂L_i/∂w_o||² by a backward pass for each text, without its padding."""
    weight, total, count = model.get_submodule(name).weight, 0.0, 0
    for batch in batches:
        for row in range(len(batch["rows"])):
            length = int(batch["attention_mask"][row].sum())
            ids = batch["input_ids"][row : row + 1, :length]
            loss = F.cross_entropy(model(ids, torch.ones_like(ids)), batch["target/logits"][row : row + 1])
            (gradient,) = torch.autograd.grad(loss, weight)
            total, count = total + gradient.double().square().sum(1), count + 1
    return total / count


def test_equals_gradients_of_each_text(model, tokenizer, batches):
    found = row_information(model, NAMES, batches(tokenizer))
    for name in NAMES:
        torch.testing.assert_close(found[name], one_at_a_time(model, name, batches(tokenizer)), rtol=1e-3, atol=1e-9)


def test_batching_does_not_matter(model, tokenizer, batches):
    """The square of a batch's gradient would depend on it."""
    one, many = (row_information(model, NAMES, batches(tokenizer, size=size)) for size in (1, 5))
    for name in NAMES:
        torch.testing.assert_close(one[name], many[name], rtol=1e-3, atol=1e-9)


def test_by_hand():
    """logits = W x with W = 0: p = ½, ∂L/∂w_o = (p_o - y_o) x, so ||·||² = ¼ |x|²: 25/4 and 1/4, mean 3.25."""

    class Linear(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Embedding.from_pretrained(torch.tensor([[3.0, 4.0], [1.0, 0.0]]))
            self.head = nn.Linear(2, 2, bias=False)
            nn.init.zeros_(self.head.weight)

        def forward(self, input_ids, attention_mask):
            return self.head(self.table(input_ids)[:, 0])

    batch = {
        "input_ids": torch.tensor([[0], [1]]), "attention_mask": torch.ones(2, 1), "rows": torch.tensor([0, 1]),
        "target/logits": torch.tensor([0, 1]),
    }  # fmt: skip
    assert row_information(Linear(), ["head"], [batch])["head"].tolist() == pytest.approx([3.25, 3.25])


def test_samples_are_counted_across_batches(model, tokenizer, batches):
    asked = []

    def spy(tokenizer):
        for batch in batches(tokenizer, size=4):
            asked.append(len(batch["rows"]))
            yield batch

    weights = Fisher(6)(model, NAMES[-1:], spy, tokenizer)["head"]
    assert asked == [4, 4]
    first = [next(iter(batches(tokenizer, size=6)))]
    expected = row_information(model, NAMES[-1:], first)["head"]
    torch.testing.assert_close(weights, (expected + DAMPING * expected.mean()).sqrt(), rtol=1e-3, atol=0)


def test_tokens_that_never_occur_have_no_information_but_some_weight(model, tokenizer, batches):
    name = NAMES[0]
    information = row_information(model, [name], batches(tokenizer))[name]
    used = torch.cat([batch["input_ids"].flatten() for batch in batches(tokenizer)]).unique()
    unused = torch.ones(len(information), dtype=torch.bool)
    unused[used] = False
    assert unused.any() and not information[unused].any()
    assert (Fisher(99)(model, [name], batches, tokenizer)[name] > 0).all()


def test_the_model_is_left_as_it_was(model, tokenizer, batches):
    model.train()
    row_information(model, NAMES, batches(tokenizer))
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not [module for module in model.modules() if module._forward_hooks]


def test_fwsvd_keeps_what_the_loss_feels(model, tokenizer, batches):
    """By the weighted measure, on every matrix, no worse than plain SVD; and better on some."""
    fwsvd, svd = (
        Svd(["query", "ffn_in"], Fixed(2), weights).apply(model, tokenizer, [], batches)[0]
        for weights in (Fisher(99), None)
    )
    names = list(fwsvd.spec.ranks)
    weights = Fisher(99)(model, names, batches, tokenizer)

    def measure(small, name):
        difference = (model.get_submodule(name).weight - small.get_submodule(name).weight).detach()
        return float((difference.double() * weights[name][:, None]).square().sum())

    ratios = [measure(fwsvd, name) / measure(svd, name) for name in names]
    assert max(ratios) <= 1 + 1e-5 and min(ratios) < 0.95
    left, right = decompose(model.get_submodule(names[0]).weight, weights[names[0]]).factors(2)
    torch.testing.assert_close(fwsvd.get_submodule(names[0]).weight, left @ right)


def test_a_matrix_whose_outputs_belong_to_no_text(model, tokenizer, batches):
    with pytest.raises(MillisError) as error:
        row_information(model, ["encoder.embeddings.position_embeddings"], batches(tokenizer))
    assert str(error.value) == (
        "encoder.embeddings.position_embeddings gives 1 outputs to 4 texts, so its information cannot be told apart by "
        "text: leave it out of factorization.matrices, or set factorization.weights=null"
    )


def test_no_texts(model, tokenizer):
    with pytest.raises(MillisError, match="the loss of 0 training texts does not depend on head"):
        Fisher(4)(model, ["head"], lambda tokenizer: [], tokenizer)
    with pytest.raises(MillisError, match=r"^factorization\.weights\.samples=0: expected at least 1 text$"):
        Fisher(0)
