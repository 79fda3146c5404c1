"""A recommendation of five items, whose vectors and words are set by hand, so answers can be read off."""

import numpy as np
from encoders import encoder

from millis.applications.manifest import seal
from millis.applications.recommendation.catalogue import Catalogue, Names
from millis.applications.recommendation.tower import Tower

WORDS = {"sea": (1.0, 0.0), "space": (0.0, 1.0)}
NAMES = Names(["reef", "tide", "orbit", "star", "famous"], ["The Reef", "The Tide", "Orbit", "Star", "Famous"])
VECTORS = np.array([[4, 0], [3, 0], [0, 4], [0, 3], [0, 0]], np.float32)
POPULARITY = np.array([0, 0, 0, 0, 1], np.float32)
TOWER = Tower.of({
    "projection": 4 * np.eye(2), "recency": np.zeros(3), "step": np.zeros((2, 2)), "inner": np.zeros((4, 1)),
    "bias": np.zeros(1), "outer": np.zeros((1, 2)), "popularity": np.full(1, -2.0),
})  # fmt: skip
RECIPE = {"item": "item", "user": "user", "time": "time", "text": ["title"]}


def stories_application(folder):
    """The folder of the application."""
    folder.mkdir(parents=True)
    made = encoder(folder / "encoder", WORDS)
    Catalogue(NAMES, VECTORS, POPULARITY).write(TOWER, folder)
    settings = {"search": "every item is looked at"}
    seal(folder, "stories", "recommendation", {"encoder": made}, settings=settings, recipe=RECIPE)
    return folder
