"""The plainest recipe and a run of it under a teacher that is made up; a test names what it is about."""

from pathlib import Path
from types import SimpleNamespace

from millis.backends.onnxruntime import OnnxRuntime
from millis.data.bundled import Bundled
from millis.distillation.logit_distillation import LogitDistillation
from millis.distillation.objective import Distillation
from millis.models.load import Packaged
from millis.models.student import TransformerStudent
from millis.pipeline.fine_tuning import FineTuning
from millis.pipeline.place import Place
from millis.pipeline.recipe import Recipe
from millis.pipeline.run import Run
from millis.tasks.classification import Classification
from millis.training.fit import Fit
from millis.training.optim import AdamW

TEACHER = SimpleNamespace(folder=Path("teacher"))


def recipe(**parts) -> Recipe:
    """A transformer that learns logits for an epoch, on ONNX Runtime, but for `parts`."""
    plain = {
        "student": TransformerStudent(),
        "distillation": LogitDistillation(),
        "optimizer": AdamW(1e-3, 1e-3),
        "trainer": Fit(1, accelerator="cpu"),
        "backend": OnnxRuntime(),
    }
    return Recipe(**{**plain, **parts})


def tuning(**parts) -> FineTuning:
    """A teacher fine-tuned for an epoch on the bundled corpus, but for `parts`."""
    plain = {
        "data": Bundled(),
        "task": Classification(),
        "model": Packaged(),
        "objective": Distillation(alpha=0.0),
        "optimizer": AdamW(1e-3, 1e-3),
        "trainer": Fit(1, accelerator="cpu"),
    }
    return FineTuning(**{**plain, **parts})


def run(**parts) -> Run:
    """The plainest recipe, measured and kept as usual, but for `parts`."""
    plain = {"recipe": recipe(), "tuning": tuning(), "teacher": TEACHER, "place": Place.under("outputs")}
    return Run(**{**plain, **parts})
