"""A diagnosis for people, and for scripts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from pharox_redis.doctor.findings import Diagnosis, Finding, Level


class Looked(NamedTuple):
    """What was looked at, and whether it was to be mended."""

    pools: int
    proxies: int
    repair: bool


def document(diagnosis: Diagnosis, looked: Looked) -> dict[str, Any]:
    """The one document of ``--json``."""
    return {
        "healthy": diagnosis.standing == 0,
        "standing": diagnosis.standing,
        **looked._asdict(),
        "findings": [finding.as_json() for finding in diagnosis.findings],
    }


def lines(
    diagnosis: Diagnosis, looked: Looked, *, shown: Callable[[str], str] = str
) -> Iterator[str]:
    """The report, line by line; ``shown`` makes what users named fit for a terminal."""
    for finding in diagnosis.findings:
        yield from _told(finding, looked.repair, shown)
    said = (
        f"{_plural(looked.pools, 'pool')}, {_plural(looked.proxies, 'proxy', 'proxies')} looked at"
    )
    mended = sum(finding.mended for finding in diagnosis.findings)
    if mended:
        said += f"; {mended:,} mended"
    standing = diagnosis.standing
    verdict = f"{standing:,} still wrong" if looked.repair else f"{standing:,} wrong"
    yield f"{said}; {verdict if standing else 'all is well'}."


def _told(finding: Finding, repaired: bool, shown: Callable[[str], str]) -> Iterator[str]:
    title = f"{finding.level.value:<8}  {shown(finding.where)}: {finding.kind}"
    if finding.count > 1 or finding.examples:
        title += f" ({_counted(finding, repaired)})"
    yield title
    yield f"          {shown(finding.wrong)}"
    for example in finding.examples:
        if example:
            yield f"          - {shown(example)}"
    rest = finding.count - len(finding.examples)
    if finding.examples and rest > 0:
        yield f"          ... and {rest:,} more"
    if finding.todo and (finding.standing or (finding.level is Level.INFO and not finding.mended)):
        yield f"          -> {shown(finding.todo)}"


def _counted(finding: Finding, repaired: bool) -> str:
    if not repaired:
        return f"{finding.count:,}"
    if finding.mended == finding.count:
        return f"{finding.count:,}, mended"
    return f"{finding.count:,}, {finding.mended:,} mended"


def _plural(number: int, noun: str, nouns: str = "") -> str:
    return f"1 {noun}" if number == 1 else f"{number:,} {nouns or noun + 's'}"
