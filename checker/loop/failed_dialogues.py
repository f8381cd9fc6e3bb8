"""Which failed checks keep the dialogue with the server: those that say something new.

A dialogue of some dozen lines is larger than the check. So it is recorded with the first check
that fails in its way, and not again while the monitor goes on to fail in the same phase for the
same reason. A checker that starts again records it once more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from checker.loop.login_backoff import LOGIN_POSTPONED

if TYPE_CHECKING:
    from uuid import UUID

    from checker.loop.monitor_registry import ScheduledMonitor
    from domain.check import Outcome
    from mail.transcript import Trace


MOST_LINES: Final = 40
"""How many lines of a dialogue are kept: a few of its beginning, most of its end."""

_MOST_CHARACTERS: Final = 120
"""How much of a line is kept."""


class FailedDialogues:
    """Remembers how each monitor fails now."""

    def __init__(self) -> None:
        self._failures: dict[UUID, tuple[object, ...]] = {}

    def lines_to_keep(
        self, monitor: ScheduledMonitor, outcome: Outcome, trace: Trace
    ) -> list[dict[str, Any]]:
        """Return the lines to record with a check as JSON-native values, masked; often none."""
        if outcome.is_up:
            self.forget(monitor.monitor_id)
            return []
        if any(each.code == LOGIN_POSTPONED for each in outcome.warnings):
            return []  # It repeats what an earlier check found.
        failure = (monitor.version, outcome.category, outcome.phase)
        if self._failures.get(monitor.monitor_id) == failure:
            return []
        self._failures[monitor.monitor_id] = failure
        return [
            {"elapsed_ms": each.elapsed_ms, "side": each.side, "text": _cut(each.text)}
            for each in trace.lines
        ]

    def forget(self, monitor_id: UUID) -> None:
        """Drop a monitor that works, changed, or is not checked any more."""
        self._failures.pop(monitor_id, None)


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_CHARACTERS else text[: _MOST_CHARACTERS - 1] + "…"
