"""Every compression method by itself on one teacher: quality, latency, bytes.

    python benchmarks/methods.py [only=svd,heads] data=local data.path=FOLDER task=intent ...

Methods that need no training are applied to the teacher as it is. The others train a student of half its layers; `half`
is that student with nothing else done to it, which is what they are to be compared with. What computes less on some
texts is trained with all of the teacher's layers: `whole` is its control. All are deployed on ONNX Runtime. Prints a
Markdown table; what is trained is kept, so an interrupted run goes on.
"""

import sys
from collections.abc import Mapping

from results import Table

from millis.cli.hydra_app import composed
from millis.cli.recipes import run_of
from millis.errors import MillisError
from millis.pipeline.compress import Compressed, baseline_record, compress, teacher_record
from millis.record import Record

AS_IT_IS = ["student=teacher", "quantization=dynamic"]
HALF = ["student.layers=0.5", "quantization=dynamic", "distillation.alpha=0.9", "distillation.temperature=4"]
WHOLE = [part for part in HALF if not part.startswith("student.layers")] + ["student.layers=null"]
METHODS = {
    "fp32": ["student=teacher", "quantization=none"],
    "static int8": ["student=teacher", "quantization=static"],
    "SmoothQuant": ["student=teacher", "quantization=smooth"],
    "static but for sensitive layers": ["student=teacher", "quantization=fallback"],
    "weights int8": ["student=teacher", "quantization=weight_only_8"],
    "weights int4": ["student=teacher", "quantization=weight_only_4"],
    "to 1.5x the speed": [*AS_IT_IS, "pruning=to_latency", "pruning.target_speedup=1.5"],
    "to 2x the speed": [*AS_IT_IS, "pruning=to_latency", "pruning.target_speedup=2"],
    "to 3x the speed": [*AS_IT_IS, "pruning=to_latency", "pruning.target_speedup=3"],
    "vocabulary": [*AS_IT_IS, "factorization=vocabulary"],
    "embedding": [*AS_IT_IS, "factorization=embedding"],
    "small word table": [*AS_IT_IS, "factorization=small_table"],
    "svd": [*AS_IT_IS, "factorization=svd"],
    "fwsvd": [*AS_IT_IS, "factorization=fwsvd"],
    "half": HALF,
    "labels only": [*HALF, "distillation.alpha=0"],
    "teacher annealing": [part for part in HALF if "alpha" not in part] + ["distillation=annealed"],
    "reverse KL": [*HALF, "distillation=reverse_kl"],
    "Jensen-Shannon": [*HALF, "distillation=jensen_shannon"],
    "squared logits": [*HALF, "distillation=logit_mse"],
    "attention": [*HALF, "distillation=attention"],
    "hidden states": [*HALF, "distillation=hidden"],
    "MiniLM": [*HALF, "distillation=minilm"],
    "MiniLMv2": [*HALF, "distillation=minilmv2"],
    "patient": [*HALF, "distillation=patient"],
    "TinyBERT": [*HALF, "distillation=tinybert"],
    "typos": [*HALF, "augmentation=typos", "augmentation.copies=1"],
    "neighbours": [*HALF, "augmentation=neighbours", "augmentation.copies=1"],
    "spans": [*HALF, "augmentation=mix", "augmentation.copies=1"],
    "LoRA": [*HALF, "adapter=lora", "optimizer.lr=1e-3"],
    "AdaLoRA": [*HALF, "adapter=adalora", "optimizer.lr=1e-3"],
    "random weights": [*HALF, "pruning=random"],
    "magnitude": [*HALF, "pruning=magnitude"],
    "movement": [*HALF, "pruning=movement"],
    "soft movement": [*HALF, "pruning=soft_movement"],
    "blocks": [*HALF, "pruning=block"],
    "2:4": [*HALF, "pruning=wanda_24"],
    "heads": [*HALF, "pruning=heads"],
    "neurons": [*HALF, "pruning=neurons"],
    "hidden channels": [*HALF, "pruning=hidden"],
    "layers": [*HALF, "pruning=layers"],
    "L0": [*HALF, "pruning=l0"],
    "QAT": [*HALF, "quantization=qat"],
    "QAT with LSQ": [*HALF, "quantization=qat_lsq"],
    "static QAT": [*HALF, "quantization=qat_static"],
    "joint": [*HALF, "pruning=neurons", "quantization=qat"],
    "whole": WHOLE,
    "tokens": [*WHOLE, "tokens=learned"],
    "exits": [*WHOLE, "early_exit=two_stage", "early_exit.layers=[1,2,3,4]"],
    "exits jointly": [*WHOLE, "early_exit=joint", "early_exit.layers=[1,2,3,4]"],
    "exits by turns": [*WHOLE, "early_exit=alternating", "early_exit.layers=[1,2,3,4]"],
    "exits from the last": [*WHOLE, "early_exit=self_distillation", "early_exit.layers=[1,2,3,4]"],
}


def main() -> int:
    only = next((a.removeprefix("only=").split(",") for a in sys.argv[1:] if a.startswith("only=")), list(METHODS))
    overrides = [argument for argument in sys.argv[1:] if not argument.startswith("only=")]
    if unknown := [name for name in only if name not in METHODS]:
        raise SystemExit(f"no method is called {unknown[0]!r}; there are {', '.join(METHODS)}")
    run = run_of(composed("compress", ["logger=none", *overrides]))
    reference, title = teacher_record(run), run.teacher.inputs.dataset.name
    with Table("method", reference.quality, "p50 ms", "speed-up", "MB", "saved", title=title) as table:
        table.row("teacher", *cells(reference))
        table.row("dynamic int8", *cells(baseline_record(run)))
        for name in only:
            try:
                done = compress(run_of(composed("compress", ["logger=none", *METHODS[name], *overrides]), run.teacher))
            except MillisError as error:
                table.row(name, str(error), "", "", "", "")
                continue
            assert isinstance(done, Compressed)  # there is no budget to break
            table.row(name, *cells(done.record))
    return 0


def cells(record: Record) -> tuple[str, ...]:
    """What a method's row says."""
    low, high = record.intervals[record.quality]
    metrics = record.metrics
    return (
        f"{metrics[record.quality]:.2f} ± {(high - low) / 2:.2f}",
        f"{metrics['latency_p50_ms']:.2f}",
        f"{metrics['speedup']:.2f}×",
        f"{metrics['size_bytes'] / 1e6:.1f}",
        saved(metrics),
    )


def saved(metrics: Mapping[str, float]) -> str:
    """Of a model that computes less on some texts: layers or tokens, and the time of the same model without that."""
    if "measured_saving_share" not in metrics:
        return ""
    layers = metrics.get("expected_saving_share")
    what = f"{1 - metrics['tokens_kept_share']:.0%} of tokens" if layers is None else f"{layers:.0%} of layers"
    return f"{what}, {metrics['measured_saving_share']:.0%} of time"


if __name__ == "__main__":
    sys.exit(main())
