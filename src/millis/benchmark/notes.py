"""What a reader should know of a measurement, a sentence each."""

WAITING = 0.05  # share of the time lost to other processes from which on a reader should know


def slow_note(requests: int, wanted: int, seconds: float) -> str:
    return (
        f"{requests} requests a round instead of {wanted}, to stay within {seconds:g} s an artifact: "
        "p90 and p99 rest on few samples"
    )


def drift_note(moved: float, allowed: float) -> str:
    return (
        f"the reference's median latency ranged over {moved:.0%} between rounds, more than the {allowed:.0%} "
        "allowed: trust the speed-up more than the milliseconds"
    )


def held_up_notes(waiting: float, throttled: float, quota: float | None) -> list[str]:
    """Of what kept requests from the CPU.

    Args:
        waiting, throttled: Share of the time lost to other processes, and to the quota, 0..1.
        quota: CPUs' worth of time that processes may use; None without a limit.
    """
    notes = []
    if waiting > WAITING:
        notes.append(
            f"other processes held the CPU for {waiting:.0%} of the time; the wait is not counted, but what they did "
            "to the caches is: measure on an idle machine before quoting milliseconds"
        )
    if quota is not None:
        notes.append(
            f"processes here may use {quota:g} CPUs' time (the quota of their control group), which held requests back "
            f"for {throttled:.0%} of it; that is counted as latency"
        )
    return notes
