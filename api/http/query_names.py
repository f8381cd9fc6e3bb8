"""The names of query parameters: an unknown one is refused, so that a typo has no silent effect."""

from __future__ import annotations

from typing import TYPE_CHECKING

from api.http.as_of import PARAMETER
from api.http.errors import InvalidParameterError, invalid
from domain.errors import Problem
from domain.suggestions import unknown_name

if TYPE_CHECKING:
    import falcon

    from api.http.operation import Operation


class RefuseUnknownParameters:
    """Falcon middleware that refuses a query parameter that the operation does not declare."""

    async def process_resource(
        self,
        req: falcon.Request,
        _resp: falcon.Response,
        resource: object,
        _params: dict[str, str],
    ) -> None:
        """Raise InvalidInputError that names every unknown parameter, and what it may mean."""
        if not req.query_string:
            return
        operations: dict[str, Operation] = getattr(resource, "operations", {})
        operation = operations.get(req.method)
        if operation is None or operation.query is None:
            return
        if PARAMETER in req.params and PARAMETER not in operation.query:
            raise InvalidParameterError(
                PARAMETER,
                "the past can be read of one monitor and of lists of monitors only",
                code="unknown",
            )
        known = sorted(operation.query)
        problems = [
            Problem(name, "unknown", unknown_name(name, known, "parameter"))
            for name in req.params
            if name not in operation.query
        ]
        if problems:
            raise invalid(problems)
