"""Do distillation, pruning and quantization help or hinder one another? All eight combinations, and their interactions.

    python experiments/joint_factorial/run.py data=local data.path=FOLDER task=intent [seeds=[0]]

The rule was written before the first run (README.md, "The rule"); `verdict` below is that rule. What is trained is kept
under `outputs/`, so an interrupted run goes on.
"""

import math
import os
import sys
from collections.abc import Mapping
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from omegaconf import DictConfig, OmegaConf
from rich import box
from rich.console import Console
from rich.table import Table

from millis.cli.hydra_app import composed
from millis.cli.pipeline.compress import Compressed, compress
from millis.cli.pipeline.teacher import Teacher, ensure_teacher
from millis.store import write_json

HERE = Path(__file__).parent
RESAMPLES = 2000
NOTABLE = 0.2  # points: a smaller interaction of pruning and quantization is none
WITHIN = (0.8, 1.1)  # all three together, as a share of the product of their speed-ups
MISSED = 0.25

Cell = tuple[bool, ...]
"""Which factors are on, in the order of `factorial.yaml`."""


def main() -> int:
    own = [argument for argument in sys.argv[1:] if argument.startswith("seeds=")]
    settings: Any = OmegaConf.to_container(
        OmegaConf.merge(OmegaConf.load(HERE / "factorial.yaml"), OmegaConf.from_dotlist(own))
    )
    overrides = [argument for argument in sys.argv[1:] if argument not in own]
    factors = settings["factors"]
    cells = list(product((False, True), repeat=len(factors)))
    # One teacher for all: what differs between seeds is the students' training.
    teacher = ensure_teacher(recipe(settings["seeds"][0], cells[0], settings, overrides))
    runs = {
        (seed, cell): run_cell(recipe(seed, cell, settings, overrides), teacher)
        for seed, cell in product(settings["seeds"], cells)
    }
    right = np.array([[runs[seed, cell]["right"] for cell in cells] for seed in settings["seeds"]])
    speed = np.array([[math.log(runs[seed, cell]["speedup"]) for cell in cells] for seed in settings["seeds"]])
    summary = {
        "seeds": settings["seeds"],
        "cells": [
            {
                "on": [name for name, on in zip(factors, cell, strict=True) if on],
                "accuracy": float(100 * right[:, index].mean()),
                "speedup": float(np.exp(speed[:, index].mean())),
                "size_bytes": runs[settings["seeds"][0], cell]["size_bytes"],
            }
            for index, cell in enumerate(cells)
        ],
        "points": effects(list(factors), cells, 100 * right),
        "log_latency": effects(list(factors), cells, -speed[:, :, None]),
    }
    print_tables(summary)
    word, reasons = verdict(summary)
    for reason in reasons:
        print(f"  {reason}")
    print(f"verdict: {word}")
    folder = Path(os.environ.get("MILLIS_OUTPUTS", "outputs")) / "joint_factorial"
    write_json(folder / "result.json", {**summary, "verdict": word, "reasons": reasons})
    return 0


def run_cell(cfg: DictConfig, teacher: Teacher) -> dict[str, Any]:
    """Train (or find) one combination and measure it."""
    done = compress(cfg, teacher)
    assert isinstance(done, Compressed)  # there is no budget to break
    record = done.record
    return {
        "right": (np.array(record.predictions) == record.references).tolist(),
        "speedup": record.metrics["speedup"],
        "size_bytes": record.metrics["size_bytes"],
    }


def recipe(seed: int, cell: Cell, settings: dict[str, Any], overrides: list[str]) -> DictConfig:
    """The config of one combination."""
    choices = [
        override
        for on, factor in zip(cell, settings["factors"].values(), strict=True)
        for override in factor["with" if on else "without"]
    ]
    return composed("compress", [*settings["overrides"], *choices, f"seed={seed}", *overrides])


def effects(names: list[str], cells: list[Cell], values: NDArray[Any]) -> dict[str, dict[str, float]]:
    """Main effects and two-factor interactions with 95 % intervals.

    The effect of a factor is the mean where it is on less the mean where it is off. The interaction of two is half the
    difference between the effect of one with the other on and with it off: 0 where effects add up.

    Args:
        cells: As the second axis of `values` has them.
        values: [seeds, cells, items], paired: intervals draw seeds, then items, the same for all cells.
    """
    signs = np.array([[1.0 if on else -1.0 for on in cell] for cell in cells])
    contrasts = {name: signs[:, index] for index, name in enumerate(names)}
    for (i, first), (j, second) in combinations(enumerate(names), 2):
        contrasts[f"{first} x {second}"] = signs[:, i] * signs[:, j]
    chance = np.random.default_rng(0)
    seeds, _, items = values.shape
    draws = [(chance.integers(seeds, size=seeds), chance.integers(items, size=items)) for _ in range(RESAMPLES)]
    means = np.array([values[rows][:, :, columns].mean(axis=(0, 2)) for rows, columns in draws])  # [draws, cells]
    found = {}
    for name, contrast in contrasts.items():
        weights = contrast / (len(cells) / 2)
        low, high = np.quantile(means @ weights, [0.025, 0.975])
        found[name] = {"mean": float(values.mean(axis=(0, 2)) @ weights), "low": float(low), "high": float(high)}
    return found


def verdict(summary: Mapping[str, Any]) -> tuple[str, list[str]]:
    """The rule of the README, applied: `reproduced`, `inconclusive` or `not reproduced`."""
    meeting = summary["points"]["prune x quantize"]
    speedups = {tuple(cell["on"]): cell["speedup"] for cell in summary["cells"]}
    product_of_three = math.prod(speedups[(name,)] / speedups[()] for name in ("distil", "prune", "quantize"))
    together = speedups["distil", "prune", "quantize"] / speedups[()]
    share = together / product_of_three
    reasons = [
        f"prune x quantize {meeting['mean']:+.2f} points, 95 % interval {meeting['low']:+.2f} to "
        f"{meeting['high']:+.2f} (reproduced at -{NOTABLE:g} or below, with an interval below 0)",
        f"all three {together:.2f}x, the product of each alone {product_of_three:.2f}x: {share:.2f} of it (reproduced "
        f"within {WITHIN[0]:g} to {WITHIN[1]:g})",
    ]
    if abs(share - 1) > MISSED or (meeting["low"] > -NOTABLE and meeting["high"] < NOTABLE):
        return "not reproduced", reasons
    if meeting["mean"] <= -NOTABLE and meeting["high"] < 0 and WITHIN[0] <= share <= WITHIN[1]:
        return "reproduced", reasons
    return "inconclusive", reasons


def print_tables(summary: Mapping[str, Any]) -> None:
    """The eight combinations, then effects."""
    table = Table("on", box=box.SIMPLE_HEAD)
    for column in ("accuracy", "speed-up", "MB"):
        table.add_column(column, justify="right")
    for cell in summary["cells"]:
        size = f"{cell['size_bytes'] / 1e6:.1f}"
        table.add_row(", ".join(cell["on"]) or "none", f"{cell['accuracy']:.2f}", f"{cell['speedup']:.2f}x", size)
    Console(width=110).print(table)
    table = Table("effect", box=box.SIMPLE_HEAD)
    for column in ("points", "95 %", "log latency", "95 %"):
        table.add_column(column, justify="right")
    for name, points in summary["points"].items():
        time = summary["log_latency"][name]
        table.add_row(
            name,
            f"{points['mean']:+.2f}",
            f"{points['low']:+.2f} to {points['high']:+.2f}",
            f"{time['mean']:+.3f}",
            f"{time['low']:+.3f} to {time['high']:+.3f}",
        )
    Console(width=110).print(table)


if __name__ == "__main__":
    sys.exit(main())
