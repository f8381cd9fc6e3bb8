"""How a view stands: where it is, where its log is, and how far a rebuild of it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cli.tables import print_json, print_rows
from domain.clock import utc_now
from projections.views import rebuild_lock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.store import Store
    from projections.catch_up import Projector

_HEADINGS = {
    "name": "View",
    "log": "Log",
    "state": "State",
    "position": "Position",
    "head": "Head",
    "lag": "Lag",
    "lagSeconds": "Lag (s)",
    "rows": "Rows",
    "generation": "Generation",
    "rebuild": "Rebuild",
}


def standing(store: Store, projector: Projector) -> dict[str, Any]:
    """Return how a view stands, in the keys of the JSON that is printed."""
    view = projector.view
    current = projector.is_current()
    since = projector.waiting_since()
    return {
        "name": projector.projection.name,
        "log": projector.log.name,
        "state": "current" if current else "not made yet by this version",
        "position": view.position() if current else 0,
        "head": projector.log.head(),
        "lag": projector.lag(),
        "lagSeconds": round((utc_now() - since).total_seconds(), 3) if since else 0,
        "rows": sum(view.count().values()) if current else 0,
        "generation": view.generation(),
        "rebuild": _rebuild(store, projector),
    }


def print_standings(standings: Sequence[dict[str, Any]], *, as_json: bool) -> None:
    """Print how views stand."""
    if as_json:
        print_json(standings)
        return
    rows = [{**each, "rebuild": _in_words(each["rebuild"])} for each in standings]
    print_rows(rows, _HEADINGS, as_json=False)


def _rebuild(store: Store, projector: Projector) -> dict[str, Any] | None:
    holder = store.engine.locks.holder(rebuild_lock(projector.projection.name))
    position = projector.left_over()
    if holder is None and position is None:
        return None
    return {
        "position": position or 0,
        "process": holder.pid if holder else None,
        "since": holder.since if holder else None,
    }


def _in_words(rebuild: dict[str, Any] | None) -> str | None:
    if rebuild is None:
        return None
    if rebuild["process"] is None:
        return f"broken off at {rebuild['position']}"
    return f"at {rebuild['position']}, process {rebuild['process']}"
