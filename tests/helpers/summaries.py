"""A summarisation whose words have vectors that were set by hand, so what is chosen can be read off."""

from dataclasses import asdict

from encoders import encoder

from millis.applications.manifest import seal
from millis.applications.summarisation.answering import Settings

CHEAP = {"cat": (1.0, 0.0), "dog": (0.0, 1.0), "fish": (0.6, 0.8)}
GOOD = {"cat": (1.0, 0.0), "dog": (0.0, 1.0), "fish": (0.0, 1.0)}
NOTHING = [0.0] * 5
SETTINGS = Settings("en", 1, 1.0, 2, [*NOTHING, 1.0, 0.0], [*NOTHING, 0.0, 5.0])
"""Cheaply worth is what is near to cats, closely read what is near to dogs, five times as much."""


def summaries_application(folder, **changes):
    """The folder of the application."""
    folder.mkdir(parents=True)
    parts = {"survey": encoder(folder / "survey", CHEAP), "close": encoder(folder / "close", GOOD)}
    seal(folder, "summaries", "summarisation", parts, settings=asdict(SETTINGS) | changes)
    return folder
