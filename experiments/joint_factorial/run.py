"""Do distillation, pruning and quantization help or hinder one another? All eight combinations, and their interactions.

    python experiments/joint_factorial/run.py data=local data.path=FOLDER task=intent [seed=0]

The rule was written before the first run (README.md, "The rule"); `verdict` below is that rule. What is trained is kept
under `outputs/`, so an interrupted run goes on; `hydra/launcher=joblib` runs several combinations at once.
"""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from millis import api
from millis.cli.main import run
from millis.store import write_json

HERE = Path(__file__).parent
NOTABLE = 0.2  # points: a smaller interaction of pruning and quantization is none
WITHIN = (0.8, 1.1)  # all three together, as a share of the product of their speed-ups
MISSED = 0.25
DISTIL, PRUNE, QUANTIZE = "distillation", "pruning", "quantization"


def main() -> int:
    settings: Any = OmegaConf.to_container(OmegaConf.load(HERE / "factorial.yaml"))
    if run("compress", command(settings, sys.argv[1:])):
        return 1
    outputs = Path(os.environ.get("MILLIS_OUTPUTS", "outputs"))
    found = api.report(f"effects=[{','.join(settings['factors'])}]", f"records={outputs / 'compress'}")
    effects = json.loads(found.read_text(encoding="utf-8"))
    word, reasons = verdict(effects)
    for reason in reasons:
        print(f"  {reason}")
    print(f"verdict: {word}")
    write_json(outputs / "joint_factorial" / "result.json", {**effects, "verdict": word, "reasons": reasons})
    return 0


def command(settings: Mapping[str, Any], given: Sequence[str]) -> list[str]:
    """The arguments of `millis compress`, those that Hydra crosses among them; `given` replaces the experiment's."""
    levels = {**settings["factors"], "seed": settings["seeds"]}
    own = [
        f"hydra.searchpath=[file://{HERE / 'conf'}]",
        *settings["overrides"],
        *(f"{key}={','.join(map(str, values))}" for key, values in levels.items()),
    ]
    replaced = {argument.partition("=")[0] for argument in given}
    return ["-m", *(argument for argument in own if argument.partition("=")[0] not in replaced), *given]


def verdict(effects: Mapping[str, Any]) -> tuple[str, list[str]]:
    """The rule of the README, applied: `reproduced`, `inconclusive` or `not reproduced`."""
    meeting = effects["points"][f"{PRUNE} x {QUANTIZE}"]
    speedups = {tuple(cell["on"]): cell["speedup"] for cell in effects["cells"]}
    product_of_three = prod(speedups[(name,)] / speedups[()] for name in (DISTIL, PRUNE, QUANTIZE))
    together = speedups[DISTIL, PRUNE, QUANTIZE] / speedups[()]
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


if __name__ == "__main__":
    sys.exit(main())
