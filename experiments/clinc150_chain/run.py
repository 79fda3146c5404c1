"""The ladder teacher → distilled student → int8 → ONNX Runtime → ONNX Runtime int8 on CLINC150, and its verdict.

    python experiments/clinc150_chain/run.py data.path=FOLDER_OF_CLINC150 [seeds=[0]]

The rule was written before the first run (README.md, "The rule"); `verdict` below is that rule. Everything trained is
kept under `outputs/`, so an interrupted run goes on, and a finished one only measures again.
"""

import json
import os
import sys
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import torch
from omegaconf import OmegaConf
from rich import box
from rich.console import Console
from rich.table import Table

from millis.benchmark.quality import answer
from millis.benchmark.where import measure
from millis.cli.hydra_app import composed
from millis.cli.recipes import run_of
from millis.pipeline.measure import write
from millis.pipeline.student import ensure_student, plan
from millis.serving.runner import load
from millis.store import write_json
from millis.tasks.judging import scores

HERE = Path(__file__).parent
RUNGS = {
    "teacher": None,
    "student": ["backend=eager"],
    "student int8": ["backend=eager", "quantization=dynamic"],
    "student onnx": ["backend=onnxruntime"],
    "student onnx int8": ["backend=onnxruntime", "quantization=dynamic"],
}
STEPS = (("student", "teacher"), ("student onnx", "student"), ("student onnx int8", "student onnx"))

ENOUGH, TOO_LITTLE = 4.0, 2.5  # speed-up of the whole chain
MARGIN, TOO_MUCH = 0.5, 1.5  # accuracy points below the teacher
STEP = 1.15  # speed-up of every single step
SEEDS = 3
RESAMPLES = 2000


def main() -> int:
    own = [argument for argument in sys.argv[1:] if argument.startswith("seeds=")]
    settings: Any = OmegaConf.to_container(
        OmegaConf.merge(OmegaConf.load(HERE / "chain.yaml"), OmegaConf.from_dotlist(own))
    )
    overrides = [argument for argument in sys.argv[1:] if argument not in own]
    runs = [run_seed(seed, settings, overrides) for seed in settings["seeds"]]
    summary = summarise(runs)
    print_ladder(summary, json.loads((HERE / "published.json").read_text()))
    word, reasons = verdict(summary)
    for reason in reasons:
        print(f"  {reason}")
    print(f"verdict: {word}")
    write_json(
        Path(os.environ.get("MILLIS_OUTPUTS", "outputs")) / "clinc150_chain" / "result.json",
        {**summary, "verdict": word, "reasons": reasons},
    )
    return 0


def run_seed(seed: int, settings: dict[str, Any], overrides: list[str]) -> dict[str, Any]:
    """Train (or find) the two models of a seed, write every rung and measure them in one interleaved run."""
    common = [*settings["overrides"], *settings["benchmark"], "data=local", f"seed={seed}", *overrides]
    run = run_of(composed("compress", common))
    teacher, planned = run.teacher, plan(run)
    model, _ = ensure_student(run, planned)
    folders = {"teacher": teacher.folder}
    for rung, choices in RUNGS.items():
        if choices is not None:
            folder = run.place.outputs / "clinc150_chain" / f"seed{seed}" / rung.replace(" ", "-")
            write(run_of(composed("compress", [*common, *choices]), teacher), model, folder, planned)
            folders[rung] = folder
    dataset = teacher.inputs.dataset
    measured = measure(folders, dataset.test.texts, "teacher", run.benchmark)
    answers = {
        rung: answer(load(folder, torch.get_num_threads()), dataset.test.texts).predictions
        for rung, folder in folders.items()
    }
    return {
        "seed": seed,
        "latency_p50_ms": {rung: found.metrics["latency_p50_ms"] for rung, found in measured.items()},
        "speedup": {rung: found.metrics["speedup"] for rung, found in measured.items()},
        "right": {rung: (np.array(found) == dataset.test.references).tolist() for rung, found in answers.items()},
        "scores": {
            rung: scores(teacher.inputs.task, found, dataset.test.references) for rung, found in answers.items()
        },
        "notes": sorted({note for found in measured.values() for note in found.notes}),
    }


def summarise(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Means and standard deviations over seeds, and the paired bootstrap of the whole chain's accuracy difference."""
    rungs = {}
    for rung in RUNGS:
        accuracy = [100 * mean(run["right"][rung]) for run in runs]
        latency = [run["latency_p50_ms"][rung] for run in runs]
        speedup = [run["speedup"][rung] for run in runs]
        rungs[rung] = {
            "accuracy": [mean(accuracy), spread(accuracy)],
            "latency_p50_ms": [mean(latency), spread(latency)],
            "speedup": [mean(speedup), spread(speedup)],
        }
    right = np.array([[run["right"]["teacher"], run["right"]["student onnx int8"]] for run in runs], dtype=float)
    difference = 100 * (right[:, 1] - right[:, 0])  # [seeds, items]
    chance = np.random.default_rng(0)
    draws = [
        difference[chance.integers(len(runs), size=len(runs))][
            :, chance.integers(difference.shape[1], size=difference.shape[1])
        ].mean()
        for _ in range(RESAMPLES)
    ]
    low, high = np.quantile(draws, [0.025, 0.975])
    return {
        "seeds": [run["seed"] for run in runs],
        "rungs": rungs,
        "steps": {
            f"{after} / {before}": mean(run["speedup"][after] / run["speedup"][before] for run in runs)
            for after, before in STEPS
        },
        "difference": {"mean": float(difference.mean()), "low": float(low), "high": float(high)},
        "scores": [run["scores"] for run in runs],
        "notes": sorted({note for run in runs for note in run["notes"]}),
    }


def verdict(summary: dict[str, Any]) -> tuple[str, list[str]]:
    """The rule of the README, applied: `reproduced`, `direction only`, `inconclusive` or `not reproduced`."""
    total = summary["rungs"]["student onnx int8"]["speedup"][0]
    difference = summary["difference"]
    slow = [f"{name} {ratio:.2f}x" for name, ratio in summary["steps"].items() if ratio <= STEP]
    steps = ", ".join(f"{name} {ratio:.2f}x" for name, ratio in summary["steps"].items())
    reasons = [
        f"speed-up of the chain {total:.2f}x (reproduced from {ENOUGH:g}x, not below {TOO_LITTLE:g}x)",
        f"accuracy against the teacher {difference['mean']:+.2f} points, 95 % interval {difference['low']:+.2f} to "
        f"{difference['high']:+.2f} (reproduced if above -{MARGIN:g}, not below -{TOO_MUCH:g})",
        f"steps {steps} (each above {STEP:g}x)",
    ]
    if len(summary["seeds"]) < SEEDS:
        return "inconclusive", [*reasons, f"{len(summary['seeds'])} seeds (at least {SEEDS})"]
    if total < TOO_LITTLE or difference["high"] < -TOO_MUCH:
        return "not reproduced", reasons
    if total >= ENOUGH and not slow and difference["low"] > -MARGIN:
        return "reproduced", reasons
    if total >= ENOUGH and difference["high"] < -MARGIN:
        return "direction only", reasons
    return "inconclusive", reasons


def print_ladder(summary: dict[str, Any], published: dict[str, Any]) -> None:
    """Published beside ours, a row a rung."""
    table = Table("rung", "published", "", "ours", "", "", box=box.SIMPLE_HEAD)
    table.add_row("", "accuracy", "ms", "accuracy", "p50 ms", "speed-up", style="dim")
    for row in published["rungs"]:
        ours = summary["rungs"][row["rung"]]
        table.add_row(
            row["rung"],
            "" if row["accuracy"] is None else f"{row['accuracy']:.1f}",
            f"{row['latency_ms']:.1f}",
            *(f"{ours[name][0]:.2f} ± {ours[name][1]:.2f}" for name in ("accuracy", "latency_p50_ms", "speedup")),
        )
    Console(width=110).print(table)
    print(f"mean ± standard deviation over seeds {summary['seeds']}")
    for note in summary["notes"]:
        print(f"note: {note}")


def spread(values: list[float]) -> float:
    """Standard deviation; 0 for a single seed."""
    return stdev(values) if len(values) > 1 else 0.0


if __name__ == "__main__":
    sys.exit(main())
