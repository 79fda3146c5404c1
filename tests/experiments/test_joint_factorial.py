"""The runs and the rule of the factorial, on numbers made up by hand."""

import importlib.util
from itertools import product
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from millis.cli.hydra_app import composed
from millis.cli.recipes import recipe_of

FOLDER = Path(__file__).parents[2] / "experiments" / "joint_factorial"
SETTINGS = OmegaConf.to_container(OmegaConf.load(FOLDER / "factorial.yaml"))


@pytest.fixture(scope="module")
def factorial():
    spec = importlib.util.spec_from_file_location("joint_factorial", FOLDER / "run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def effects(factorial, mean=-0.5, low=-0.9, high=-0.1, together=7.0):
    distil, prune, quantize = factorial.DISTIL, factorial.PRUNE, factorial.QUANTIZE
    on = {(): 1.0, (distil,): 1.0, (prune,): 2.0, (quantize,): 4.0, (distil, prune, quantize): together}
    return {
        "cells": [{"on": list(names), "speedup": speedup} for names, speedup in on.items()],
        "points": {f"{prune} x {quantize}": {"mean": mean, "low": low, "high": high}},
    }


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ({}, "reproduced"),
        ({"together": 5.9}, "not reproduced"),  # 0.74 of 8
        ({"together": 6.2}, "inconclusive"),  # 0.78
        ({"mean": 0.0, "low": -0.1, "high": 0.1}, "not reproduced"),
        ({"mean": -0.3, "low": -0.8, "high": 0.2}, "inconclusive"),
    ],
)
def test_verdict(factorial, numbers, expected):
    word, reasons = factorial.verdict(effects(factorial, **numbers))
    assert word == expected
    assert len(reasons) == 2


def test_every_combination_is_a_recipe_with_those_factors_on(factorial):
    assert list(SETTINGS["factors"]) == [factorial.DISTIL, factorial.PRUNE, factorial.QUANTIZE]
    for cell in product((0, 1), repeat=3):
        levels = [f"{key}={values[on]}" for on, (key, values) in zip(cell, SETTINGS["factors"].items(), strict=True)]
        (_, own, *_) = factorial.command(SETTINGS, [])  # where its own groups lie
        recipe = recipe_of(composed("compress", [own, *SETTINGS["overrides"], *levels]))
        assert (recipe.distillation.alpha > 0, recipe.pruning is not None, recipe.aware) == cell
        if cell[1]:
            assert (recipe.pruning.sparsity, recipe.pruning.allocation) == (0.7, "local")


def test_what_is_given_replaces_what_the_experiment_says(factorial):
    own = factorial.command(SETTINGS, [])
    assert own[0] == "-m" and own[-1] == "seed=0,1,2" and "quantization=none,qat" in own
    given = factorial.command(SETTINGS, ["seed=7", "data=local"])
    assert given == [argument for argument in own if argument != "seed=0,1,2"] + ["seed=7", "data=local"]
