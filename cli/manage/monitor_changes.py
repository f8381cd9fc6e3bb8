"""`postwatch monitor add`, `set` and `delete`: changes by an operator, by the rules of the API."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import click
import orjson

from cli.terminal.arguments import parse_public_id
from cli.terminal.help import examples
from cli.terminal.output import print_json, print_line
from cli.terminal.session import OperatorSession, operator_session
from domain.commands import CreateMonitor, UpdateMonitor
from domain.errors import InvalidInputError
from domain.kinds import KINDS
from service.errors import CommandError, ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO

    from domain.monitor import Monitor
    from projections.readers.monitors import MonitorRecords


_EXAMPLE_ID: Final = "01935c5e-7a4b-7c39-9d2f-0123456789ab"
_CLEARED: Final = (
    "port",
    "notificationEmail",
    "notificationPhoneNumber",
    "allowedCheckCountryCodes",
    "config",
)
_OPTIONS: Final = (
    click.option("--port", type=int, help="Default: the port of the protocol."),
    click.option("--status", "status", help="active, maintenance or disabled."),
    click.option("--check-interval", "checkInterval", type=float, help="Minutes between checks."),
    click.option("--timeout-seconds", "timeoutSeconds", type=float, help="Bounds a whole check."),
    click.option("--notification-email", "notificationEmail", help="Who hears of incidents."),
    click.option("--notification-phone-number", "notificationPhoneNumber", help="The same."),
    click.option(
        "--countries",
        "allowedCheckCountryCodes",
        metavar="CODES",
        help="Only locations in these countries check it: codes with commas.",
    ),
    click.option(
        "--config",
        type=click.File("rb"),
        help="A JSON file with its config, passwords too; - is the standard input.",
    ),
    click.option("--json", "as_json", is_flag=True, help="Print one JSON object."),
)


def _with_options(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.command(
    epilog=examples(
        'postwatch monitor add smtp "Outbound" smtp.example.com --customer 1 --port 587',
        'postwatch monitor add imap_pop "Mailbox" imap.example.com --customer 1 --config -',
    )
)
@click.argument("kind", type=click.Choice(list(KINDS)), metavar="TYPE")
@click.argument("name")
@click.argument("hostname")
@click.option("--customer", required=True, metavar="ID", help="Its number or public id.")
@_with_options
def add(kind: str, customer: str, *, as_json: bool, **given: Any) -> None:  # noqa: ANN401 - options
    """Watch the server HOSTNAME by a monitor called NAME; TYPE is smtp or imap_pop.

    A password is never an argument: it is in the file of --config.
    """
    # Imported here: other commands of the group start without the models of bodies.
    from api.resources.monitor_body import parse_create  # noqa: PLC0415 - as said above

    of_kind = KINDS[kind].name
    with operator_session("monitors") as opened:
        owner = opened.customer(customer)
        with _naming_problems():
            fields = parse_create(of_kind, {**_body(given), "customerId": owner["number"]})
            fields["customer_id"] = UUID(owner["public_id"])
            command = CreateMonitor(
                kind=of_kind, organization_id=UUID(owner["organization_id"]), **fields
            )
            made = opened.store.monitoring.create_monitor(command, opened.actor)
        opened.catch_up()
    _print(made, "added", as_json=as_json)


@click.command(
    "set", epilog=examples(f"postwatch monitor set {_EXAMPLE_ID} --status maintenance --clear port")
)
@click.argument("public_id")
@click.option("--name", help="Another name.")
@click.option("--hostname", help="Another server.")
@click.option("--clear", multiple=True, type=click.Choice(_CLEARED), help="Remove the value.")
@_with_options
def set_fields(public_id: str, clear: tuple[str, ...], *, as_json: bool, **given: Any) -> None:  # noqa: ANN401 - options
    """Change the monitor PUBLIC_ID; what no option names stays as it is.

    A config replaces the whole one, but for a password that it leaves out or masks.
    """
    from api.resources.monitor_body import parse_update  # noqa: PLC0415 - as in `add`

    body = {**_body(given), **dict.fromkeys(clear)}
    if not body:
        raise click.UsageError("name something to change")
    with operator_session("monitors", "checks") as opened:
        before = _find(opened, public_id)
        with _naming_problems():
            changes = parse_update(before.monitor["kind"], body, before)
            command = UpdateMonitor(UUID(before.monitor["public_id"]), changes)
            made = opened.store.monitoring.update_monitor(command, opened.actor)
        opened.catch_up()
    changed = made.version > before.monitor["version"]
    _print(made, "changed" if changed else "is so already", as_json=as_json)


@click.command(epilog=examples(f"postwatch monitor delete {_EXAMPLE_ID} --yes"))
@click.argument("public_id")
@click.option("--yes", is_flag=True, help="Do not ask.")
def delete(public_id: str, *, yes: bool) -> None:
    """Delete the monitor PUBLIC_ID; its password is destroyed, its history stays."""
    with operator_session("monitors", "checks") as opened:
        found = _find(opened, public_id).monitor
        if not yes:
            click.confirm(f"Delete the monitor {found['name']!r}?", abort=True, err=True)
        opened.store.monitoring.delete_monitor(UUID(found["public_id"]), opened.actor)
        opened.catch_up()
    print_line(f"monitor {found['public_id']} deleted")


def _body(given: dict[str, Any]) -> dict[str, Any]:
    """Return the body that a request with the same wish would have."""
    body = {key: value for key, value in given.items() if value is not None}
    if "allowedCheckCountryCodes" in body:
        body["allowedCheckCountryCodes"] = body["allowedCheckCountryCodes"].split(",")
    if "config" in body:
        body["config"] = _read_config(body["config"])
    return body


def _read_config(file: BinaryIO) -> Any:  # noqa: ANN401 - any JSON
    try:
        return orjson.loads(file.read())
    except orjson.JSONDecodeError:
        # Its text would show a part of the file.
        raise CommandError(ExitCode.USAGE, "--config: the file is no JSON") from None


@contextmanager
def _naming_problems() -> Iterator[None]:
    """Turn the problems of a body into one line that names each key; never a value."""
    try:
        yield
    except InvalidInputError as error:
        told = "; ".join(f"{each.path} {each.message}" for each in error.problems)
        raise CommandError(ExitCode.USAGE, told) from None


def _find(opened: OperatorSession, public_id: str) -> MonitorRecords:
    key = str(parse_public_id(public_id))
    ref = opened.reader.monitor_ref(key)
    found = opened.reader.monitor(ref.kind, key) if ref else None
    if found is None:
        raise CommandError(
            ExitCode.FAILED, f"there is no monitor {public_id}; see `postwatch monitor list`"
        )
    return found


def _print(made: Monitor, what: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"number": made.number, "publicId": str(made.id), "name": made.name})
    else:
        print_line(f"monitor {made.id} {what}: {made.name} ({made.hostname})")
