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

from cli.demo.findings import findings_table, read_findings
from cli.demo.monitors import demo_monitors
from cli.demo.servers import DemoUnavailableError, demo_servers
from cli.demo.service import running_service
from cli.demo.stop_signals import StopSignals
from cli.exit_codes import ExitCode
from cli.failure import CommandError, exit_on_failure
from cli.tables import console, print_json
from domain.clock import utc_now
from domain.store import open_store
from projections.views import Views

if TYPE_CHECKING:
    from rich.console import RenderableType

    from cli.demo.findings import Finding
    from cli.demo.monitors import DemoMonitor
    from cli.demo.service import Service
    from projections.reader import Reader

FIRST_CHECKS_SECONDS: Final = 60.0
_REFRESH_SECONDS: Final = 0.5
_LOOK_SECONDS: Final = 0.05


@click.command()
@click.option("--once", is_flag=True, help="End when every monitor was checked once.")
@click.option("--json", "as_json", is_flag=True, help="With --once: print one JSON object.")
def demo(*, once: bool, as_json: bool) -> None:
    """Watch real mail servers on this machine, healthy and broken, until Ctrl-C.

    Starts the servers and a Postwatch in a temporary folder, creates a monitor for each
    through the REST API, and shows what the checks find. Everything is stopped and
    removed at the end. Needs the extra packages: pip install 'postwatch[demo]'.
    """
    if as_json and not once:
        raise click.UsageError("--json needs --once")
    try:
        with exit_on_failure(), StopSignals() as signals, ExitStack() as stack:
            print("Starting mail servers and Postwatch ...", file=sys.stderr)
            watch = _start(stack)
            with signals.may_interrupt():
                if once:
                    _show(watch.first_findings(), as_json=as_json)
                else:
                    watch.show_until_stopped()
    except KeyboardInterrupt:
        print("The demo is stopped, its data removed.", file=sys.stderr)
        sys.exit(ExitCode.FAILED if once else ExitCode.OK)


def _start(stack: ExitStack) -> Watch:
    """Start everything; the stack stops and removes it again."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="postwatch-demo-")))
    try:
        servers = stack.enter_context(demo_servers(folder))
    except DemoUnavailableError as error:
        raise CommandError(ExitCode.FAILED, str(error)) from None
    service = stack.enter_context(running_service(folder, servers.ca_file))
    monitors = {service.create(each): each for each in demo_monitors(servers)}
    store = stack.enter_context(open_store(service.data))
    views = stack.enter_context(Views(store))
    return Watch(service, views.reader, monitors)


def _show(findings: list[Finding], *, as_json: bool) -> None:
    if as_json:
        print_json({"monitors": [each.as_json() for each in findings]})
    else:
        out = console()
        out.print(findings_table(findings, utc_now(), out.width))


class Watch:
    """A running demo and the view of its checks."""

    def __init__(self, service: Service, reader: Reader, monitors: dict[str, DemoMonitor]) -> None:
        self._service = service
        self._reader = reader
        self._monitors = monitors
        self._pause = threading.Event()

    def first_findings(self, seconds: float = FIRST_CHECKS_SECONDS) -> list[Finding]:
        """Wait until every monitor was checked. Raises CommandError after so long."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            findings = self._findings()
            if all(each.checks for each in findings):
                return findings
            self._pause.wait(_LOOK_SECONDS)
        raise CommandError(ExitCode.FAILED, f"not every monitor was checked within {seconds:g} s")

    def show_until_stopped(self) -> NoReturn:
        """Show the table until a signal ends it."""
        out = console()
        with Live(console=out, auto_refresh=False) as live:
            while True:
                live.update(self._screen(out.width), refresh=True)
                self._pause.wait(_REFRESH_SECONDS)

    def _findings(self) -> list[Finding]:
        self._service.require_running()
        return read_findings(self._reader, self._monitors)

    def _screen(self, width: int) -> RenderableType:
        return Group(
            findings_table(self._findings(), utc_now(), width),
            Text(f"\nAPI: {self._service.api}   Ctrl-C ends the demo", "dim"),
        )
