"""Whether a view is what its log makes of it, for people and for machines."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cli.progress import progress
from cli.tables import print_json
from projections.verification import verify

if TYPE_CHECKING:
    from collections.abc import Mapping

    from projections.verification import Difference, Verdict
    from projections.views import Views

_WORDS = {
    "missing": "is missing",
    "unexpected": "should not be there",
    "ahead": "the view shows events that its log does not have",
}


def verify_view(name: str, views: Views) -> Verdict:
    """Compare a view with one built anew, and show how far that is."""
    projector = views.projector(name)
    scratch = views.storage.scratch(projector.projection)
    try:
        with progress(f"verifying {name}") as report:
            return verify(projector, scratch, report)
    finally:
        scratch.close()


def print_verdicts(verdicts: Mapping[str, Verdict], *, as_json: bool) -> None:
    """Print what was compared, and each difference on a line of its own."""
    if as_json:
        print_json([_as_json(name, verdict) for name, verdict in verdicts.items()])
        return
    for name, verdict in verdicts.items():
        count = len(verdict.differences)
        found = f"{count} differences" if count else "equal to its log"
        print(f"{name}: {found} at position {verdict.position} ({verdict.rows} rows compared)")
        for each in verdict.differences:
            print(f"{name}: {_line(each)}")


def _line(difference: Difference) -> str:
    words = _WORDS.get(difference.what) or f"{_plain(difference.field or '')} differs"
    return f"table {difference.table}, key {_plain(difference.key)}: {words}"


def _plain(text: str) -> str:
    """Return a text that cannot do anything to a terminal."""
    return text if text.isprintable() else json.dumps(text)


def _as_json(name: str, verdict: Verdict) -> dict[str, Any]:
    return {
        "name": name,
        "position": verdict.position,
        "rows": verdict.rows,
        "differences": [
            {"what": each.what, "table": each.table, "key": each.key, "field": each.field}
            for each in verdict.differences
        ],
    }
