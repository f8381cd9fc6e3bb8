"""Operations: what a URL does for a method, and the adapter that runs them under ASGI.

A handler is a synchronous function `handler(req, resp, **path_parameters)`. The adapter reads
the body of a request before it calls the handler, which finds the bytes in `req.context.body`
(use `api.http.body.read_object`). The cost of the operation decides where the handler runs, so
a handler may wait for the store as long as it declares so.

To declare a resource, give a list of operations for each URL to `endpoint(execution, ...)`.
A resource class with methods `on_get`, `on_post` and so on is turned into operations by
`operations_of`; its methods are short reads (GET) or writes unless `@costs` says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from api.http.body import receive_body
from api.http.client_address import UNKNOWN
from api.http.execution import Cost, Execution

if TYPE_CHECKING:
    from collections.abc import Iterable

    import falcon
    import falcon.asgi

    from api.http.permissions import Action


Handler = Callable[..., None]
CostOf = Callable[["falcon.Request"], Cost]
"""The cost of one request, where it depends on what is asked for."""

_Method = TypeVar("_Method", bound=Handler)
_METHODS: Final = ("GET", "POST", "PATCH", "PUT", "DELETE")
_WITH_BODY: Final = frozenset({"POST", "PATCH", "PUT", "DELETE"})


@dataclass(frozen=True, slots=True)
class Operation:
    """What a URL does for a method.

    `action` is what the caller's role must allow, None for operations that need no token.
    `query` names the query parameters that it takes; None: it is not looked at.
    """

    method: str
    handler: Handler
    cost: Cost | CostOf
    action: Action | None = None
    query: frozenset[str] | None = None


def costs(cost: Cost | CostOf) -> Callable[[_Method], _Method]:
    """Declare the cost of a method `on_...` of a resource class."""

    def declare(method: _Method) -> _Method:
        method.cost = cost  # type: ignore[attr-defined] # functions take attributes
        return method

    return declare


def operations_of(resource: object, suffix: str | None = None) -> list[Operation]:
    """Return the operations of a resource class: its methods `on_<method>[_<suffix>]`."""
    found = []
    for method in _METHODS:
        name = f"on_{method.lower()}" + (f"_{suffix}" if suffix else "")
        handler: Handler | None = getattr(resource, name, None)
        if handler is not None:
            default = Cost.SHORT_READ if method == "GET" else Cost.WRITE
            cost = getattr(handler, "cost", default)
            found.append(Operation(method, handler, cost))
    return found


class Endpoint:
    """The operations of one URL as a resource of falcon.asgi. HEAD is answered wherever GET is."""

    def __init__(self, execution: Execution, operations: Iterable[Operation]) -> None:
        self.operations = {each.method: each for each in operations}
        if "GET" in self.operations:
            self.operations["HEAD"] = self.operations["GET"]
        for method, operation in self.operations.items():
            setattr(self, f"on_{method.lower()}", _responder(execution, operation))


def _responder(execution: Execution, operation: Operation) -> Any:  # noqa: ANN401 - Falcon looks at it
    """Return the coroutine function that answers an operation."""
    handler, cost = operation.handler, operation.cost
    has_body = operation.method in _WITH_BODY

    async def respond(
        req: falcon.asgi.Request, resp: falcon.asgi.Response, **parameters: str
    ) -> None:
        if has_body:
            req.context.body = await receive_body(req)
        now = cost if isinstance(cost, Cost) else cost(req)
        await execution.run(now, tenant_of(req), lambda: handler(req, resp, **parameters))

    return respond


def tenant_of(req: falcon.Request) -> str:
    """Return in whose turn the work of a request runs: the organization's, else the address's."""
    principal = getattr(req.context, "principal", None)
    client: str = getattr(req.context, "client", UNKNOWN)
    tenant: str = client if principal is None else principal.organization_id
    return tenant
