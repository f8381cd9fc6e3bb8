"""`postwatch monitor`: its commands, and what operators ask the checkers to do."""

from __future__ import annotations

import click

from cli.inspect.history import show_history
from cli.inspect.monitors import dialogue, list_monitors, show
from cli.manage.monitor_changes import add, delete, set_fields
from cli.terminal.arguments import parse_public_id
from cli.terminal.help import examples
from cli.terminal.output import print_line
from cli.terminal.session import operator_session
from domain.clock import iso_milliseconds

_EXAMPLE_ID = "01935c5e-7a4b-7c39-9d2f-0123456789ab"


@click.group()
def monitor() -> None:
    """List, show, add, change and delete monitors, and have one checked now."""


for _command in (list_monitors, show, dialogue, add, set_fields, delete):
    monitor.add_command(_command)


@monitor.command(epilog=examples(f"postwatch monitor history {_EXAMPLE_ID}"))
@click.argument("public_id")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def history(public_id: str, *, as_json: bool) -> None:
    """Show who changed the monitor PUBLIC_ID, as `postwatch history` does."""
    show_history(public_id, as_json=as_json)


@monitor.command("check-now", epilog=examples(f"postwatch monitor check-now {_EXAMPLE_ID}"))
@click.argument("public_id")
def check_now(public_id: str) -> None:
    """Have the monitor PUBLIC_ID checked at once, at every location that checks it.

    A disabled monitor is checked once. A request within ten seconds of the last one is the same
    request.
    """
    with operator_session() as opened:
        request = opened.store.monitoring.requests.check_now(
            parse_public_id(public_id), opened.actor
        )
    print_line(f"check of monitor {public_id} requested at {iso_milliseconds(request.timestamp)}")


@monitor.command("retry-login", epilog=examples(f"postwatch monitor retry-login {_EXAMPLE_ID}"))
@click.argument("public_id")
def retry_login(public_id: str) -> None:
    """Have the login of the monitor PUBLIC_ID tried again at once, and the monitor checked.

    For a login that is postponed because the server refused it, as the warning
    `login_postponed` of its checks says. It ends that for all monitors of this customer with the
    same user.
    """
    with operator_session() as opened:
        request = opened.store.monitoring.requests.retry_login(
            parse_public_id(public_id), opened.actor
        )
    print_line(
        f"login of monitor {public_id} is tried again, from {iso_milliseconds(request.timestamp)}"
    )
