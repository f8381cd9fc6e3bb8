"""Streams that are read slowly: they hold no thread, and leave room for other tokens."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from typing import TYPE_CHECKING, Any

import falcon
import pytest

from api.http.execution import Execution
from api.http.permissions import Principal
from api.http.response import MAX_STREAMS, MAX_STREAMS_OF_TOKEN, Streams

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.api.world import World

PIECES = (b"one\n", b"two\n")
NDJSON = {"Accept": "application/x-ndjson"}


def principal(token: str) -> Principal:
    return Principal(token, "Reader", "admin", "organization", None)


def pieces() -> Iterator[bytes]:
    yield from PIECES


@contextlib.contextmanager
def begun(streams: Streams, token: str) -> Iterator[Any]:
    """Begin a stream; the end of the block ends it."""
    stream: Any = streams.stream(principal(token), pieces())
    try:
        yield stream
    finally:
        asyncio.run(stream.close())


def make() -> Streams:
    return Streams(Execution(reads_wait=False))


async def read(stream: Any) -> list[bytes]:  # noqa: ANN401 - what Falcon iterates over
    return [each async for each in stream]


def test_one_token_takes_only_its_share() -> None:
    streams = make()
    with contextlib.ExitStack() as stack:
        for _ in range(MAX_STREAMS_OF_TOKEN):
            stack.enter_context(begun(streams, "greedy"))
        with pytest.raises(falcon.HTTPServiceUnavailable), begun(streams, "greedy"):
            pass
        other = stack.enter_context(begun(streams, "other"))
        assert asyncio.run(read(other)) == list(PIECES)
    with begun(streams, "greedy"):
        pass


def test_a_worker_writes_so_many_streams_and_no_more() -> None:
    streams = make()
    with contextlib.ExitStack() as stack:
        for number in range(MAX_STREAMS):
            stack.enter_context(begun(streams, f"token {number}"))
        with pytest.raises(falcon.HTTPServiceUnavailable), begun(streams, "one more"):
            pass


def test_a_stream_that_nobody_closes_makes_room_too() -> None:
    streams = make()
    for _ in range(MAX_STREAMS_OF_TOKEN + 1):
        assert streams.stream(principal("forgetful"), pieces()) is not None
        gc.collect()


def test_a_stream_gives_all_entries(fresh_world: World) -> None:
    fresh_world.monitor()
    answer = fresh_world.admin.send("GET", "/api/events", "", NDJSON)
    pages = fresh_world.admin.get("/api/events").json

    assert answer.status_code == 200
    assert answer.text.count("\n") == len(pages["items"])
