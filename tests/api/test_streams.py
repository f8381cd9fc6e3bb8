"""Streams that are read slowly: they end in time, and do not block other requests."""

from __future__ import annotations

import contextlib
import gc
import json
import socket
from typing import TYPE_CHECKING, Any

import pytest
from falcon.testing import create_environ
from gunicorn.config import Config

from api.http.response import MOST
from service.api_server import THREADS, RootLogger
from service.listening import SEND_TIMEOUT_SECONDS, set_send_timeout

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.api.world import World


_MORE_THAN_ANY_BUFFER = 1 << 26


def asked(world: World) -> dict[str, Any]:
    """Return the request for a stream, as a server hands it over."""
    token = f"Bearer {world.tokens['admin']}"
    headers = {"Authorization": token, "Accept": "application/x-ndjson"}
    return create_environ(path="/api/events", headers=headers)


@contextlib.contextmanager
def begun(world: World) -> Iterator[tuple[str, Any]]:
    """Ask for a stream and read nothing of it; give its status and body."""
    app: Any = world.app
    said: list[str] = []
    body = app(asked(world), lambda status, *_: said.append(status))
    try:
        yield said[0], body
    finally:
        if hasattr(body, "close"):
            body.close()


def test_slow_readers_leave_room(fresh_world: World) -> None:
    assert MOST < THREADS
    fresh_world.monitor()
    with contextlib.ExitStack() as stack:
        for _ in range(MOST):
            status, body = stack.enter_context(begun(fresh_world))
            assert status == "200 OK"
            assert next(body)
        with begun(fresh_world) as (status, refused):
            assert status == "503 Service Unavailable"
            message = json.loads(b"".join(refused))["message"]
            assert message.startswith("Too many streams are being read")
        assert fresh_world.admin.get("/api/events").status_code == 200, "pages go on"

    with begun(fresh_world) as (status, body):
        assert status == "200 OK"
        body.close()
        body.close()
    with contextlib.ExitStack() as stack:
        assert {stack.enter_context(begun(fresh_world))[0] for _ in range(MOST)} == {"200 OK"}


def test_a_stream_that_nobody_closes_makes_room_too(fresh_world: World) -> None:
    app: Any = fresh_world.app
    for _ in range(MOST + 1):
        assert next(app(asked(fresh_world), lambda *_: None))
        gc.collect()


def test_a_client_that_takes_nothing_is_let_go(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        set_send_timeout([listener], seconds=1)
        with socket.create_connection(listener.getsockname()), listener.accept()[0] as connection:
            with pytest.raises(BlockingIOError) as stalled:
                connection.sendall(bytes(_MORE_THAN_ANY_BUFFER))
            assert connection.gettimeout() is None

    logger = RootLogger(Config())
    try:
        raise stalled.value
    except BlockingIOError:
        logger.exception("Socket error processing request.")
    try:
        raise ConnectionAbortedError
    except OSError:
        logger.exception("Socket error processing request.")
    told, fault = caplog.records
    assert told.getMessage().startswith(
        f"a client read nothing for {SEND_TIMEOUT_SECONDS} s or more"
    )
    assert (told.levelname, told.exc_info) == ("WARNING", None)
    assert (fault.levelname, fault.exc_info is None) == ("ERROR", False)
