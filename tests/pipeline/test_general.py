"""General distillation in the pipeline: once for all tasks, the start of a student, resumed, refused."""

from dataclasses import replace

import pytest
import torch

from millis.cli.recipes import run_of
from millis.distillation.hidden import Hidden
from millis.distillation.objective import Distillation
from millis.errors import MillisError
from millis.models.scratch import Scratch
from millis.pipeline import forecast, general, initial_student
from millis.pipeline.general import ensure_general, general_key, general_training
from millis.pipeline.initial_student import cut
from millis.pipeline.student import plan
from millis.pipeline.study import Study
from millis.quantization.spec import Quantization
from millis.training.fit import Fit
from millis.training.module import TextModule
from millis.training.optim import AdamW

TEXTS = ["where did my parcel go", "nobody answers the phone", "send it back", "the shop is closed", "Send  it BACK"]


@pytest.fixture
def texts(tmp_path, monkeypatch):
    """Overrides that distil on a file of a few texts; the teacher, made from nothing, counts as pre-trained."""
    monkeypatch.setattr(Scratch, "fresh", False)
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(TEXTS) + "\n", encoding="utf-8")
    return ["general=hidden", f"general.texts={path}", "general.max_epochs=2", "student.layers=1"]


def spec_of(run):
    return run.recipe.student.spec(run.teacher.manifest.spec)


def test_a_student_begins_with_what_was_learned_and_the_teacher_s_head(asked, texts):
    run = asked(*texts)
    learned, model = ensure_general(run, spec_of(run)), cut(run)
    plain = cut(asked("student.layers=1"))
    for name, weight in model.encoder.state_dict().items():
        assert torch.equal(weight, learned.encoder.state_dict()[name])
    changed = [
        not torch.equal(a, b) for a, b in zip(model.encoder.parameters(), plain.encoder.parameters(), strict=True)
    ]
    assert any(changed)
    assert torch.equal(model.head.weight, plain.head.weight)
    assert general_training(run, spec_of(run)).epochs == 2
    assert plan(run).name.startswith("transformer 1x") and "general" in plan(run).name


def test_states_come_nearer_to_those_of_the_pretrained_model(asked, texts):
    run = asked(*texts, "general.max_epochs=12", "general.lr=0.01")
    history = general_training(run, ensure_general(run, spec_of(run)).spec).history
    assert history[-1]["validation/quality"] > history[0]["validation/quality"]


def test_it_is_carried_out_once_for_all_tasks(asked, texts, monkeypatch):
    run = asked(*texts)
    recipe, spec = run.recipe, spec_of(run)
    key = general_key(run, spec)
    ensure_general(run, spec)
    monkeypatch.setattr(general, "_trained", lambda *_: pytest.fail("it lies there"))
    same = [{"distillation": Distillation()}, {"quantization": Quantization()}, {"optimizer": AdamW(1e-3, 1e-3)},
            {"trainer": replace(recipe.trainer, max_epochs=3)}]  # fmt: skip
    for part in same:
        ensure_general(run.with_recipe(replace(recipe, **part)), spec)
    assert general_key(run, replace(spec, outputs=())) == key
    others = [{"general": replace(recipe.general, lr=1e-4)}, {"general": replace(recipe.general, max_epochs=3)},
              {"seed": 3}, {"trainer": replace(recipe.trainer, batch_size=8)},
              {"general": replace(recipe.general, terms={"hidden": Hidden(1.0, "cosine", "uniform")})}]  # fmt: skip
    keys = {general_key(run.with_recipe(replace(recipe, **part)), spec) for part in others}
    smaller = replace(recipe.student, ffn_size=0.5).spec(run.teacher.manifest.spec)
    assert len({key, *keys, general_key(run, smaller)}) == 2 + len(others)


def test_a_student_s_key_knows_the_texts(asked, texts, tmp_path):
    first, without = plan(asked(*texts)).fingerprint, plan(asked("student.layers=1")).fingerprint
    (tmp_path / "texts.txt").write_text("something else\n", encoding="utf-8")
    assert len({first, without, plan(asked(*texts)).fingerprint}) == 3


def test_what_is_judged_is_left_out_and_texts_count_once(asked, texts, tmp_path):
    judged = asked(*texts).teacher.inputs.dataset.test.texts[0]
    path = tmp_path / "more.txt"
    path.write_text("\n".join([*TEXTS, judged.upper(), ""]), encoding="utf-8")
    run = asked(*texts, f"general.texts={path}")
    found, said, _ = general._texts(run.recipe.general, run.teacher.inputs)
    assert found == TEXTS[:4]
    assert "1 left out: they also occur in validation or test" in said
    assert "they occur in train, or more than once" not in said.split(";")[0]


def test_it_goes_on_where_it_was_broken_off(asked, texts, monkeypatch):
    run, original = asked(*texts, "general.lr=2e-3"), Fit.__call__
    whole = []

    def broken(self, *arguments, **options):
        whole.append(original(self, *arguments, **options))
        if len(whole) == 1:
            raise KeyboardInterrupt
        return whole[-1]

    monkeypatch.setattr(Fit, "__call__", broken)
    with pytest.raises(KeyboardInterrupt):
        ensure_general(run, spec_of(run))
    ensure_general(run, spec_of(run))
    assert [one.epochs for one in whole] == [2, 2]
    assert whole[0].history == whole[1].history  # read, not trained again


def test_students_that_are_not_cut_are_refused(asked, texts):
    message = r"general=hidden trains layers that are cut out .* student=transformer, or general=none$"
    with pytest.raises(MillisError, match=message):
        asked(*texts[:2], "student=ngrams")


def test_a_model_that_has_learned_nothing_is_refused_before_a_teacher_is_trained(asked, texts, monkeypatch):
    monkeypatch.setattr(Scratch, "fresh", True)
    with pytest.raises(MillisError, match=r"begins with random weights: .* model=minilm_l6, or general=none$"):
        asked(*texts)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.txt", "", r"general.texts=.*empty.txt has no text to learn from \(it is empty\)"),
        ("blank.txt", " \n\n", r"has no text to learn from \(2 left out: they have no words\)"),
        ("texts.pdf", "x", r"general.texts=.*texts.pdf: expected a file, or a folder with files, that end in one of"),
    ],
)
def test_texts_that_teach_nothing_are_refused(asked, texts, tmp_path, name, content, message):
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(MillisError, match=message):
        plan(asked(*texts, f"general.texts={tmp_path / name}"))


def test_texts_that_are_not_there_are_missed_before_a_teacher_is_trained(config, texts):
    with pytest.raises(MillisError, match=r"general.texts=typo.txt: expected a file, or a folder"):
        run_of(config(*texts, "general.texts=typo.txt", "teacher.seed=77"))


def test_halves_of_judged_pairs_are_left_out(asked, texts):
    run = asked(*texts)
    judged = replace(run.teacher.inputs.dataset.test, texts=[("nobody ANSWERS the phone", "why?")], references=[0])
    dataset = replace(run.teacher.inputs.dataset, test=judged)
    found, *_ = general._texts(run.recipe.general, replace(run.teacher.inputs, dataset=dataset))
    assert found == [TEXTS[0], *TEXTS[2:4]]


def test_a_record_says_what_came_before(asked, texts):
    run = asked(*texts)
    ensure_general(run, spec_of(run))
    note = general.general_note(run, spec_of(run))
    assert note.startswith(
        "learned the pre-trained model's states on 4 texts (1 left out: they occur in train, or more"
    )


def test_a_sweep_s_plan_counts_it_once(asked, texts):
    run = asked(*texts)
    plain = forecast.training_s(replace(run.recipe, general=None), run.teacher, set())
    assert forecast.training_s(run.recipe, run.teacher, set()) > plain
    shared = forecast._shared(run.recipe, run.teacher)
    assert forecast.training_s(run.recipe, run.teacher, shared) == plain


def test_pruning_begins_with_it_too(asked, texts, monkeypatch):
    run = asked(*texts)
    assert run.teacher.fingerprint in initial_student._source_key(run)
    assert general_key(run, spec_of(run)) in initial_student._source_key(run)


def test_nothing_is_validated_where_no_answers_are_trained(asked, texts, monkeypatch):
    """Fifty batches would be made in vain after every epoch."""
    seen = []
    monkeypatch.setattr(TextModule, "validation_step", lambda *given: seen.append(given))
    ensure_general(asked(*texts, "general.lr=3e-3", "trainer.batch_size=1"), spec_of(asked(*texts)))
    assert len(seen) == 2  # of two epochs


def test_a_budget_of_seconds_is_the_tasks(asked, texts):
    run = asked(*texts)
    hurried = run.with_recipe(replace(run.recipe, trainer=replace(run.recipe.trainer, budget_s=1.0, averaging=0.9)))
    assert run.recipe.general.fit(hurried.recipe.trainer).budget_s is None
    assert general_key(hurried, spec_of(run)) == general_key(run, spec_of(run))


def test_a_plan_knows_what_begun_trials_distilled(asked, texts, monkeypatch):
    run, known = asked(*texts), []
    monkeypatch.setattr(forecast, "training_s", lambda *given: known.append(set(given[-1])) or 0.0)
    for before in ([], [run.recipe]):
        forecast.planned(Study("s", {}, n_trials=3), run.teacher, [({}, run.recipe)], len(before), before)
    assert known == [set(), forecast._shared(run.recipe, run.teacher)] and known[1]
