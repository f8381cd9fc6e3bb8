"""The dialogue of one probe, line by line, for a person who wants to see it.

Lines are clean and without secrets when they come here. Knows nothing of how they are shown.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Side = Literal["client", "server", "note"]


@dataclass(frozen=True, slots=True)
class TraceLine:
    """One line; `note` is what happened beside the dialogue, such as a TLS handshake."""

    elapsed_ms: float
    side: Side
    text: str


@dataclass(slots=True)
class Trace:
    """Collects the lines of a probe in the order in which they happened."""

    lines: list[TraceLine] = field(default_factory=list)

    def add(self, elapsed_ms: float, side: Side, text: str) -> None:
        """Append a line."""
        self.lines.append(TraceLine(elapsed_ms, side, text))
