"""Layout: which files of a folder hold a split.

A split is one file (`train.csv`), shards (`train-00000-of-00002.parquet`), or a folder of shards (`train/`), as
`Dataset.save_to_disk` and Spark write it; all of them may lie in `data/`, as in a repository of the Hub. Plain text
(`train.txt`) is read where there is no table.
"""

import json
import re
from pathlib import Path

from millis.data.formats import SUFFIXES, TEXTS
from millis.errors import MillisError

SAVED = "state.json"  # beside the Arrow files of one saved data set
_SHARD = re.compile(r"(?P<stem>.+)-(?P<number>\d+)-of-(?P<count>\d+)(?:-[0-9a-f]+)?")

OTHER_NAMES = ("dev", "valid", "val", "eval")  # what a validation split is called elsewhere


def root_of(folder: Path, train: str) -> Path:
    """Where the splits lie: `folder` itself, or its `data/` where that alone has the training split."""
    inner = folder / "data"
    return inner if inner.is_dir() and not _candidates(folder, train) and _candidates(inner, train) else folder


def files_of(root: Path, stem: str, split: str) -> list[Path]:
    """The files of a split in order; none where `root` has no such split.

    Args:
        stem: `train` for all the forms above, or the whole name of one file.
        split: What the split is called in errors.

    Raises:
        MillisError: several forms of the split lie side by side, or a shard is missing.
    """
    found = _candidates(root, stem)
    if len(found) > 1:
        names = " and ".join(str(files[0].relative_to(root)) for files in found)
        raise MillisError(
            f"{root}: {names} can each be the {split} split. Keep one, or name the file that is read, as in "
            f"data.{split}={found[0][0].relative_to(root)}"
        )
    files = found[0] if found else []
    _check_whole(files)
    return files


def elsewhere(folder: Path, root: Path, stem: str) -> Path | None:
    """The path, without its suffix, of a split that lies in the other of `folder` and its `data/` than `root`."""
    other = folder / "data" if root == folder else folder
    return other / stem if _candidates(other, stem) else None


def other_validation(root: Path) -> list[str]:
    """Names under which a validation split seems to lie in `root`."""
    return [name for name in OTHER_NAMES if _candidates(root, name)]


def _candidates(root: Path, stem: str) -> list[list[Path]]:
    """Each form of a split that `root` has, as its files in order."""
    place = root / stem
    if place.is_file() and _suffix(place):
        return [[place]]
    files = [path for path in place.parent.glob("*") if path.is_file()]
    shards = [path for path in files if (found := _SHARD.fullmatch(_stem(path))) and found["stem"] == place.name]
    candidates = _by_suffix([path for path in files if _stem(path) == place.name]) + _by_suffix(shards)
    if place.is_dir():
        candidates += _by_suffix(_shards(place))
    if stem == "train" and (root / SAVED).is_file():
        candidates += _by_suffix(_shards(root))
    tables = [files for files in candidates if not files[0].name.endswith(TEXTS)]
    return tables or candidates


def _shards(folder: Path) -> list[Path]:
    """Files of data in a folder; what `datasets` and Spark write beside them is none."""
    state = folder / SAVED
    names = _saved(state) if state.is_file() else [path.name for path in folder.iterdir() if path.name[0] not in "._"]
    return [path for path in map(folder.joinpath, names) if path.is_file()]


def _saved(state: Path) -> list[str]:
    """Names of the files of a saved data set; others beside them, such as caches of `map`, are not its rows.

    Raises:
        MillisError: `state` is not what `Dataset.save_to_disk` writes.
    """
    try:
        return [file["filename"] for file in json.loads(state.read_bytes())["_data_files"]]
    except (ValueError, KeyError, TypeError) as error:
        raise MillisError(
            f"{state} names no data files ({type(error).__name__}: {error}); expected what Dataset.save_to_disk "
            "writes. Save the data set again"
        ) from error


def _by_suffix(files: list[Path]) -> list[list[Path]]:
    """Files in order of their names, those of each format together."""
    groups: dict[str, list[Path]] = {suffix: [] for suffix in SUFFIXES}
    for path in sorted(files):
        if suffix := _suffix(path):
            groups[suffix].append(path)
    return [group for group in groups.values() if group]


def _check_whole(files: list[Path]) -> None:
    """Refuse shards of which one is missing, or stands twice.

    Raises:
        MillisError: says how many there are, and should be.
    """
    shards = [shard for path in files if (shard := _SHARD.fullmatch(_stem(path)))]
    expected = int(shards[0]["count"]) if shards else 0
    if sorted(int(shard["number"]) for shard in shards) != list(range(expected)):
        raise MillisError(
            f"{files[0].parent}: found {len(shards)} shards such as {files[0].name}; expected {expected}, numbered "
            "from 0. Fetch those that are missing, and remove those of another export"
        )


def _suffix(path: Path) -> str | None:
    return next((suffix for suffix in SUFFIXES if path.name.endswith(suffix)), None)


def _stem(path: Path) -> str:
    return path.name.removesuffix(_suffix(path) or "")
