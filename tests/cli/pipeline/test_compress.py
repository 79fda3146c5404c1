"""What is refused before anything is trained for it."""

from types import SimpleNamespace

import pytest
from hydra.errors import InstantiationException

from millis.cli import compress as command
from millis.cli.hydra_app import composed
from millis.cli.pipeline import compress as pipeline
from millis.errors import MillisError


@pytest.mark.parametrize(("module", "call"), [(command, command.run), (pipeline, pipeline.compress)])
@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["pruning=heads", "adapter=lora"], "adapter and pruning in one training contradict each other"),
        (["pruning=heads", "pruning.sparsity=1"], "pruning.sparsity=1"),
    ],
)
def test_a_recipe_that_cannot_be_costs_no_teacher(module, call, overrides, message, monkeypatch):
    monkeypatch.setattr(module, "ensure_teacher", lambda cfg: pytest.fail("a teacher was asked for"))
    with pytest.raises((MillisError, InstantiationException), match=message):  # the command line unwraps the second
        call(composed("compress", overrides))


def test_a_damaged_record_is_named(tmp_path):
    path = pipeline.record_path(tmp_path, "key")
    path.parent.mkdir()
    path.write_text('{"id": "key", "na')
    with pytest.raises(MillisError, match=rf"^{path} is damaged or gone \(not a millis record: .*Delete it"):
        pipeline.read_record(SimpleNamespace(cache=tmp_path), "key")
