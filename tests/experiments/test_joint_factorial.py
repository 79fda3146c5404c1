"""Effects and the rule of the factorial, on numbers made up by hand."""

import importlib.util
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf

from millis.cli.pipeline.plan import Recipe

FOLDER = Path(__file__).parents[2] / "experiments" / "joint_factorial"


@pytest.fixture(scope="module")
def factorial():
    spec = importlib.util.spec_from_file_location("joint_factorial", FOLDER / "run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_effects_of_two_factors(factorial):
    """off off 1, off on 2, on off 5, on on 10. A: (5 + 10 - 1 - 2) / 2 = 6; B: (2 + 10 - 1 - 5) / 2 = 3; and A with
    B on is 8, with B off 4, so they meet at (8 - 4) / 2 = 2."""
    cells = list(product((False, True), repeat=2))
    values = np.array([[1.0, 2.0, 5.0, 10.0]])[:, :, None]
    found = factorial.effects(["a", "b"], cells, values)
    assert {name: effect["mean"] for name, effect in found.items()} == {"a": 6.0, "b": 3.0, "a x b": 2.0}
    assert all(effect["low"] == effect["high"] == effect["mean"] for effect in found.values())


def test_intervals_are_paired(factorial):
    """Every item answers alike in all cells: items differ, effects do not."""
    cells = list(product((False, True), repeat=2))
    values = np.broadcast_to(np.array([0.0, 100.0, 100.0, 0.0]), (2, 4, 4))
    found = factorial.effects(["a", "b"], cells, values)
    assert all(effect["low"] == effect["high"] == 0 for effect in found.values())


def summary(mean=-0.5, low=-0.9, high=-0.1, together=7.0):
    on = {(): 1.0, ("distil",): 1.0, ("prune",): 2.0, ("quantize",): 4.0, ("distil", "prune", "quantize"): together}
    return {
        "cells": [{"on": list(names), "speedup": speedup} for names, speedup in on.items()],
        "points": {"prune x quantize": {"mean": mean, "low": low, "high": high}},
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
    word, reasons = factorial.verdict(summary(**numbers))
    assert word == expected
    assert len(reasons) == 2


def test_every_combination_is_a_recipe_with_those_factors_on(factorial):
    settings = OmegaConf.to_container(OmegaConf.load(FOLDER / "factorial.yaml"))
    assert list(settings["factors"]) == ["distil", "prune", "quantize"]
    for cell in product((False, True), repeat=3):
        cfg = factorial.recipe(1, cell, settings, ["student.layers=2"])
        recipe = Recipe.of(cfg)
        assert (recipe.distillation.alpha > 0, recipe.pruning is not None, recipe.aware) == cell
        assert (cfg.seed, cfg.student.layers) == (1, 2)
