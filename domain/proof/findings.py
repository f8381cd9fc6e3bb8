"""What a verification finds: where the log, its tree or its signed heads were changed."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

LISTED: Final = 200
"""Findings that are kept one by one; of all others the number is kept."""


class Kind(StrEnum):
    """What was done. These words are documented and do not change."""

    ALTERED = "altered"
    REMOVED = "removed"
    INSERTED = "inserted"
    MOVED = "moved"
    TREE = "tree"
    HEAD = "head"
    ARCHIVE = "archive"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it was.

    `position` to `through` is where in the log; both None when it is not about events.
    `line` is the line of a head in its file.
    """

    kind: Kind
    message: str
    position: int | None = None
    through: int | None = None
    line: int | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the finding as it is shown."""
        return {
            "kind": self.kind.value,
            "position": self.position,
            "through": self.through,
            "line": self.line,
            "message": self.message,
        }


@dataclass(slots=True)
class Report:
    """The outcome of a verification: what was looked at, and what is wrong.

    `found` counts events that are not as they were, and everything else that is wrong.
    """

    log: str
    events: int = 0
    archived: int = 0
    heads: int = 0
    position: int = 0
    root_hash: str = ""
    found: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether everything is as it was."""
        return not self.found

    def add(self, finding: Finding, count: int = 1) -> None:
        """Count a finding, and keep it if there is room. `count`: what it stands for."""
        self.found += count
        if len(self.findings) < LISTED:
            self.findings.append(finding)

    def as_json(self) -> dict[str, Any]:
        """Return the report as it is shown."""
        return {
            "log": self.log,
            "ok": self.ok,
            "events": self.events,
            "archived": self.archived,
            "position": self.position,
            "rootHash": self.root_hash,
            "heads": self.heads,
            "found": self.found,
            "findings": [each.as_json() for each in self.findings],
        }
