"""What lies in conf/, read without composing: the options of each group, and where a key can come from."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from millis.errors import MillisError, nearest


def conf_dir() -> Path:
    """The folder of configs: `conf/` of a checkout, or the copy inside an installed package."""
    package = Path(__file__).resolve().parents[1]
    checkout = package.parents[1] / "conf"
    return checkout if (checkout / "base.yaml").is_file() else package / "conf"


def groups() -> list[str]:
    """Every group, those inside others included: `pruning`, `pruning/schedule`."""
    root = conf_dir()
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_dir())


def options(group: str, runtime: DictConfig | None = None) -> list[str]:
    """The options of a group: those of conf/, and of the further folders that a composed `hydra.runtime` names."""
    folders = {conf_dir()}
    for source in [] if runtime is None else runtime.config_sources:
        if source.schema == "file":
            folders.add(Path(source.path))
    return sorted({path.stem for folder in folders for path in (folder / group).glob("*.yaml")})


def option_of(group: str, made: Any) -> str | None:
    """The first option of `group` that makes objects of the class of `made`; None where none does."""
    name = f"{type(made).__module__}.{type(made).__qualname__}"
    for option in options(group):
        node: Any = OmegaConf.load(conf_dir() / group / f"{option}.yaml")
        if node.get("_target_") == name:
            return option
    return None


def check_option(group: str, option: Any, runtime: DictConfig | None = None) -> None:
    """Raise MillisError unless `option`, or each of a list, is one of `group`."""
    known = options(group, runtime)
    for one in option if isinstance(option, list | ListConfig) else [option]:
        name = "null" if one is None else str(one)
        if name not in known:
            raise MillisError(f"{group} has no {name!r}{nearest(name, known)}. Expected one of: {', '.join(known)}")


def homes(key: str, group: str, package: str) -> dict[str, Any]:
    """Option → the mapping that holds `key`, over the options of `group` that have it when they lie at `package`.

    `homes("data.path", "data", "data")` has `hub` and `local`.
    """
    inside, found = key.removeprefix(f"{package}.").split("."), {}
    for path in sorted((conf_dir() / group).glob("*.yaml")):
        node: Any = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
        for part in inside[:-1]:
            node = node.get(part) if isinstance(node, dict) else None
        if isinstance(node, dict) and inside[-1] in node:
            found[path.stem] = node
    return found


def packages(choices: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """(key in the defaults list, group, package) of composed choices: `trainer@teacher.trainer` lies at the latter."""
    for key in choices:
        group, _, package = key.partition("@")
        if not group.startswith("hydra/"):
            yield key, group, package or group.replace("/", ".")


def takers(name: str) -> list[str]:
    """The commands whose config has a group or key of this name."""
    return sorted(path.stem for path in conf_dir().glob("*.yaml") if path.stem != "base" and name in _names(path.stem))


def _names(root: str) -> set[str]:
    """The groups and first keys of a root config, those of the roots that it builds on included."""
    content: Any = OmegaConf.to_container(OmegaConf.load(conf_dir() / f"{root}.yaml"), resolve=False)
    names = set(content)
    for entry in content.get("defaults", []):
        if isinstance(entry, dict):
            names |= {key.removeprefix("optional ").partition("@")[0] for key in entry}
        elif entry != "_self_":
            names |= _names(entry)
    return names
