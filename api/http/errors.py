"""Errors as the documented body: from Falcon's errors and from the domain's, in a table."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import falcon
import orjson

from api.http.log_throttle import SELDOM
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
from store.ports.errors import STORE_UNAVAILABLE, is_disk_full, is_logged
from store.proof.merkle import NotInTreeError

if TYPE_CHECKING:
    from collections.abc import Iterable


log = logging.getLogger("postwatch.api")

STATUS_OF: Final[dict[type[DomainError], HTTPStatus]] = {
    InvalidInputError: HTTPStatus.BAD_REQUEST,
    NotFoundError: HTTPStatus.NOT_FOUND,
    ConflictError: HTTPStatus.CONFLICT,
    StaleVersionError: HTTPStatus.PRECONDITION_FAILED,
    NotInTreeError: HTTPStatus.NOT_FOUND,
    ViewUnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
}
"""Anything else that the domain raises in a request is a fault of ours: 500."""

VIEW_AWAY: Final = (
    "What is shown must first be built from the log, which `postwatch projections run` (a part "
    "of `postwatch up`) does; nothing was changed, try again"
)
VIEW_AWAY_SECONDS: Final = 2
_ARCHIVE_UNREADABLE: Final = "Archived checks cannot be read; the log of the service says which"
_MAX_MESSAGE: Final = 1000

RETRY_SECONDS: Final = 5
"""When a client may look again whether the store is back."""


def register(app: falcon.App[falcon.Request, falcon.Response]) -> None:
    """Make every error of the app answer with the documented body."""
    app.set_error_serializer(_serialize)
    app.add_error_handler(DomainError, _handle_domain_error)
    app.add_error_handler(Exception, _handle_fault)
    store_away = _StoreAway()
    for away in STORE_UNAVAILABLE:
        app.add_error_handler(away, store_away.handle)


def invalid(problems: Iterable[Problem]) -> InvalidInputError:
    """Return the error for wrong fields of a request."""
    return InvalidInputError(tuple(problems))


def phrase(status: int) -> str:
    """Return the words of a status line: Falcon's, because Python's differ by version."""
    line: str = falcon.code_to_http_status(status)
    return line.partition(" ")[2]


def _serialize(req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError) -> None:
    status = HTTPStatus(falcon.http_status_to_code(error.status))
    _answer(req, resp, status, error.description or status.phrase)


def _handle_domain_error(
    req: falcon.Request, resp: falcon.Response, error: Exception, params: dict[str, object]
) -> None:
    status = STATUS_OF.get(type(error)) if isinstance(error, DomainError) else None
    if isinstance(error, ArchiveError):
        # Its text names a file and positions, no stored data.
        log.error("request %s failed: %s", req.context.request_id, error)
        _answer(req, resp, HTTPStatus.INTERNAL_SERVER_ERROR, _ARCHIVE_UNREADABLE)
    elif status is None:
        _handle_fault(req, resp, error, params)
    elif isinstance(error, ViewUnavailableError):
        resp.set_header("Retry-After", str(VIEW_AWAY_SECONDS))
        _answer(req, resp, status, VIEW_AWAY)
    elif isinstance(error, InvalidInputError):
        _answer(req, resp, status, _summary(error.problems), error.problems)
    else:
        _answer(req, resp, status, str(error))


def _handle_fault(
    req: falcon.Request, resp: falcon.Response, error: Exception, _params: dict[str, object]
) -> None:
    """Answer 500. The log gets where it happened, never the text: it may hold event data."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    place = f"{frame.tb_frame.f_code.co_filename}:{frame.tb_lineno}" if frame else "unknown place"
    log.error("request %s failed: %s at %s", req.context.request_id, type(error).__name__, place)
    _answer(req, resp, HTTPStatus.INTERNAL_SERVER_ERROR, "Something went wrong here, not with you")


class _StoreAway:
    """Tells clients that the store is away, and the log not for each of them."""

    def handle(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        error: Exception,
        _params: dict[str, object],
    ) -> None:
        """Answer 503: the store takes nothing now, or the answer got lost: no acknowledgement."""
        why = "has no room left on its disk" if is_disk_full(error) else "cannot be used just now"
        # An outage stands in the log once as an error; what comes of it is none of its own.
        level = logging.WARNING if is_logged(error) else logging.ERROR
        SELDOM.tell(
            *(level, self, "request %s failed: the store %s"),
            *(req.context.request_id, why),
        )
        resp.set_header("Retry-After", str(RETRY_SECONDS))
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
    body: dict[str, object] = {
        "statusCode": status.value,
        "statusMessage": phrase(status),
        "message": message,
        "requestId": req.context.request_id,
    }
    if problems:
        body["errors"] = [
            {"path": each.path, "code": each.code, "message": each.message} for each in problems
        ]
    resp.status = falcon.code_to_http_status(status.value)
    resp.content_type = falcon.MEDIA_JSON
    resp.data = orjson.dumps(body)
