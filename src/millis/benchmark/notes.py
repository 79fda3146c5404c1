"""What a reader should know of a measurement, a sentence each."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from millis.benchmark.latency import Options


def slow_note(requests: int, options: "Options") -> str:
    return (
        f"{requests} requests a round instead of {options.requests}, to stay within {options.seconds:g} s an artifact: "
        "p90 and p99 rest on few samples"
    )


def drift_note(moved: float, options: "Options") -> str:
    return (
        f"the reference's median latency ranged over {moved:.0%} between rounds, more than the {options.drift:.0%} "
        "allowed: trust the speed-up more than the milliseconds"
    )


def waiting_note(share: float) -> str:
    return (
        f"other processes held the CPU for {share:.0%} of the time; the wait is not counted, but what they did to the "
        "caches is: measure on an idle machine before quoting milliseconds"
    )


def quota_note(quota: float, share: float) -> str:
    return (
        f"processes here may use {quota:g} CPUs' time (the quota of their control group), which held requests back for "
        f"{share:.0%} of it; that is counted as latency"
    )
