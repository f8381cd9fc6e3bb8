"""Whether the process is alive. Touches nothing, needs no token."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import falcon


class Health:
    """GET /healthz."""

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Answer that this worker takes requests."""
        resp.media = {"status": "ok"}
