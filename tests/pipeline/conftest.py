"""A teacher of two layers, trained once, and what is asked under it."""

from dataclasses import replace

import pytest
from tiny import TINY, write_data

from millis.cli.hydra_app import composed
from millis.cli.recipes import fine_tuning_of, place_of, run_of
from millis.pipeline.teacher import ensure_teacher


@pytest.fixture(scope="session")
def config(tmp_path_factory):
    """Makes a config of `millis compress` from overrides."""
    folder = tmp_path_factory.mktemp("pipeline")
    write_data(folder / "data")
    common = [*TINY, f"data.path={folder / 'data'}", f"paths.outputs={folder / 'outputs'}"]

    def make(*overrides):
        layers = [] if "student=ngrams" in overrides else ["student.layers=2"]
        return composed("compress", [*common, *layers, *overrides])

    return make


@pytest.fixture(scope="session")
def teacher(config):
    return ensure_teacher(fine_tuning_of(config()), place_of(config()))


@pytest.fixture(scope="session")
def asked(config, teacher):
    """Makes a `Run` under the teacher from overrides."""
    return lambda *overrides: run_of(config(*overrides), teacher)


@pytest.fixture
def better_read(teacher):
    """The teacher, and texts that only it answers."""
    dataset = replace(teacher.inputs.dataset, unlabelled=["where is my money", "nobody has seen this", "send it"])
    return replace(teacher, inputs=replace(teacher.inputs, dataset=dataset))
