"""`postwatch demo`: mail servers, a Postwatch that watches them, and a live table."""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

import click
from rich.console import Group
from rich.live import Live
from rich.text import Text

from cli.demo.monitors import demo_monitors
from cli.demo.results import DemoResult, read_results, results_table
from cli.demo.servers import DemoUnavailableError, demo_servers
from cli.demo.service import running_service
from cli.terminal.help import examples
from cli.terminal.output import console, print_json, print_line
from domain.clock import utc_now
from projections.catalog import Views
from service.errors import CommandError, ExitCode, exit_on_failure
from service.signals import StopSignals
from store.store import open_store

if TYPE_CHECKING:
    from rich.console import RenderableType

    from cli.demo.monitors import DemoMonitor
    from cli.demo.service import DemoService
    from projections.readers.monitors import MonitorReader


FIRST_CHECKS_SECONDS: Final = 60.0
"""How long `--once` waits until every monitor was checked."""

_REFRESH_SECONDS: Final = 0.5
_POLL_SECONDS: Final = 0.05


@click.command(epilog=examples("postwatch demo", "POSTWATCH_BIND=127.0.0.1:8025 postwatch demo"))
@click.option("--once", is_flag=True, help="End when every monitor was checked once.")
@click.option("--json", "as_json", is_flag=True, help="With --once: print one JSON object.")
def demo(*, once: bool, as_json: bool) -> None:
    """Watch real mail servers on this machine, healthy and broken, until Ctrl-C.

    The demo starts mail servers and a Postwatch in a temporary folder, creates a monitor for
    each server by the REST API, and shows the result of each check. The API listens on
    POSTWATCH_BIND, by default on any free port of 127.0.0.1. At the end everything is
    stopped and removed. The demo needs more packages: pip install 'postwatch[demo]'.
    """
    if as_json and not once:
        raise click.UsageError("--json needs --once")
    try:
        with exit_on_failure(), StopSignals() as signals, ExitStack() as stack:
            print_line("Starting mail servers and Postwatch ...", error=True)
            running = _start(stack)
            with signals.may_interrupt():
                if once:
                    _show(running.first_results(), as_json=as_json)
                else:
                    print(next_steps(running.service), flush=True)
                    running.show_until_stopped()
    except KeyboardInterrupt:
        print_line("The demo is stopped, its data removed.", error=True)
        sys.exit(ExitCode.FAILED if once else ExitCode.OK)


def _start(stack: ExitStack) -> DemoScreen:
    """Start everything; the stack stops and removes it at the end."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="postwatch-demo-")))
    try:
        servers = stack.enter_context(demo_servers(folder))
    except DemoUnavailableError as error:
        raise CommandError(ExitCode.FAILED, str(error)) from None
    service = stack.enter_context(running_service(folder, servers.ca_file))
    monitors = {service.create(each): each for each in demo_monitors(servers)}
    store = stack.enter_context(open_store(service.data))
    views = stack.enter_context(Views(store))
    return DemoScreen(service, views.reader, monitors)


def next_steps(service: DemoService) -> str:
    """Return what a newcomer can try while the demo runs."""
    return f"""
API: {service.api}   (in a browser: {service.api}/docs)
admin token: {service.token}

Try in another terminal:
  API={service.api}
  TOKEN={service.token}
  curl -H "Authorization: Bearer $TOKEN" $API/api/smtp-monitors
  curl -H "Authorization: Bearer $TOKEN" $API/api/events
"""


def _show(results: list[DemoResult], *, as_json: bool) -> None:
    if as_json:
        print_json({"monitors": [each.as_json() for each in results]})
    else:
        out = console()
        out.print(results_table(results, utc_now(), out.width))


class DemoScreen:
    """Shows the results of a running demo."""

    def __init__(
        self, service: DemoService, reader: MonitorReader, monitors: dict[str, DemoMonitor]
    ) -> None:
        self.service = service
        self._reader = reader
        self._monitors = monitors
        self._pause = threading.Event()

    def first_results(self, seconds: float = FIRST_CHECKS_SECONDS) -> list[DemoResult]:
        """Return the results once every monitor was checked. Raises CommandError after so long."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            results = self._results()
            if all(each.checks for each in results):
                return results
            self._pause.wait(_POLL_SECONDS)
        raise CommandError(ExitCode.FAILED, f"not every monitor was checked within {seconds:g} s")

    def show_until_stopped(self) -> NoReturn:
        """Show the table until a signal ends it."""
        out = console()
        with Live(console=out, auto_refresh=False) as live:
            while True:
                live.update(self._screen(out.width), refresh=True)
                self._pause.wait(_REFRESH_SECONDS)

    def _results(self) -> list[DemoResult]:
        self.service.require_running()
        return read_results(self._reader, self._monitors)

    def _screen(self, width: int) -> RenderableType:
        return Group(
            results_table(self._results(), utc_now(), width),
            Text(f"\nAPI: {self.service.api}   Ctrl-C ends the demo", "dim"),
        )
