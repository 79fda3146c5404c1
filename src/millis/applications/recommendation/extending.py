"""New items for an application that was built, without training: their vectors are those of their texts.

    from millis.applications.recommendation.extending import extend
    extend("outputs/applications/recommendation-compressed-1a2b3c4d", "new/items.jsonl", "outputs/applications/wider")

Nobody took them yet, so each is as popular as what hardly anybody takes. A server swaps the folder as it swaps an
artifact (`docs/serving.md`); the next build, from histories that have them, learns more of them.
"""

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from millis.applications.manifest import seal
from millis.applications.recommendation.answering import Recommendation, Settings, vectors_of
from millis.applications.recommendation.catalogue import Names
from millis.applications.recommendation.interactions import Columns, read_catalogue
from millis.applications.runner import ApplicationRunner, load
from millis.errors import MillisError
from millis.store import atomic_folder

KIND = "recommendation"


def extend(folder: str | Path, items: str | Path, destination: str | Path) -> Path:
    """Write the application with further items, and return where.

    Every item is looked at there; a graph of neighbours is made by the next build.

    Args:
        folder: Of the application.
        items: File of the new ones, as the catalogue of the build had them.
        destination: Where it goes; one that was there is replaced.

    Raises:
        MillisError: another kind of application, a file that is no catalogue, or an item that is there already.
    """
    runner = cast(ApplicationRunner, load(folder))
    manifest = runner.manifest
    if getattr(manifest, "kind", None) != KIND:
        raise MillisError(f"{folder} recommends nothing: expected an application of `millis build app={KIND}`")
    application = cast(Recommendation, runner.application)
    recipe: dict[str, Any] = manifest.recipe
    columns = Columns(recipe["item"], recipe["user"], recipe["time"], tuple(recipe["text"]))
    new = read_catalogue(Path(items), columns)
    vectors = application.tower.items(vectors_of(runner.parts["encoder"], new.texts))
    popularity = float(application.tower.popularity[0])
    wider = application.catalogue.extended(Names(list(new.ids), list(new.texts)), vectors, popularity)
    settings = Settings(f"every one of {len(wider.names.ids):,} items is looked at")
    with atomic_folder(Path(destination)) as temporary:
        for part in manifest.parts:
            shutil.copytree(Path(folder) / part, temporary / part)
        wider.write(application.tower, temporary)
        parts = {part: temporary / part for part in manifest.parts}
        seal(temporary, manifest.name, KIND, parts, settings=asdict(settings), recipe=recipe)
    return Path(destination)
