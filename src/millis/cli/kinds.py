"""Whether a config's values are of the kinds that they are used as: checked before anything is read or trained.

A value beside a `_target_` becomes that parameter of the target, whose annotation says what it may be. The few keys
that commands read themselves have theirs in `KEYS`.
"""

import inspect
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf

from millis.cli.targets import instantiate
from millis.errors import MillisError, nearest
from millis.models.sizes import Size
from millis.server.settings import Log


@dataclass(frozen=True)
class Within:
    """Numbers from `low` to `high`, both included; None is no end."""

    low: float
    high: float | None = None

    def __contains__(self, value: float | None) -> bool:
        return value is not None and self.low <= value and (self.high is None or value <= self.high)

    def __str__(self) -> str:
        return f"from {self.low}" + (" on" if self.high is None else f" to {self.high}")


@dataclass(frozen=True)
class Limit:
    """Limits of a budget: null, or a number that something can be below. No loss of quality may be asked for."""

    zero: bool = False

    def __contains__(self, value: float | None) -> bool:
        return value is None or value > 0 or (self.zero and value == 0)


Seed = Annotated[int, Within(0, 2**32 - 1)]  # what NumPy takes
Count = Annotated[int, Within(1)]
Amount = Annotated[float, Within(0)]
SEARCHED = ("space", "enqueue", "sampler")  # of a study: what is made later
BUDGET = "a positive number in the unit of its name, or null for no limit"
KEYS: dict[str, Any] = {
    "seed": Seed,
    "teacher.seed": Seed,
    "teacher.search": Mapping[str, Any] | None,
    "ensemble": Sequence[Seed],
    "blend": bool,
    "group": str,
    "name": str | None,
    "paths.outputs": str,
    "paths.cache": str,
    "budget.latency_p50_ms": Annotated[float | None, Limit(), BUDGET],
    "budget.latency_p99_ms": Annotated[float | None, Limit(), BUDGET],
    "budget.quality_drop": Annotated[float | None, Limit(zero=True), BUDGET],
    "budget.size_bytes": Annotated[float | None, Limit(), BUDGET],
    "budget.probability": Annotated[float | None, Within(0.5, 1)],
    "study.name": str,
    "study.directions": Mapping[str, Literal["minimize", "maximize"]],
    "study.space": Mapping[str, Mapping[str, Any]],
    "study.sampler": Mapping[str, Any],
    "study.enqueue": Sequence[Mapping[str, Any]],
    "study.storage": str | None,
    "study.n_trials": Count,
    "study.n_jobs": Count,
    "study.timeout_s": Amount | None,
    "study.minimum": Annotated[int, Within(0)],
    "trust_code": bool,
    "artifact": str | Sequence[str],  # predict and pick, which take one; serve
    "texts": str | Sequence[str] | None,
    "file": str | None,
    "threads": Count,
    "deadline_ms": Amount | None,
    "artifacts": Sequence[str | int],  # benchmark; a folder may be named 1
    "reference": str | None,
    "limit": bool,
    "profile": bool,
    "curves": bool,
    "goal": Literal["latency", "throughput"] | None,
    "bound_ms": Amount | None,
    "records": str | None,
    "fast": str,  # cascade
    "accurate": str,
    "cascade.quality_drop": Amount | None,
    "cascade.latency_p50_ms": Amount | None,
    "cascade.latency_p99_ms": Amount | None,
    "cascade.texts": Count,
    "data.path": str | None,  # build; elsewhere a source takes it
    "every_part": Sequence[str],
    "finalists": Count,  # pick
    "student.layers": Size,  # where no `_target_` is beside them
    "student.hidden_size": Size,
    "student.heads": Size,
    "student.ffn_size": Size,
    "effects": Sequence[str],  # report
    "html": str | None,
    "title": str,
    "latency": str | None,
    "wandb": str | None,
    "workers": Count | None,  # serve
    "max_body_bytes": Count,
    "max_characters": Count,
    "max_texts": Count,
    "grace_s": Amount,
    "log": Log,
    "host": str,  # agent, serve
    "port": Annotated[int, Within(0, 65535)],
    "max_file_bytes": Count,
    "max_kept_bytes": Count,
}


def check(cfg: DictConfig, *, complete: bool = True) -> None:
    """Refuse a config with a value that what it is bound to does not take.

    Args:
        complete: Whether every mandatory key must have its value; False where a sweep gives some.

    Raises:
        MillisError: the key, its value and what was expected; or what a constructor refuses.
        MissingMandatoryValue: a mandatory key without a value (OmegaConf's error).
    """
    values: dict[str, Any] = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=complete)  # type: ignore[assignment]
    wrong = [(key, value, kind) for key, value, kind in bound(values) if value != "???" and not fits(value, kind)]
    for key, value, kind in sorted(wrong, key=lambda found: _derived(cfg, found[0])):
        check_value(key, value, kind)
    if complete:
        silent = {key: node for key, node in values.items() if key != "logger"}  # a logger makes folders
        _construct(silent | _teacher(values))
    else:
        _construct(values.get("study", {}))  # which no trial changes


def _teacher(values: Mapping[str, Any]) -> dict[str, Any]:
    """The teacher's part to construct; one of no epochs is taken as it is, without a trainer."""
    teacher = values.get("teacher")
    if not isinstance(teacher, Mapping):
        return {}
    untrained = (teacher.get("trainer") or {}).get("max_epochs") == 0
    return {"teacher": {key: node for key, node in teacher.items() if not (untrained and key == "trainer")}}


def _derived(cfg: DictConfig, key: str) -> bool:
    """Whether a value is taken from another key, which then is the one to name."""
    outer, _, last = key.rpartition(".")
    node = OmegaConf.select(cfg, outer) if outer else cfg
    return isinstance(node, DictConfig) and OmegaConf.is_interpolation(node, last)


def check_value(key: str, value: Any, kind: Any) -> None:
    """Raise MillisError unless `value` is of `kind`, an annotation."""
    if fits(value, kind):
        return
    if get_origin(kind) is Mapping and isinstance(value, Mapping):
        for name, one in value.items():
            check_value(f"{key}.{name}", one, get_args(kind)[1])
    words = f"{key}={shown(value)}: expected {described(kind)}"
    if isinstance(value, bool | int | float) and fits("", kind):
        words += f". To mean it as text, quote it: '{key}=\"{shown(value)}\"'"
    raise MillisError(words)


def bound(values: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """(dotted key, value, annotation of what it is bound to) of every value that is bound to something.

    Raises:
        MillisError: a key that its target has no parameter for.
    """
    for key, kind in KEYS.items():
        node: Any = values
        *outer, last = key.split(".")
        for part in outer:
            node = node.get(part) if isinstance(node, Mapping) else None
        if isinstance(node, Mapping) and last in node:
            yield key, node[last], kind
    yield from _beside_targets(values, "")


def _beside_targets(node: Any, prefix: str) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(node, list):
        node = dict(enumerate(node))
    if not isinstance(node, Mapping):
        return
    taken = parameters(str(node["_target_"])) if "_target_" in node else None
    for key, value in node.items():
        name = f"{prefix}{key}"
        if taken is not None and not str(key).startswith("_"):
            if key not in taken:
                target = str(node["_target_"]).rpartition(".")[2]
                raise MillisError(f"{name}={shown(value)}: {target} has no {key!r}{nearest(str(key), taken)}")
            yield name, value, taken[key]
        yield from _beside_targets(value, f"{name}.")


class _Free(dict[str, Any]):
    """Parameters of what takes any."""

    def __contains__(self, key: object) -> bool:
        return True

    def __missing__(self, key: str) -> Any:
        return Any


@cache
def parameters(target: str) -> dict[str, Any]:
    """Parameter → annotation of what a `_target_` names; any where it tells nothing."""
    try:
        made = get_object(target)
        found = inspect.signature(made).parameters.values()
    except Exception:  # not to be found, or written in C: what makes it says what is wrong
        return _Free()
    names = vars(sys.modules[made.__module__])
    kinds = {one.name: _annotation(one, names) for one in found if one.kind is not one.VAR_POSITIONAL}
    ours = target.startswith("millis.")
    free = not ours or any(one.kind is one.VAR_KEYWORD for one in found)
    return _Free(kinds) if free else kinds


def _annotation(parameter: inspect.Parameter, names: dict[str, Any]) -> Any:
    kind = parameter.annotation
    if parameter.kind is parameter.VAR_KEYWORD or kind is parameter.empty:
        return Any
    if isinstance(kind, str):
        try:
            kind = eval(kind, names)  # of the library's own source, not of the config
        except Exception:  # a name for type checkers alone
            return Any
    return Seed if parameter.name == "seed" and kind is int else kind


def _construct(node: Any) -> None:
    """Make every object once and drop it, for constructors check more than kinds."""
    if isinstance(node, Mapping) and "_target_" in node:
        instantiate(node)
    elif isinstance(node, Mapping):
        for value in (value for key, value in node.items() if key not in SEARCHED):
            _construct(value)


def fits(value: Any, kind: Any) -> bool:  # noqa: PLR0911 (one answer a kind)
    """Whether `value`, as YAML or the command line gave it, is of `kind`. What a `_target_` makes is of any kind."""
    made = isinstance(value, Mapping) and "_target_" in value
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any or made:
        return True
    if origin is Annotated:
        return fits(value, arguments[0]) and all(
            value in limit for limit in arguments[1:] if not isinstance(limit, str)
        )
    if origin in (Union, UnionType):
        return any(fits(value, one) for one in arguments)
    if origin is Literal:
        return value in arguments
    if origin in (list, tuple, Sequence):
        return isinstance(value, list) and all(fits(one, arguments[0]) for one in value)
    if origin in (dict, Mapping):
        return isinstance(value, Mapping) and all(fits(one, arguments[1]) for one in value.values())
    if kind is NoneType:
        return value is None
    if kind in (int, float):
        number = isinstance(value, int if kind is int else int | float) and not isinstance(value, bool)
        return number and not math.isnan(value)
    if kind in (bool, str):
        return isinstance(value, kind)
    ours = getattr(kind, "__module__", "").startswith("millis.") or origin is not None
    return not ours  # an object, which only a `_target_` makes; of other libraries' kinds nothing is known


WORDS = {  # one, and several
    NoneType: ("null", "nulls"), int: ("a whole number", "whole numbers"), float: ("a number", "numbers"),
    bool: ("true or false", "trues and falses"), str: ("text", "texts"), Any: ("anything", "anything"),
}  # fmt: skip


def described(kind: Any, several: bool = False) -> str:
    """A kind in words: `a whole number from 1 on or null`; with `several`, `whole numbers from 1 on`."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        said = [described(arguments[0], several), *map(str, arguments[1:])]
        return said[-1] if isinstance(arguments[-1], str) else " ".join(said)
    if origin in (Union, UnionType):
        numbers = [one for one in arguments if one is not int] if float in arguments else arguments
        return " or ".join(dict.fromkeys(described(one, several) for one in numbers))
    if origin is Literal:
        return " or ".join(map(shown, arguments))
    if origin in (list, tuple, Sequence):
        return f"{'lists' if several else 'a list'} [...] of {described(arguments[0], True)}"
    if origin in (dict, Mapping):
        return f"{'mappings' if several else 'a mapping'} {{key: value}} to {described(arguments[1], True)}"
    return WORDS.get(kind, ("a mapping with a _target_", "mappings with a _target_"))[several]


def shown(value: Any) -> str:
    """A value as the command line has it: `null`, `true`, `[1,a]`."""
    if isinstance(value, list):
        return f"[{','.join(map(shown, value))}]"
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{key}:{shown(one)}' for key, one in value.items())}}}"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
