"""The CPUs that this process may use: their name, which (affinity), how much of them (quota), how long it waited.

A container's limit (`docker run --cpus=0.2`, Kubernetes) is a quota of its control group: so many microseconds of CPU
in every period, after which all of its threads stand still until the next. The kernel's documents: cgroup-v2
(`cpu.max`, `cpu.stat`), and sched-bwc for version 1 (`cpu.cfs_quota_us`).
"""

import os
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

INFO = Path("/proc/cpuinfo")
ROOT = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")
V1 = ("cpu", "cpu,cpuacct")  # mount points of version 1's controller


class Limit(NamedTuple):
    """A control group with a quota: `cpus` processors' worth of time, and its account of what that held back."""

    cpus: float
    account: Path


def processor() -> dict[str, str]:
    """What the system says of the first processor; empty where it says nothing."""
    return fields(INFO)


def processor_name() -> str:
    """As its maker calls it; its architecture where the system does not say."""
    return processor().get("model name") or platform.processor() or platform.machine()


def fields(path: Path) -> dict[str, str]:
    """The first group of `name: value` lines in a file of the system's, such as `/proc/cpuinfo`."""
    first = (_read(path) or "").split("\n\n", 1)[0]
    pairs = (line.split(":", 1) for line in first.splitlines() if ":" in line)
    return {key.strip(): value.strip() for key, value in pairs}


def affinity() -> list[int]:
    """CPUs that this process may run on, ascending; empty where the system cannot tell or pin (macOS)."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def available_cpus() -> list[int]:
    """Those of `affinity` that may all be busy at once: as many as the quota pays for, at least one, from the highest
    down, since CPU 0 serves most interrupts."""
    cpus, most = affinity(), quota()
    return cpus if most is None else cpus[-max(1, int(most)) :]


def quota(root: Path = ROOT, own: Path = OWN) -> float | None:
    """Processors' worth of time that the control groups of this process allow, such as 0.2; None without a limit."""
    return min((limit.cpus for limit in limits(root, own)), default=None)


def limits(root: Path = ROOT, own: Path = OWN) -> list[Limit]:
    """The control groups with a quota, of this process's own and those around it.

    Args:
        root: Where control groups are mounted.
        own: Says which ones this process is in, a line a hierarchy: `0::/a/b` (version 2), `4:cpu,cpuacct:/a/b` (1).
    """
    found = []
    for line in (_read(own) or "").splitlines():
        number, controllers, path = line.split(":", 2)
        if number == "0":
            base = root / "unified" if (root / "unified").is_dir() else root  # beside those of version 1, or alone
            found += [limit for folder in _up(base, path) if (limit := _limit(folder, _read(folder / "cpu.max")))]
        elif "cpu" in controllers.split(","):
            base = next((root / name for name in (*V1, controllers) if (root / name).is_dir()), root)
            found += [limit for folder in _up(base, path) if (limit := _limit(folder, _v1(folder)))]
    return found


def throttled_ns(accounts: Iterable[str]) -> int:
    """How long quotas have held back, in all, summed over CPUs, by the texts of their `cpu.stat`."""
    total = 0
    for text in accounts:
        fields = dict(line.split(" ", 1) for line in text.splitlines() if " " in line)
        total += 1000 * int(fields.get("throttled_usec", 0)) + int(fields.get("throttled_time", 0))
    return total


def _limit(folder: Path, told: str | None) -> Limit | None:
    """The quota in `QUOTA PERIOD`, microseconds; version 2 says `max` and version 1 says -1 where there is none."""
    quota, _, period = (told or "max").partition(" ")
    if quota == "max" or int(quota) < 0:
        return None
    return Limit(int(quota) / int(period or 100_000), folder / "cpu.stat")


def _v1(folder: Path) -> str | None:
    quota, period = _read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us")
    return None if quota is None or period is None else f"{quota} {period}"


def _up(root: Path, path: str) -> list[Path]:
    """The group at `path` and those around it; in a container some are not to be seen, and the last one is its own."""
    inside = [part for part in path.split("/") if part not in ("", "..")]
    return [root.joinpath(*inside[:length]) for length in range(len(inside), -1, -1)]


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return None
