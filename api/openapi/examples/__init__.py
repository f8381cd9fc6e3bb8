"""The examples of the documented pages, as data: a request, its answer, and the page.

Keys that Postwatch adds come after the documented ones, as in a real answer.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from api.http.fields import Schema


def example(name: str) -> dict[str, Any]:
    """Return `page` and `request` where there is one, and `response`."""
    found: dict[str, Any] = json.loads((Path(__file__).parent / f"{name}.json").read_bytes())
    return found


def shown(name: str, side: str) -> Schema:
    """Return the `examples` of a body or an answer, for one side of an example."""
    found = example(name)
    summary = {"summary": f"As {found['page']} shows it"} if "page" in found else {}
    return {name: {**summary, "value": found[side]}}
