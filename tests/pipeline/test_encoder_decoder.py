"""An encoder-decoder from its texts to what is deployed: trained, cut, distilled, recorded, and asked."""

import json

import pytest
from tiny import BRIEF

from millis.backends.eager import session_of
from millis.cli.hydra_app import composed
from millis.cli.recipes import run_of
from millis.pipeline.compress import compress
from millis.pipeline.student import ensure_student, plan
from millis.serving.runner import load

NUMBERS = {"one": "eins", "two": "zwei", "three": "drei", "four": "vier"}
TINY = [
    "task=translation", "task.max_length=24", "task.metric=chrf", "task.also=[]", "model=scratch_seq2seq",
    "model.layers=2", "model.decoder_layers=2", "model.hidden_size=32", "model.heads=2", "model.ffn_size=48",
    "model.vocab_size=300", "model.max_length=24", "model.dropout=0", "backend=onnxruntime", "data=local",
    "logger=none", *BRIEF, "benchmark.new_tokens=4", "generation.max_tokens=8", "teacher.trainer.max_epochs=30",
    "trainer.max_epochs=20", "teacher.trainer.batch_size=8", "trainer.batch_size=8", "teacher.optimizer.lr=0.02",
    "teacher.optimizer.head_lr=0.02", "optimizer.lr=0.02", "teacher.trainer.precision=32-true",
    "trainer.precision=32-true",
]  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    place = tmp_path_factory.mktemp("sides")
    rows = [{"text": f"{a} {b}", "label": f"{NUMBERS[a]} {NUMBERS[b]}"} for a in NUMBERS for b in NUMBERS]
    (place / "data").mkdir()
    for split, some in (("train", rows), ("validation", rows[:8]), ("test", rows[8:])):
        (place / "data" / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in some))
    return run_of(composed("compress", [*TINY, f"data.path={place / 'data'}", f"paths.outputs={place / 'outputs'}"]))


def test_a_student_of_fewer_layers_is_recorded_and_writes_as_its_module(run):
    record = compress(run).record
    assert record.name == "encoder-decoder 2+1x32 fp32 onnxruntime" and record.parity["label_agreement"] == 1.0
    assert record.metrics.keys() >= {"chrf", "validation_chrf", "first_token_p50_ms", "per_token_p50_ms", "speedup"}
    student, _ = ensure_student(run, plan(run))
    writer, module = load(record.artifact), session_of(student.eval())
    written = []
    for text in NUMBERS:
        prompt = writer._prompt(writer._framed(f"{text} two"))
        expected = writer.generation.begin(module, prompt, writer._vocabulary).finish().tokens.tolist()
        written.append(list(writer.predict(f"{text} two").tokens))
        assert written[-1] == expected
    assert any(written)
