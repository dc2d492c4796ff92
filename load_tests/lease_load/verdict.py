"""What a run says at its end, in plain lines."""

from __future__ import annotations

from .judge import Judge


def lines(judge: Judge) -> list[str]:
    """The figures of the books, what must not have happened, and OK or FAILED."""
    counts = judge.counts
    said = [
        f"leases: {counts['acquired']} granted; {counts['released']} released, "
        f"{counts['expired']} expired, {counts['deleted']} ended with their proxy, "
        f"{counts['lost']} lost",
        f"checked: {judge.judged} beginnings of leases against their limit, "
        f"{counts['looked']} looks at the pool; sweeps recovered {counts['swept']} leases, "
        "acquires the rest",
    ]
    if counts["unclear"]:
        said.append(f"{counts['unclear']} leases may have been granted by acquires that failed")
    if judge.late or counts["unread"]:
        said.append(f"not judged: {judge.late} that came late, {counts['unread']} read too late")
    said += [f"FAILED: {problem}" for problem in judge.problems]
    hidden = sum(judge.kinds.values()) - len(judge.problems)
    if hidden:
        said.append(f"FAILED: and {hidden} more")
    if not judge.problems:
        said.append("OK: no limit exceeded, no lease lost, every proxy is free again")
    return said
