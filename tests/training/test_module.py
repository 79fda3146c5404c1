"""The LightningModule: what it logs, what it scores, and that its optimizer is the one configured."""

import pytest
import pytorch_lightning as pl
import torch
from specs import static

from millis.data.batches import Rows
from millis.data.module import SplitsModule
from millis.training.module import VALIDATION, TextModule


def trainer(epochs=1):
    return pl.Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0,
    )  # fmt: skip


def test_the_training_loss_is_the_objective_on_the_models_logits(module, separable):
    built = module(alpha=0.5)
    split = separable(6)
    batch = Rows(split, 0).__getitems__([0, 3, 5])
    batch["teacher_logits/logits"] = torch.randn(3, 2)
    logged = {}
    built.log = lambda name, value, batch_size, sync_dist: logged.update({name: (value.item(), batch_size)})
    loss = built.training_step(batch, 0)
    total, terms = built.objective([built.model(batch["input_ids"], batch["attention_mask"])], batch)
    assert loss.item() == total.item()
    assert logged == {
        "train/objective": (total.item(), 3),
        "train/cross_entropy": (terms["cross_entropy"].item(), 3),
        "train/softened_kl": (terms["softened_kl"].item(), 3),
    }
    loss.backward()
    assert built.model.head.weight.grad is not None


def test_the_metric_is_taken_over_the_whole_split_at_once(module, separable):
    # 20 rows come in 3 batches (4 · 2 each, and 4); a metric that is no mean over batches sees them together.
    asked = []

    def score(predictions, references):
        asked.append((predictions, references))
        return 12.5

    built = module(score=score)
    validation = separable(20, seed=1)
    run = trainer(epochs=2)
    run.fit(built, SplitsModule(separable(8), validation, 0, batch_size=2, seed=0))
    assert len(asked) == 2
    assert run.callback_metrics[VALIDATION] == 12.5
    for predictions, references in asked:
        assert references == validation.targets["logits"].tolist(), "in the split's order, whatever the batches"
        assert all(isinstance(value, int) for value in predictions)


def test_predictions_stand_beside_their_references(bag, module, separable):
    # A model that always answers by parity of the first token is always right.
    class Parity(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight, self.spec = torch.nn.Parameter(torch.ones(())), static()

        def forward(self, input_ids, attention_mask):
            return self.weight * torch.nn.functional.one_hot(input_ids[:, 0] % 2, 2).float()

    built = module()
    built = TextModule(Parity(), built.objective, built.optimizer, built.score)
    run = trainer()
    run.fit(built, SplitsModule(separable(8), separable(50, seed=1), 0, batch_size=4, seed=0))
    assert run.callback_metrics[VALIDATION] == 100.0


def test_where_several_are_judged_the_mean_of_their_qualities_counts(module, separable):
    def always(label):
        return lambda input_ids, attention_mask: torch.eye(2)[torch.full((len(input_ids),), label)]

    built, validation = module(), separable(20, seed=1)
    built.objective.judged = (always(0), always(1), always(1))
    run = trainer()
    run.fit(built, SplitsModule(separable(8), validation, 0, batch_size=2, seed=0))
    ones = validation.targets["logits"]
    assert run.callback_metrics[VALIDATION] == pytest.approx(100 * (1 + ones.mean()) / 3)  # (1 - p) + p + p
    assert built.right.tolist() == pytest.approx([(1 + one) / 3 for one in ones])


def test_the_rate_warms_up_and_reaches_zero_with_the_last_step(module, separable):
    built = module(lr=0.1)  # warm-up 0.1 of 10 steps: 1 step
    rates = []

    class Watch(pl.Callback):
        def on_train_batch_start(self, trainer, *_):
            rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    run = trainer(epochs=2)
    run.callbacks.append(Watch())
    run.fit(built, SplitsModule(separable(20), separable(4), 0, batch_size=4, seed=0))
    assert rates == pytest.approx([0.1, *[0.1 * (10 - step) / 9 for step in range(1, 10)]])
    assert run.optimizers[0].param_groups[0]["lr"] == 0
