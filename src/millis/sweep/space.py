"""Search space: which keys a sweep varies, and under which conditions. A plain mapping in, one recipe a trial out.

    student:                 {choice: [transformer, static]}
    student.layers:          {int: [1, 6], when: {student: transformer}}   # both ends are in
    distillation.temperature: {float: [1.0, 8.0], log: true}
    quantization:            {choice: [none, dynamic]}

Keys are drawn in the order written (define by run: Optuna, Akiba et al. 2019), so a condition may look at any key
above it, or at a key that the base config fixes. `when` names all its keys must have the given value, or one of a list.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import Trial

from millis.errors import MillisError, nearest

Conditions: TypeAlias = dict[str, tuple[Any, ...]]

OPTIONS = {"choice": ("when",), "int": ("log", "step", "when"), "float": ("log", "step", "when")}


@dataclass(frozen=True)
class Parameter:
    """One key of the space. `distribution` is None for a key the command line fixed; it then has the value `value`."""

    key: str
    distribution: BaseDistribution | None
    when: Conditions = field(default_factory=dict)
    value: Any = None

    def draw(self, trial: Trial) -> Any:
        """This key's value in `trial`."""
        match self.distribution:
            case CategoricalDistribution(choices=choices):
                return trial.suggest_categorical(self.key, choices)
            case IntDistribution(low=low, high=high, step=step, log=log):
                return trial.suggest_int(self.key, low, high, step=step, log=log)
            case FloatDistribution(low=low, high=high, step=step, log=log):
                return trial.suggest_float(self.key, low, high, step=step, log=log)
        return self.value

    def admits(self, value: Any) -> bool:
        """Whether `value` could be drawn."""
        match self.distribution:
            case None:
                return _same(value, self.value)
            case CategoricalDistribution(choices=choices):
                return any(_same(value, choice) for choice in choices)
            case IntDistribution() if not isinstance(value, int) or isinstance(value, bool):
                return False
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and bool(self.distribution._contains(value))

    def describe(self) -> str:
        """What may be drawn, for messages: `one of 'a', 'b'`, `a whole number from 1 to 6`."""
        match self.distribution:
            case CategoricalDistribution(choices=choices):
                return f"one of {', '.join(map(repr, choices))}"
            case IntDistribution(low=low, high=high, step=step):
                return f"a whole number from {low} to {high}" + (f" in steps of {step}" if step > 1 else "")
            case FloatDistribution(low=low, high=high, step=step):
                return f"a number from {low} to {high}" + (f" in steps of {step}" if step else "")
        return repr(self.value)


@dataclass(frozen=True)
class Space:
    """An ordered search space.

    Args:
        parameters: In the order they are drawn.
        fixed: Key → value of everything the base config settles; conditions may name these keys.
    """

    parameters: tuple[Parameter, ...]
    fixed: Mapping[str, Any]

    @classmethod
    def parse(cls, entries: Mapping[str, Any], fixed: Mapping[str, Any]) -> "Space":
        """Read the mapping of the module's docstring.

        Raises:
            MillisError: an entry that says nothing, or nothing possible; the key and the mend are named.
        """
        if not isinstance(entries, Mapping):
            raise MillisError(f"the search space must be a mapping of key to entry, got {entries!r}")
        parameters: list[Parameter] = []
        for key, entry in entries.items():
            distribution = parse_entry(key, entry)
            when = _parse_when(key, entry.get("when") or {}, parameters, list(entries), fixed)
            parameters.append(Parameter(key, distribution, when))
        return cls(tuple(parameters), fixed)

    def __getitem__(self, key: str) -> Parameter:
        for parameter in self.parameters:
            if parameter.key == key:
                return parameter
        raise KeyError(key)

    def __contains__(self, key: str) -> bool:
        return any(parameter.key == key for parameter in self.parameters)

    def with_entry(self, key: str, entry: Mapping[str, Any]) -> "Space":
        """This space with `key` searched as `entry` says.

        A key that is there keeps its place and its condition. A new one goes first, where any condition can see it.
        """
        distribution = parse_entry(key, entry)
        if key in self:
            return self._replaced(replace(self[key], distribution=distribution, value=None))
        return replace(self, parameters=(Parameter(key, distribution), *self.parameters))

    def with_value(self, key: str, value: Any) -> "Space":
        """This space with `key` no longer searched but fixed, under the condition it had (`layers` of a student that
        has none cannot be set)."""
        if key in self and self[key].when:
            return self._replaced(replace(self[key], distribution=None, value=value))
        others = tuple(parameter for parameter in self.parameters if parameter.key != key)
        return replace(self, parameters=others, fixed={**self.fixed, key: value})

    def sample(self, trial: Trial) -> dict[str, Any]:
        """Draw every key whose condition holds: key → value, in the order of the space."""
        drawn: dict[str, Any] = {}
        for parameter in self.parameters:
            if self._applies(parameter, drawn):
                drawn[parameter.key] = parameter.draw(trial)
        return drawn

    def admits(self, params: Mapping[str, Any]) -> bool:
        """Whether a trial could have `params`: those it names that are searched here are within bounds, and those
        that are fixed here agree."""
        for key, value in params.items():
            if key in self:
                if not self[key].admits(value):
                    return False
            elif key in self.fixed and not _same(self.fixed[key], value):
                return False
        return True

    def check(self, params: Mapping[str, Any]) -> None:
        """Raise MillisError unless every key of `params` is searched here and its value is within bounds."""
        for key, value in params.items():
            if key not in self:
                names = [parameter.key for parameter in self.parameters]
                raise MillisError(
                    f"a recipe to try first names {key!r}, which is not in the search space{nearest(key, names)}; "
                    f"it has {', '.join(names) or 'no keys'}"
                )
            if not self[key].admits(value):
                raise MillisError(f"a recipe to try first has {key}={value!r}; expected {self[key].describe()}")

    def _replaced(self, new: Parameter) -> "Space":
        return replace(self, parameters=tuple(new if old.key == new.key else old for old in self.parameters))

    def _applies(self, parameter: Parameter, drawn: Mapping[str, Any]) -> bool:
        for key, allowed in parameter.when.items():
            if key not in drawn and (key in self or key not in self.fixed):
                return False  # searched, but its own condition does not hold
            value = drawn[key] if key in drawn else self.fixed[key]
            if not any(_same(value, one) for one in allowed):
                return False
        return True


def parse_entry(key: str, entry: Any) -> BaseDistribution:
    """The distribution of `{choice: [...]}`, `{int: [low, high]}` or `{float: [low, high]}` (`log`, `step` optional).

    Raises:
        MillisError: not one of these; `key` is named.
    """
    if not isinstance(entry, Mapping):
        raise MillisError(
            f"search space, {key}: got {entry!r}; "
            "write {choice: [...]}, {int: [low, high]} or {float: [low, high]}"
        )
    kinds = [kind for kind in OPTIONS if kind in entry]
    if len(kinds) != 1:
        known = [*OPTIONS, "log", "step", "when"]
        hints = "".join(nearest(name, known) for name in entry if name not in known)
        raise MillisError(f"search space, {key}: got {list(entry)}; expected exactly one of choice, int, float{hints}")
    kind = kinds[0]
    for name in entry:
        if name != kind and name not in OPTIONS[kind]:
            raise MillisError(
                f"search space, {key}: {kind!r} has no option {name!r}{nearest(str(name), OPTIONS[kind])}; "
                f"it takes {', '.join(OPTIONS[kind])}"
            )
    return _categorical(key, entry[kind]) if kind == "choice" else _numeric(key, kind, entry)


def _categorical(key: str, choices: Any) -> CategoricalDistribution:
    if not _is_list(choices) or not choices:
        raise MillisError(f"search space, {key}: 'choice' needs a list of at least one value, got {choices!r}")
    for choice in choices:
        if not isinstance(choice, str | int | float | None):
            raise MillisError(
                f"search space, {key}: a choice must be a text, a number, true, false or null, got {choice!r}; "
                "put lists and mappings in a config group and search its options"
            )
    if any(_same(a, b) for i, a in enumerate(choices) for b in choices[:i]):
        raise MillisError(f"search space, {key}: 'choice' names a value twice: {list(choices)}")
    return CategoricalDistribution(list(choices))


def _numeric(key: str, kind: str, entry: Mapping[str, Any]) -> BaseDistribution:
    number, words = (int, "whole numbers") if kind == "int" else (int | float, "numbers")
    bounds, step, log = entry[kind], entry.get("step"), entry.get("log") or False
    if (
        not _is_list(bounds)
        or len(bounds) != 2
        or any(not isinstance(b, number) or isinstance(b, bool) for b in bounds)
    ):
        raise MillisError(f"search space, {key}: {kind!r} needs two {words} [low, high], got {bounds!r}")
    low, high = bounds
    if low > high:
        raise MillisError(f"search space, {key}: low {low} is above high {high}; write [{high}, {low}]")
    if not isinstance(log, bool):
        raise MillisError(f"search space, {key}: 'log' is true or false, got {log!r}")
    if log and (low <= 0 or step is not None):
        raise MillisError(f"search space, {key}: 'log' needs a low above 0 and no 'step', got {dict(entry)}")
    if step is not None and (not isinstance(step, number) or isinstance(step, bool) or step <= 0):
        raise MillisError(f"search space, {key}: 'step' is above 0 and made of {words}, got {step!r}")
    if kind == "int":
        step = step or 1
        return IntDistribution(low, high - (high - low) % step, log=log, step=step)
    return FloatDistribution(float(low), float(high), log=log, step=step)


def _parse_when(
    key: str, when: Any, above: Sequence[Parameter], keys: Sequence[str], fixed: Mapping[str, Any]
) -> Conditions:
    if not isinstance(when, Mapping):
        raise MillisError(f"search space, {key}: 'when' is a mapping of key to value, got {when!r}")
    seen = {parameter.key: parameter for parameter in above}
    conditions: Conditions = {}
    for name, wanted in when.items():
        conditions[name] = tuple(wanted) if _is_list(wanted) else (wanted,)
        if name in seen:
            for value in conditions[name]:
                if not seen[name].admits(value):
                    choices = getattr(seen[name].distribution, "choices", ())
                    hint = nearest(str(value), [choice for choice in choices if isinstance(choice, str)])
                    raise MillisError(
                        f"search space, {key}: 'when' waits for {name}={value!r}, which is never drawn{hint}; "
                        f"{name} is {seen[name].describe()}"
                    )
        elif name in keys:
            raise MillisError(
                f"search space, {key}: 'when' names {name!r}, which is not above it; write {name!r} first"
            )
        elif name not in fixed:
            raise MillisError(
                f"search space, {key}: 'when' names {name!r}, which is neither searched nor in the config"
                f"{nearest(name, [*seen, *fixed])}"
            )
    return conditions


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _same(a: Any, b: Any) -> bool:
    # Python holds True == 1; a config does not.
    return bool(a == b) and isinstance(a, bool) == isinstance(b, bool)
