"""Error handlers: each error that a request may raise becomes a status and the documented body.

Falcon calls the handler of the nearest base class of an error. An error without a handler
of its own is a fault of the service: 500.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import falcon
import falcon.asgi
import orjson

from api.http.log_throttle import LOG_THROTTLE
from domain.errors import (
    ArchiveError,
    ConflictError,
    DomainError,
    InvalidInputError,
    NotFoundError,
    Problem,
    StaleVersionError,
)
from projections.core.table import ViewUnavailableError
from projections.storage.view_connection import ViewDamagedError
from store.ports.errors import STORE_UNAVAILABLE, is_disk_full, is_logged
from store.proof.merkle import NotInTreeError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable


log = logging.getLogger("postwatch.api")

STATUS_OF: Final[dict[type[DomainError], HTTPStatus]] = {
    NotFoundError: HTTPStatus.NOT_FOUND,
    ConflictError: HTTPStatus.CONFLICT,
    StaleVersionError: HTTPStatus.PRECONDITION_FAILED,
    NotInTreeError: HTTPStatus.NOT_FOUND,
}
"""Errors that are answered with their own text."""

VIEW_UNAVAILABLE: Final = (
    "What is shown must first be built from the log, which `postwatch projections run` (a part "
    "of `postwatch up`) does; nothing was changed, try again"
)
VIEW_DAMAGED: Final = (
    "A file of what is shown is damaged, and the log of the service names it; nothing that was "
    "acknowledged is lost"
)
VIEW_RETRY_SECONDS: Final = 2
_ARCHIVE_UNREADABLE: Final = "Archived checks cannot be read; the log of the service says which"
_MAX_MESSAGE: Final = 1000

STORE_RETRY_SECONDS: Final = 5
"""When a client may try again after the store was unavailable."""


def register(app: falcon.asgi.App[falcon.asgi.Request, falcon.asgi.Response]) -> None:
    """Make every error of the app answer with the documented body."""
    app.set_error_serializer(_serialize)
    app.add_error_handler(Exception, _handle_fault)
    for error_class, status in STATUS_OF.items():
        app.add_error_handler(error_class, _refusal_handler(status))
    app.add_error_handler(InvalidInputError, _handle_invalid_input)
    app.add_error_handler(ViewUnavailableError, _handle_unavailable_view)
    app.add_error_handler(ViewDamagedError, _handle_damaged_view)
    app.add_error_handler(ArchiveError, _handle_unreadable_archive)
    store_handler = _StoreUnavailableHandler()
    for unavailable in STORE_UNAVAILABLE:
        app.add_error_handler(unavailable, store_handler.handle)


class InvalidParameterError(falcon.HTTPBadRequest):
    """A parameter of the path or the query, or a header, is wrong. Answered with 400.

    `text` is the documented sentence of the whole answer where there is one.
    """

    def __init__(self, name: str, message: str, *, code: str = "invalid", text: str = "") -> None:
        super().__init__(description=text or f"Invalid {name}: {message}")
        self.problems = (Problem(name, code, message),)


def invalid(problems: Iterable[Problem]) -> InvalidInputError:
    """Return the error for wrong fields of a request."""
    return InvalidInputError(tuple(problems))


def phrase(status: int) -> str:
    """Return the words of a status line: Falcon's, because Python's differ by version."""
    line: str = falcon.code_to_http_status(status)
    return line.partition(" ")[2]


def _serialize(req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError) -> None:
    status = HTTPStatus(falcon.http_status_to_code(error.status))
    problems = error.problems if isinstance(error, InvalidParameterError) else ()
    _answer(req, resp, status, error.description or status.phrase, problems)


def _refusal_handler(status: HTTPStatus) -> Callable[..., Awaitable[None]]:
    """Return the handler of errors that are answered with their own text."""

    async def handle(
        req: falcon.Request, resp: falcon.Response, error: Exception, _params: dict[str, object]
    ) -> None:
        _answer(req, resp, status, str(error))

    return handle


async def _handle_invalid_input(
    req: falcon.Request,
    resp: falcon.Response,
    error: InvalidInputError,
    _params: dict[str, object],
) -> None:
    _answer(req, resp, HTTPStatus.BAD_REQUEST, _summary(error.problems), error.problems)


async def _handle_unavailable_view(
    req: falcon.Request,
    resp: falcon.Response,
    _error: ViewUnavailableError,
    _params: dict[str, object],
) -> None:
    resp.set_header("Retry-After", str(VIEW_RETRY_SECONDS))
    _answer(req, resp, HTTPStatus.SERVICE_UNAVAILABLE, VIEW_UNAVAILABLE)


async def _handle_damaged_view(
    req: falcon.Request,
    resp: falcon.Response,
    error: ViewDamagedError,
    _params: dict[str, object],
) -> None:
    LOG_THROTTLE.log(
        logging.ERROR, ViewDamagedError, "request %s failed: %s", req.context.request_id, error
    )
    resp.set_header("Retry-After", str(STORE_RETRY_SECONDS))
    _answer(req, resp, HTTPStatus.SERVICE_UNAVAILABLE, VIEW_DAMAGED)


async def _handle_unreadable_archive(
    req: falcon.Request, resp: falcon.Response, error: ArchiveError, _params: dict[str, object]
) -> None:
    # The text names a file and positions, and no stored data.
    log.error("request %s failed: %s", req.context.request_id, error)
    _answer(req, resp, HTTPStatus.INTERNAL_SERVER_ERROR, _ARCHIVE_UNREADABLE)


async def _handle_fault(
    req: falcon.Request, resp: falcon.Response, error: Exception, _params: dict[str, object]
) -> None:
    """Answer 500. The log gets where it happened, never the text: it may hold event data."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    place = f"{frame.tb_frame.f_code.co_filename}:{frame.tb_lineno}" if frame else "unknown place"
    log.error("request %s failed: %s at %s", req.context.request_id, type(error).__name__, place)
    _answer(req, resp, HTTPStatus.INTERNAL_SERVER_ERROR, "Something went wrong here, not with you")


class _StoreUnavailableHandler:
    """Answers 503 to each request that meets an unavailable store, and throttles the log."""

    async def handle(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        error: Exception,
        _params: dict[str, object],
    ) -> None:
        """Answer 503: the change was not recorded, or its acknowledgement was lost."""
        why = "has no room left on its disk" if is_disk_full(error) else "cannot be used just now"
        # The log has one error for an outage; the requests that fail in it are warnings.
        level = logging.WARNING if is_logged(error) else logging.ERROR
        request_id = req.context.request_id
        LOG_THROTTLE.log(level, self, "request %s failed: the store %s", request_id, why)
        resp.set_header("Retry-After", str(STORE_RETRY_SECONDS))
        message = f"The store {why}; nothing was acknowledged, try again later"
        _answer(req, resp, HTTPStatus.SERVICE_UNAVAILABLE, message)


def _summary(problems: tuple[Problem, ...]) -> str:
    if len(problems) == 1 and not problems[0].path:
        return problems[0].message
    text = "Validation failed: " + "; ".join(
        f"'{each.path}' {each.message}" if each.path else each.message for each in problems
    )
    return text[:_MAX_MESSAGE]


def _answer(
    req: falcon.Request,
    resp: falcon.Response,
    status: HTTPStatus,
    message: str,
    problems: tuple[Problem, ...] = (),
) -> None:
    resp.status = falcon.code_to_http_status(status.value)
    resp.content_type = falcon.MEDIA_JSON
    resp.data = error_body(status.value, message, req.context.request_id, problems)


def error_body(
    status: int, message: str, request_id: str, problems: tuple[Problem, ...] = ()
) -> bytes:
    """Return the documented body of an error."""
    body: dict[str, object] = {
        "statusCode": status,
        "statusMessage": phrase(status),
        "message": message,
        "requestId": request_id,
    }
    if problems:
        body["errors"] = [
            {"path": each.path, "code": each.code, "message": each.message} for each in problems
        ]
    return orjson.dumps(body)
