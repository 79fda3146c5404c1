"""Students: cut or built from the teacher, distilled once for each fingerprint."""

import json
import shutil
from dataclasses import asdict, dataclass

from hydra.utils import instantiate
from omegaconf import DictConfig
from safetensors.torch import load_file, save
from torch import nn

from millis import models
from millis.cli.pipeline.inputs import plain
from millis.cli.pipeline.teacher import Teacher
from millis.cli.pipeline.tracked import tracked_logger
from millis.distillation.objective import Distillation
from millis.store import atomic_file, cached, fingerprint, locked, write_json
from millis.training.callbacks import OnlineTeacher
from millis.training.fit import Fit, Fitted, seed_everything
from millis.training.module import TextModule
from millis.types import Spec


@dataclass(frozen=True)
class Plan:
    """What a recipe asks for, before anything is trained.

    Args:
        spec: The architecture, all that latency depends on beside the backend.
        name: Short human name of the architecture.
        trains: False where the student is the teacher itself, untouched.
        fingerprint: Of everything that determines the weights.
    """

    spec: Spec
    name: str
    trains: bool
    fingerprint: str


def plan(cfg: DictConfig, teacher: Teacher) -> Plan:
    """The student that `cfg` describes."""
    student = instantiate(cfg.student)
    spec = student.spec(teacher.manifest.spec)
    if not student.trains:
        return Plan(spec, student.describe(spec), False, teacher.fingerprint)
    parts = [plain(node) for node in (cfg.student, cfg.distillation, cfg.optimizer, cfg.trainer)]
    return Plan(spec, student.describe(spec), True, fingerprint("student", teacher.fingerprint, parts, cfg.seed))


def ensure_student(cfg: DictConfig, teacher: Teacher, planned: Plan) -> tuple[nn.Module, Fitted]:
    """The trained student: trained now, continued, or read where it lies already."""
    if not planned.trains:
        return teacher.module, teacher.fitted
    weights = teacher.inputs.cache / "student" / f"{planned.fingerprint}.safetensors"
    history = weights.with_suffix(".json")
    with locked(weights):
        if not (history.is_file() and weights.is_file()):
            model, fitted = train_student(cfg, teacher, planned)
            with atomic_file(weights) as temporary:
                temporary.write_bytes(save(model.state_dict()))
            write_json(history, asdict(fitted))
    model = models.build(planned.spec)
    with cached(weights):
        model.load_state_dict(load_file(weights))
    with cached(history):
        return model.eval(), Fitted(**json.loads(history.read_text()))


def train_student(cfg: DictConfig, teacher: Teacher, planned: Plan) -> tuple[nn.Module, Fitted]:
    """Train a student whatever lies there already; a killed run is continued from its last epoch."""
    inputs, dataset = teacher.inputs, teacher.inputs.dataset
    seed_everything(cfg.seed)
    model = models.build(planned.spec)
    instantiate(cfg.student).initialise(model, teacher.module)
    distillation: Distillation = instantiate(cfg.distillation)
    module = TextModule(model, distillation.objective(inputs.class_counts), instantiate(cfg.optimizer), inputs.score)
    fit: Fit = instantiate(cfg.trainer)
    taught = distillation.alpha > 0
    checkpoints = inputs.cache / "student" / f"{planned.fingerprint}.checkpoints"
    with tracked_logger(cfg, f"{planned.name}-{planned.fingerprint[:6]}") as logger:
        fitted = fit(
            module, teacher.encoded(dataset.train), teacher.encoded(dataset.validation), teacher.pad_id,
            folder=checkpoints, seed=cfg.seed, title=planned.name, logger=logger,
            teacher_logits=teacher.training_logits() if taught and distillation.cache else None,
            callbacks=[OnlineTeacher(teacher.module)] if taught and not distillation.cache else (),
        )  # fmt: skip
    shutil.rmtree(checkpoints, ignore_errors=True)
    return model, fitted
