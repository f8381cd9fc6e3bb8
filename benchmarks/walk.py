"""Shows the path of one check or one POST through the code: each function called, by file.

    python -m benchmarks.walk [check] [post] [--calls]

A check is followed from its due time until it is recorded, on a store in files and against a
mail server on loopback; a POST creates a monitor, from the WSGI application to its answer.
Both were done once before, so what is done only once does not count. Prints how many calls
of our functions there were, in how many functions and files, and how many of the calls led
from one file to another; with `--calls` also each call, indented by its depth.

A coroutine or generator that goes on after a pause is not called anew. What runs beside a
check at all times (the search for new events, the watch on the loop and the clock) is left
out.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import trio
from falcon.testing import TestClient

from api.app import create_app
from benchmarks.checker_path import populate as add_monitors
from benchmarks.checker_path import prober_for, running_checker
from benchmarks.checker_stub import running_stub
from benchmarks.population import TOKEN
from checker.runtime.limits import Limits
from projections.catalog import Views
from store.store import create_store
from tests.mailservers.certificates import CertificateShop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType, FrameType

    from checker.runtime.metrics import CheckerMetrics
    from mail.prober import Prober
    from store.store import Store


ROOT: Final = Path(__file__).resolve().parent.parent
ROOMS: Final = ("domain", "mail", "store", "projections", "checker", "alerting", "api", "web")
BESIDE: Final = {"checker/loop/event_feed.py", "checker/schedule/wall_clock.py"}
"""Files whose functions run all the time, whether a check is made or not."""

INSTRUMENT: Final = "checker/runtime/loop_lag.py"
"""Its functions run in each pass of the loop, but also for a check."""

INTERVAL_SECONDS: Final = 1.0


class Call(NamedTuple):
    """A call of a function of Postwatch; `caller` is the file of Postwatch that it came from."""

    depth: int
    file: str
    function: str
    caller: str | None


@dataclass
class Walk:
    """Collects calls, in all threads that are started while it is installed."""

    is_open: bool = False
    calls: list[Call] = field(default_factory=list)
    _files: dict[str, str | None] = field(default_factory=dict)

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Listen to all calls; keep those that come while `is_open`."""
        threading.setprofile(self._on_event)
        sys.setprofile(self._on_event)
        try:
            yield
        finally:
            sys.setprofile(None)
            threading.setprofile(None)

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Keep the calls that come while the block runs."""
        self.is_open = True
        try:
            yield
        finally:
            self.is_open = False

    def _on_event(self, frame: FrameType, event: str, _: object) -> None:
        if event != "call" or not self.is_open or not _begins(frame):
            return
        file = self._file(frame.f_code)
        if file is None:
            return
        outer = [found for each in _callers(frame) if (found := self._file(each.f_code))]
        root = outer[-1] if outer else file
        if root != INSTRUMENT and BESIDE.isdisjoint([file, *outer]):
            caller = outer[0] if outer else None
            self.calls.append(Call(len(outer), file, frame.f_code.co_qualname, caller))

    def _file(self, code: CodeType) -> str | None:
        """Return the path of a file of Postwatch, None for any other one."""
        if code.co_filename not in self._files:
            path = Path(code.co_filename)
            name = str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else None
            is_ours = name is not None and name.partition("/")[0] in ROOMS
            self._files[code.co_filename] = name if is_ours else None
        return self._files[code.co_filename]


def _callers(frame: FrameType) -> Iterator[FrameType]:
    outer = frame.f_back
    while outer is not None:
        yield outer
        outer = outer.f_back


def _begins(frame: FrameType) -> bool:
    """Return whether a frame begins, rather than goes on after a pause.

    A frame that begins is at its RESUME instruction, whose argument says where it resumes.
    """
    return not frame.f_code.co_code[frame.f_lasti + 1] & 3


def walk_of_check() -> Walk:
    """Return the walk of one check that a checker makes by its schedule."""
    walk = Walk()
    with tempfile.TemporaryDirectory() as name, walk.installed():
        folder, shop = Path(name), CertificateShop()
        ca_file = folder / "ca.pem"
        ca_file.write_bytes(shop.ca_pem)
        with (
            running_stub(*shop.good.write(folder)) as ports,
            create_store(folder / "data") as store,
        ):
            add_monitors(
                store,
                count=1,
                check_interval=INTERVAL_SECONDS / 60,
                port=ports.smtp,
                config={"ignoreTls": True},
            )
            trio.run(_follow_check, walk, store, prober_for(ca_file))
    return walk


async def _follow_check(walk: Walk, store: Store, prober: Prober) -> None:
    async with running_checker(store, prober.probe, Limits()) as metrics:
        await _until_recorded(metrics, 2)
        with walk.opened():
            await _until_recorded(metrics, 3)


async def _until_recorded(metrics: CheckerMetrics, checks: int) -> None:
    while metrics.recorded < checks:  # noqa: ASYNC110 - a benchmark may poll
        await trio.sleep(0.01)


def walk_of_post() -> Walk:
    """Return the walk of one POST of a monitor."""
    walk = Walk()
    with (
        tempfile.TemporaryDirectory() as folder,
        create_store(Path(folder) / "data") as store,
        Views(store) as views,
    ):
        store.monitoring.set_up("Example Organization", "Example Customer", TOKEN)
        views.projector("monitors").catch_up()
        customer = views.reader.customer(1)
        body = {
            "customerId": str(customer and customer["public_id"]),
            "name": "Outbound SMTP",
            "hostname": "smtp.example.com",
        }
        client = TestClient(create_app(store, views), headers={"Authorization": f"Bearer {TOKEN}"})
        with walk.installed():
            for is_followed in (False, True):
                walk.is_open = is_followed
                answer = client.simulate_post("/api/smtp-monitors", json=body)
                walk.is_open = False
                if answer.status_code != HTTPStatus.CREATED:
                    raise RuntimeError(answer.text)
    return walk


def show(name: str, walk: Walk, *, has_calls: bool) -> None:
    """Print the figures of a walk, and its calls by file or one by one."""
    calls = walk.calls
    if has_calls:
        for each in calls:
            print(f"{'  ' * each.depth}{each.file} {each.function}")
    else:
        for file, count in sorted(Counter(each.file for each in calls).items()):
            print(f"  {count:4} {file}")
    functions = {(each.file, each.function) for each in calls}
    files = {each.file for each in calls}
    changes = sum(each.caller not in {None, each.file} for each in calls)
    print(
        f"{name}: {len(calls)} calls of {len(functions)} functions in {len(files)} files, "
        f"{changes} changes of file"
    )


def main() -> None:
    """Follow what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("walks", nargs="*", choices=[[], *WALKS], help="default: both")
    parser.add_argument("--calls", action="store_true", help="each call instead of the files")
    arguments = parser.parse_args()
    for name in arguments.walks or WALKS:
        show(name, WALKS[name](), has_calls=arguments.calls)


WALKS: Final = {"check": walk_of_check, "post": walk_of_post}

if __name__ == "__main__":
    main()
