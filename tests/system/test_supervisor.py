"""Which exit statuses of a part end the service, and after which ones it is restarted."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING

import pytest
import trio

from service.errors import CommandError, ExitCode
from service.supervision import Part, supervise

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = pytest.mark.system

FAILS_AFTER = """
import sys, time
print("started", file=open(sys.argv[1], "a"))
time.sleep(float(sys.argv[2]))
sys.exit(3)
"""


def part(path: Path, seconds: float) -> Part:
    return Part("part", [sys.executable, "-c", FAILS_AFTER, str(path), str(seconds)])


async def test_a_part_that_cannot_start_ends_everything(tmp_path: Path) -> None:
    with trio.fail_after(30), pytest.raises(CommandError, match="part could not start") as error:
        await supervise([part(tmp_path / "starts", 0)], lambda: None)

    assert error.value.code == ExitCode.STORE_UNUSABLE


async def test_a_part_that_fails_later_is_started_again(tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            supervised = partial(supervise, [part(starts, 0.3)], lambda: None, start_seconds=0.2)
            nursery.start_soon(supervised)
            while not starts.exists() or len(starts.read_text().splitlines()) < 2:  # noqa: ASYNC110 - a file
                await trio.sleep(0.02)
            nursery.cancel_scope.cancel()
