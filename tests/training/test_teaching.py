"""What the teacher says, cached or on-line: chosen by the budget, said in words, and the same to half precision."""

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from causal import NEXT, writer
from labelled import counted, said

from millis import models
from millis.data.batches import Rows
from millis.data.encode import Encoded
from millis.data.references import IGNORED
from millis.distillation.attention import Attention
from millis.distillation.contract import Pair
from millis.distillation.embedding import Embedding
from millis.distillation.features import FeatureDistillation, FeaturesOnly
from millis.distillation.hidden import Hidden
from millis.distillation.objective import Distillation
from millis.distillation.relations import Relation
from millis.distillation.stages import TwoStage
from millis.distillation.teacher_cache import teacher_logits
from millis.distillation.weight import Linear
from millis.models.features import Feature
from millis.training import teaching as teachings
from millis.training.callbacks import CachedTeacher, OnlineTeacher
from millis.training.fit import Fit
from millis.training.module import VALIDATION, TextModule
from millis.training.optim import AdamW
from millis.training.teaching import logit_bytes, teaching

TERMS = {
    "states": Hidden(1.0, "mse", "uniform"),
    "embedding": Embedding(1.0),
    "attention": Attention(1.0, "kl", "mean", "uniform"),
    "values": Relation(1.0, "value", "value", 4, [[-1, -1]]),
}
WIDTHS = 8 * 16  # of those terms' features of the teacher: 2 states, embedding, 2 queries, 2 keys, 1 value


def encoder(layers=4, hidden=16, heads=4, seed=0, vocabulary=50):
    config = {
        "model_type": "bert", "vocab_size": vocabulary, "hidden_size": hidden, "num_hidden_layers": layers,
        "num_attention_heads": heads, "intermediate_size": 32, "max_position_embeddings": 40, "pad_token_id": 0,
        "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
    }  # fmt: skip
    torch.manual_seed(seed)
    said = {
        "family": "transformer", "encoder": config, "affixes": [[2], [3]], "pooling": "mean", "dropout": 0.0,
        "shape": {"head_size": 4, "heads": [heads] * layers, "ffn": [32] * layers}, "num_labels": 2,
    }  # fmt: skip
    return models.build(models.read(said))


@pytest.fixture
def split(encoded):
    generator = np.random.default_rng(0)
    return encoded(
        [generator.integers(4, 50, generator.integers(2, 9)) for _ in range(24)], generator.integers(0, 2, 24)
    )


@pytest.fixture
def pair(split):
    rows = Rows(split, 0)
    return Pair(encoder(layers=2, hidden=8, heads=2, seed=1), encoder(), rows, rows)


class Watch(pl.Callback):
    """What is logged and done in every step."""

    def __init__(self):
        self.terms, self.rates = [], []

    def on_train_batch_end(self, trainer, *_):
        self.terms.append({name: value.item() for name, value in trainer.callback_metrics.items()})


def forbidden():
    raise AssertionError("logits were asked for")


def logits_of(pair, tmp_path):
    return lambda: teacher_logits(pair.teacher, pair.rows.encoded, 0, tmp_path / "logits.npz")


def train(pair, method, tmp_path, name="run", epochs=2, precision="32-true", **options):
    torch.manual_seed(7)  # a learned projection's fresh weights
    objective = method.objective(counted([12, 12]), pair)
    logits = logits_of(pair, tmp_path) if method.needs_logits else forbidden
    taught = teaching(method, objective, pair, tmp_path / "features", logits)
    module = TextModule(pair.student, objective, AdamW(lr=0.01, head_lr=0.03), lambda *_: 50.0)
    watch = Watch()
    fitted = Fit(max_epochs=epochs, batch_size=8, accelerator="cpu", precision=precision, **options)(
        module, pair.rows.encoded, pair.rows.encoded, 0, folder=tmp_path / name, seed=0, title="toy",
        callbacks=[*taught.callbacks, watch],
    )  # fmt: skip
    return module, watch, taught, fitted


def test_nothing_is_asked_of_a_teacher_that_nobody_needs(pair, tmp_path):
    method = Distillation(alpha=0.0)
    taught = teaching(method, method.objective(counted([12, 12])), pair, tmp_path / "f", forbidden)
    assert (taught.callbacks, taught.cached, taught.message) == ([], True, "")
    assert not (tmp_path / "f").exists()


def test_logits_alone_are_cached_or_on_line_as_ever(pair, tmp_path):
    logits = said(np.zeros((24, 2), np.float32))
    cached = Distillation(alpha=0.5)
    taught = teaching(cached, cached.objective(counted([12, 12])), pair, tmp_path / "f", lambda: logits)
    (callback,) = taught.callbacks
    assert isinstance(callback, CachedTeacher)
    assert callback.logits is logits
    assert callback.features is None
    assert taught.message == ""
    online = Distillation(alpha=0.5, cache=False)
    taught = teaching(online, online.objective(counted([12, 12])), pair, tmp_path / "f", forbidden)
    (callback,) = taught.callbacks
    assert isinstance(callback, OnlineTeacher)
    assert (callback.teacher, set(callback.features), callback.rows) == (pair.teacher, set(), None)


def test_the_bytes_of_logits_are_counted_at_targets(pair):
    assert logit_bytes(pair) == 4 * 24 * 2  # a row of two logits a text
    ids = np.arange(3, 10, dtype=np.int32)
    asked = np.array([4, 5, IGNORED, 7, 8, 9, IGNORED])
    tokens = Encoded(ids, None, np.array([0, 3, 7]), {"next": asked}, (NEXT._replace(width=0),), 0)
    rows = Rows(tokens, 0)
    assert logit_bytes(Pair(writer(seed=1), writer(), rows, rows)) == 4 * 5 * 48  # over the vocabulary


@pytest.mark.parametrize("cache", [True, False])
def test_logits_that_are_too_many_are_computed_in_every_step_and_that_is_said(pair, tmp_path, monkeypatch, cache):
    monkeypatch.setattr(teachings, "LOGITS_BYTES", 4 * 24 * 2 - 1)
    method = Distillation(alpha=0.5, cache=cache)
    taught = teaching(method, method.objective(counted([12, 12])), pair, tmp_path / "f", forbidden)
    (callback,) = taught.callbacks
    assert isinstance(callback, OnlineTeacher) and not taught.cached
    assert taught.message == "teacher: 192 B of logits, so it runs in every step"
    monkeypatch.setattr(teachings, "LOGITS_BYTES", 4 * 24 * 2)
    logits = said(np.zeros((24, 2), np.float32))
    assert teaching(method, method.objective(counted([12, 12])), pair, tmp_path / "f", lambda: logits).cached == cache


def test_features_beside_logits_that_are_too_many_are_not_cached_either(pair, tmp_path, monkeypatch):
    monkeypatch.setattr(teachings, "LOGITS_BYTES", 1)
    method = FeatureDistillation(terms=TERMS)
    taught = teaching(method, method.objective(counted([12, 12]), pair), pair, tmp_path / "f", forbidden)
    assert taught.message.endswith("in half precision: beside 192 B of logits, so the teacher runs in every step")
    assert [type(callback) for callback in taught.callbacks] == [OnlineTeacher] and not (tmp_path / "f").exists()


def test_features_that_fit_are_cached_and_that_is_said(pair, split, tmp_path):
    method = FeatureDistillation(terms=TERMS)
    taught = teaching(
        method, method.objective(counted([12, 12]), pair), pair, tmp_path / "f", logits_of(pair, tmp_path)
    )
    size = len(split.ids) * WIDTHS * 2
    assert taught.message == f"teacher: 8 features of 24 texts, {size / 1000:.1f} kB in half precision, cached"
    assert taught.cached
    (callback,) = taught.callbacks
    assert isinstance(callback, CachedTeacher)
    assert [logits.shape for logits in callback.logits.logits] == [(24, 2)]
    assert len(list((tmp_path / "f").glob("*.npy"))) == 8


@pytest.mark.parametrize(
    ("setting", "why"),
    [
        ({"cache": False}, "distillation.cache=false"),
        ({"cache_budget_mb": 0.02}, "more than distillation.cache_budget_mb=0.02"),
    ],
)
def test_features_that_do_not_fit_are_computed_in_every_step_and_that_is_said(pair, split, tmp_path, setting, why):
    method = FeatureDistillation(terms=TERMS, **setting)
    logits = said(np.full((24, 2), 3, np.float32))
    asked = (lambda: logits) if method.cache else forbidden
    taught = teaching(method, method.objective(counted([12, 12]), pair), pair, tmp_path / "f", asked)
    size = len(split.ids) * WIDTHS * 2
    assert size > 20_000
    assert taught.message == (
        f"teacher: 8 features of 24 texts, {size / 1000:.1f} kB in half precision: {why}, so the teacher runs in every "
        "step"
    )
    assert not taught.cached
    kept = [CachedTeacher] * method.cache  # small enough to keep, and perhaps those of several teachers
    assert [type(callback) for callback in taught.callbacks] == [*kept, OnlineTeacher]
    assert all(callback.logits is logits for callback in taught.callbacks[:-1])
    batch = Rows(split, 0).__getitems__([3, 1])
    for callback in taught.callbacks:
        callback.on_train_batch_start(None, pl.LightningModule(), batch, 0)
    assert "teacher/hidden/3" in batch
    assert batch["teacher_logits/logits"].shape == (2, 2)
    assert (batch["teacher_logits/logits"] == 3).all() == method.cache
    assert not (tmp_path / "f").exists()


def test_cached_and_on_line_losses_agree_to_half_precision(pair, tmp_path):
    start = {name: value.clone() for name, value in pair.student.state_dict().items()}
    _, cached, _, _ = train(pair, FeatureDistillation(terms=TERMS), tmp_path, "cached")
    pair.student.load_state_dict(start)
    _, online, _, _ = train(pair, FeatureDistillation(terms=TERMS, cache=False), tmp_path, "online")
    names = {f"train/{name}" for name in (*TERMS, "cross_entropy", "softened_kl", "objective")}
    assert len(cached.terms) == 6
    for left, right in zip(cached.terms, online.terms, strict=True):
        assert names <= set(left)
        for name in names:  # 2^-11 for each feature, amplified by six steps of training
            assert left[name] == pytest.approx(right[name], rel=5e-3, abs=1e-5), name
    assert any(left != right for left, right in zip(cached.terms, online.terms, strict=True))  # two ways indeed


def test_the_online_teacher_reads_its_own_token_ids(pair, encoded, split):
    # A trimmed vocabulary: the same texts, the student's ids 7 lower.
    lower = encoded(np.split(split.ids - 7, split.offsets[1:-1]), split.targets["logits"])
    rows = Rows(lower, 0)
    features = [Feature("hidden", 3)]
    found, expected = rows.__getitems__([2, 9, 4]), pair.rows.__getitems__([2, 9, 4])
    OnlineTeacher(pair.teacher, features, pair.rows).on_train_batch_start(None, pl.LightningModule(), found, 0)
    OnlineTeacher(pair.teacher, features).on_train_batch_start(None, pl.LightningModule(), expected, 0)
    assert torch.equal(found["teacher/hidden/3"], expected["teacher/hidden/3"])
    assert torch.equal(found["teacher_logits/logits"], expected["teacher_logits/logits"])
    assert not found["teacher/hidden/3"].requires_grad
    method = FeatureDistillation(terms=TERMS, cache=False)
    apart = Pair(pair.student, pair.teacher, rows, pair.rows)
    taught = teaching(method, method.objective(counted([12, 12]), apart), apart, None, forbidden)
    assert taught.callbacks[0].rows is pair.rows


def test_projections_are_trained_at_the_heads_rate_and_stay_out_of_the_student(pair, tmp_path):
    rates = {}

    class Rates(pl.Callback):
        def on_train_start(self, trainer, module):
            of = {id(p): group["lr"] for group in trainer.optimizers[0].param_groups for p in group["params"]}
            rates["projection"] = of[id(module.objective.learned["term_states"].projection.weight)]
            rates["head"] = of[id(module.model.head.weight)]
            rates["body"] = of[id(module.model.encoder.embeddings.word_embeddings.weight)]

    torch.manual_seed(7)
    method = FeaturesOnly(TERMS)
    objective = method.objective(counted([12, 12]), pair)
    fresh = {name: value.clone() for name, value in objective.state_dict().items()}
    assert [tuple(value.shape) for value in fresh.values()] == [(16, 8), (16, 8)]
    taught = teaching(method, objective, pair, tmp_path / "f", forbidden)
    names = set(pair.student.state_dict())
    module = TextModule(pair.student, objective, AdamW(lr=0.01, head_lr=0.03), lambda *_: 50.0)
    Fit(max_epochs=1, batch_size=8, accelerator="cpu")(
        module, pair.rows.encoded, pair.rows.encoded, 0, folder=tmp_path / "run", seed=0, title="toy",
        callbacks=[*taught.callbacks, Rates()],
    )  # fmt: skip
    assert rates["projection"] == rates["head"] == pytest.approx(3 * rates["body"])
    assert all(not torch.equal(value, fresh[name]) for name, value in objective.state_dict().items())
    assert set(pair.student.state_dict()) == names
    checkpoint = torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)["state_dict"]
    assert {name for name in checkpoint if name.startswith("objective.")} == {f"objective.{name}" for name in fresh}


class Killed(Exception):
    pass


class Kill(pl.Callback):
    """Ends the process, as it were, in the middle of the third epoch."""

    def on_train_batch_start(self, trainer, *_):
        if trainer.current_epoch == 2 and trainer.global_step == 7:
            raise Killed


def test_a_killed_run_goes_on_as_if_nothing_had_happened(pair, tmp_path):
    # Step 7 is in the third of four epochs. The loss falls in each, so that each is kept.
    start = {name: value.clone() for name, value in pair.student.state_dict().items()}
    method = FeaturesOnly({**TERMS, "states": Hidden(Linear(1.0, 0.0), "mse", "uniform")})
    train(pair, method, tmp_path, "whole", epochs=4)
    pair.student.load_state_dict(start)
    torch.manual_seed(7)
    objective = method.objective(counted([12, 12]), pair)
    taught = teaching(method, objective, pair, tmp_path / "features", forbidden)
    module = TextModule(pair.student, objective, AdamW(lr=0.01, head_lr=0.03), lambda *_: 50.0)
    with pytest.raises(Killed):
        Fit(max_epochs=4, batch_size=8, accelerator="cpu")(
            module, pair.rows.encoded, pair.rows.encoded, 0, folder=tmp_path / "killed", seed=0, title="toy",
            callbacks=[*taught.callbacks, Kill()],
        )  # fmt: skip
    pair.student.load_state_dict(start)
    _, _, _, fitted = train(pair, method, tmp_path, "killed", epochs=4)
    expected, found = (
        torch.load(tmp_path / name / "last.ckpt", weights_only=True)["state_dict"] for name in ("whole", "killed")
    )
    assert set(found) == set(expected)
    assert fitted.epochs == 4
    assert sum(name.startswith("objective.") for name in found) == 2
    for name, value in expected.items():
        assert torch.equal(found[name], value), name


def test_weights_follow_the_progress_of_the_training(pair, tmp_path):
    method = FeaturesOnly({"states": Hidden(Linear(1.0, 0.0), "mse", "uniform")})
    _, watch, _, _ = train(pair, method, tmp_path, epochs=2)
    shares = [terms["train/objective"] / terms["train/states"] for terms in watch.terms]
    assert shares == pytest.approx([1 - step / 6 for step in range(6)], rel=1e-5)


def test_epochs_of_features_alone_are_selected_by_their_own_loss(pair, tmp_path):
    losses = []

    class Losses(pl.Callback):
        def on_train_batch_end(self, trainer, module, outputs, *_):
            losses.append(outputs["loss"].item())

    method = TwoStage(terms=TERMS).stages()[0].distillation
    objective = method.objective(counted([12, 12]), pair)
    taught = teaching(method, objective, pair, tmp_path / "f", forbidden)

    def score(*_):
        raise AssertionError("an untrained head was judged")

    module = TextModule(pair.student, objective, AdamW(lr=0.01, head_lr=0.03), score)
    fitted = Fit(max_epochs=3, batch_size=8, accelerator="cpu")(
        module, pair.rows.encoded, pair.rows.encoded, 0, folder=tmp_path / "run", seed=0, title="toy",
        callbacks=[*taught.callbacks, Losses()],
    )  # fmt: skip
    means = [np.mean(losses[start : start + 3]) for start in (0, 3, 6)]
    assert [row[VALIDATION] for row in fitted.history] == pytest.approx([-mean for mean in means], rel=1e-5)
    assert fitted.quality == pytest.approx(-min(means), rel=1e-5)
    assert means[2] < means[0]


def test_features_alone_leave_the_head_as_it_was(pair, tmp_path):
    before = pair.student.head.weight.detach().clone()
    optimizer = AdamW(lr=0.01, head_lr=0.03, weight_decay=0.0)
    method = FeaturesOnly(TERMS)
    objective = method.objective(counted([12, 12]), pair)
    taught = teaching(method, objective, pair, tmp_path / "f", forbidden)
    Fit(max_epochs=1, batch_size=8, accelerator="cpu")(
        TextModule(pair.student, objective, optimizer, lambda *_: 0.0), pair.rows.encoded, pair.rows.encoded, 0,
        folder=tmp_path / "run", seed=0, title="toy", callbacks=taught.callbacks,
    )  # fmt: skip
    assert torch.equal(pair.student.head.weight, before)


def test_it_trains_under_mixed_precision(pair, tmp_path):
    _, watch, _, _ = train(pair, FeatureDistillation(terms=TERMS), tmp_path, epochs=3, precision="bf16-mixed")
    assert all(np.isfinite(list(terms.values())).all() for terms in watch.terms)
    assert watch.terms[-1]["train/states"] < watch.terms[0]["train/states"]
