"""Answers and features in one objective; every YAML of conf/distillation on a tiny pair; what is refused."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from labelled import counted
from omegaconf import OmegaConf
from specs import static

from millis.cli.hydra_app import conf_dir
from millis.data.batches import Rows
from millis.distillation.features import FeatureDistillation, FeaturesOnly
from millis.distillation.hidden import Hidden
from millis.distillation.patient import Patient
from millis.distillation.weight import Linear
from millis.errors import MillisError
from millis.models.features import Feature

CONFIGS = sorted((Path(conf_dir()) / "distillation").glob("*.yaml"))
HIDDEN = Hidden(2.0, "mse", "uniform")


def test_answers_and_features_are_added(pair, encoder, batch_of):
    both = pair(encoder(layers=2, seed=1))
    method = FeatureDistillation(alpha=0.25, temperature=3.0, logit_loss="reverse_kl", terms={"states": HIDDEN})
    objective = method.objective(counted([3, 3, 2]), both)
    total, terms = objective(*batch_of(both, objective))
    assert list(terms) == ["cross_entropy", "reverse_kl", "states"]
    expected = 0.75 * terms["cross_entropy"] + 0.25 * terms["reverse_kl"] + 2.0 * terms["states"]
    assert total.item() == pytest.approx(expected.item(), rel=1e-6)
    assert objective.answers
    assert method.needs_logits


def test_features_alone_need_no_logits_and_train_no_answers(pair, encoder, batch_of):
    both = pair(encoder(layers=2, seed=1))
    method = FeaturesOnly({"states": HIDDEN})
    objective = method.objective(counted([3, 3, 2]), both)
    outputs, batch = batch_of(both, objective)
    del batch["teacher_logits/logits"], batch["target/logits"]
    total, terms = objective(outputs, batch)
    assert list(terms) == ["states"]
    assert total.item() == pytest.approx(2 * terms["states"].item())
    assert not objective.answers
    assert not method.needs_logits
    assert [(stage.name, stage.share, stage.distillation) for stage in method.stages()] == [("features", 1.0, method)]


def test_a_term_without_weight_is_not_even_captured(pair):
    terms = {"states": HIDDEN, "off": Patient(0.0, "last"), "never": Hidden(Linear(0, 0), "mse", "last")}
    objective = FeatureDistillation(terms=terms).objective(counted([3, 3, 2]), pair())
    assert list(objective.terms) == ["cross_entropy", "softened_kl", "states"]
    first = Hidden(1.0, "mse", [[0, 2]])
    objective = FeatureDistillation(terms={"off": Patient(0.0, "last"), "on": first}).objective(
        counted([3, 3, 2]), pair()
    )
    assert objective.teacher_features == {Feature("hidden", 2)}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_makes_objectives_that_train(path, pair, encoder, batch_of):
    both = pair(encoder(layers=2, seed=1))
    stages = instantiate(OmegaConf.load(path)).stages()
    assert sum(stage.share for stage in stages) == pytest.approx(1)
    for stage in stages:
        objective = stage.distillation.objective(counted([3, 3, 2]), both)
        both.student.zero_grad()
        total, terms = objective(*batch_of(both, objective))
        total.backward()
        assert total > 0
        assert all(value > 0 for value in terms.values()), terms
        gradients = [parameter.grad for parameter in both.student.encoder.parameters() if parameter.grad is not None]
        assert sum(gradient.abs().sum() for gradient in gradients) > 0
        features = {term: set(getattr(term, "teacher_features", ())) for _, term in objective.terms.values()}
        assert objective.teacher_features == set().union(*features.values())


def test_a_config_takes_a_schedule_for_a_weight(pair):
    cfg = OmegaConf.load(Path(conf_dir()) / "distillation" / "hidden.yaml")
    schedule = {"_target_": "millis.distillation.weight.Cosine", "start": 3.0, "end": 1.0}
    OmegaConf.update(cfg, "terms.hidden.weight", schedule, force_add=True)
    weight, _ = instantiate(cfg).objective(counted([3, 3, 2]), pair()).terms["hidden"]
    assert [weight(progress) for progress in (0.0, 0.5, 1.0)] == pytest.approx([3.0, 2.0, 1.0])


def test_the_configs_of_trained_models_have_not_changed():
    # Weights are kept under a fingerprint of these values.
    common = {"_target_": "millis.distillation.objective.Distillation", "label_smoothing": 0.0, "balanced": False}
    resolved = {path.stem: OmegaConf.to_container(OmegaConf.load(path)) for path in CONFIGS}
    assert resolved["none"] == {**common, "alpha": 0.0, "temperature": 1.0, "cache": True}
    assert resolved["logits"] == {**common, "alpha": 0.7, "temperature": 2.0, "cache": True}


def test_texts_that_are_cut_differently_are_refused(pair, rows, encoded, encoder):
    lengths = rows.encoded.lengths.copy()
    lengths[[2, 5]] += 1
    other = Rows(encoded([np.full(length, 7) for length in lengths]), 0)
    method = FeatureDistillation(terms={"states": HIDDEN})
    with pytest.raises(MillisError) as error:
        method.objective(counted([3, 3, 2]), pair(teacher_rows=other))
    assert str(error.value) == (
        "student and teacher cut 2 of 8 training texts into different tokens (row 2: 7 and 8 tokens), but feature "
        "terms compare token by token. Keep the teacher's tokenizer and length (no vocabulary trimming that splits "
        "words), or choose distillation=logits"
    )
    with pytest.raises(MillisError) as error:
        method.objective(counted([3, 3, 2]), pair(teacher_rows=Rows(encoded([[5], [6]]), 0)))
    assert str(error.value) == (
        "the student trains on 8 rows, the teacher has 2: feature terms need the teacher's features of every training "
        "row"
    )
    renumbered = Rows(encoded([np.full(length, 7) for length in rows.encoded.lengths]), 0)
    assert "states" in method.objective(counted([3, 3, 2]), pair(teacher_rows=renumbered)).terms


def test_a_student_without_layers_is_refused(pair):
    class Static(torch.nn.Module):
        spec = static()

    with pytest.raises(MillisError, match="the student is a 'static' model: it has no layers whose hidden states"):
        FeatureDistillation(terms={"states": HIDDEN}).objective(counted([3, 3, 2]), pair(Static()))
    with pytest.raises(MillisError, match="the teacher is a 'static' model"):
        FeatureDistillation(terms={"states": HIDDEN}).objective(counted([3, 3, 2]), pair(teacher=Static()))


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        (
            {"states": Hidden(0.0, "mse", "last")},
            "distillation.terms: every weight is 0, so nothing would be learned from features. Give one a weight above "
            "0, or choose distillation=logits",
        ),
        (
            {},
            "distillation.terms: there are none, so nothing would be learned from features. Give one a weight above 0, "
            "or choose distillation=logits",
        ),
        (
            {"states": {"weight": 1.0}},
            "distillation.terms.states={'weight': 1.0} is no feature term: expected a plain name and a _target_ such "
            "as millis.distillation.hidden.Hidden, under `_convert_: all` beside the distillation's own _target_",
        ),
    ],
)
def test_terms_without_sense(terms, message):
    for make in (FeatureDistillation, FeaturesOnly):
        with pytest.raises(MillisError) as error:
            make(terms=terms)
        assert str(error.value) == message


def test_settings_without_sense():
    with pytest.raises(MillisError) as error:
        FeatureDistillation(terms={"states": HIDDEN}, cache_budget_mb=-1)
    assert str(error.value) == ("distillation.cache_budget_mb=-1: expected 0 (run the teacher in every step) or more")
    with pytest.raises(MillisError, match=r"distillation.temperature=0"):
        FeatureDistillation(terms={"states": HIDDEN}, temperature=0)
