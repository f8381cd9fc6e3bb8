"""`postwatch up`: all parts on one machine, as supervised processes with one log stream."""

from __future__ import annotations

import os
import socket
import ssl
import sys
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Final

import click
import orjson
import trio

from cli.run.init import FirstStart, set_up
from cli.terminal.help import examples, exit_codes
from cli.terminal.output import print_line
from service import logging
from service.errors import exit_on_failure
from service.listening import refuse_address_in_use
from service.opening import hold_part, wait_for_database
from service.settings import Settings
from service.supervised_part import (
    exit_with_supervisor,
    postwatch_command,
    supervised_option,
)
from service.supervision import Part, supervise
from store.files.data_folder import DataFolder
from store.files.file_locks import FileLocks

if TYPE_CHECKING:
    from collections.abc import Callable


READY_SECONDS: Final = 60
_RETRY_SECONDS: Final = 0.05
_HEALTH_REQUEST: Final = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@click.command(
    epilog=examples("POSTWATCH_DATA=/var/lib/postwatch POSTWATCH_BIND=127.0.0.1:8025 postwatch up")
    + exit_codes(
        "3  the store cannot be used",
        "5  `postwatch up` already runs on this data folder",
        "6  the address is in use",
        "7  settings are wrong",
    )
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object when ready.")
@supervised_option
def up(*, as_json: bool, supervised_by: int | None) -> None:
    """Run API, projections, checker and alerting on this machine until Ctrl-C or SIGTERM.

    The first start creates an organization, a customer and an admin token, and prints the
    token once. A part that ends is started again.
    """
    with exit_on_failure():
        settings = Settings.from_env()
        logging.configure(settings.log_level, settings.log_format)
        exit_with_supervisor(supervised_by)
        folder = DataFolder(settings.data)
        folder.make(folder.locks)
        with hold_part(FileLocks(folder.locks), "up"):
            refuse_address_in_use(settings)
            first = wait_for_database(lambda: set_up(settings))
            trio.run(supervise, _parts(), _announcer(settings, first, as_json=as_json))


def _parts() -> list[Part]:
    mine = ("--supervised-by", str(os.getpid()))
    return [
        Part("api", postwatch_command("api", *mine)),
        Part("projections", postwatch_command("projections", "run", *mine)),
        Part("checker", postwatch_command("checker", *mine)),
        Part("alerting", postwatch_command("alerting", *mine)),
    ]


def _announcer(settings: Settings, first: FirstStart, *, as_json: bool) -> Callable[[], None]:
    def announce() -> None:
        if not _answers(settings):
            print_line(
                "postwatch: the API does not answer yet; see the log lines above", error=True
            )
        if as_json:
            _print_object(settings, first)
        else:
            _print_welcome(settings, first)
        sys.stdout.flush()

    return announce


def _print_object(settings: Settings, first: FirstStart) -> None:
    ready = {
        "api": settings.base_url,
        "adminToken": first.admin_token,
        "data": str(settings.data),
        "pid": os.getpid(),
    }
    print_line(orjson.dumps(ready).decode())


def _print_welcome(settings: Settings, first: FirstStart) -> None:
    print_line(f"api: {settings.base_url}")
    if first.admin_token is None:
        print_line("another token: postwatch token create --name NAME --role admin")
        return
    print_line(f"admin token: {first.admin_token}")
    print_line("The token is shown this once. Watch a first server with:")
    print(
        f"""
  curl -X POST {settings.base_url}/api/smtp-monitors \\
    -H 'Authorization: Bearer {first.admin_token}' \\
    -H 'Content-Type: application/json' \\
    -d '{{"customerId": 1, "name": "Our mail", "hostname": "smtp.example.com"}}'
"""
    )


def _answers(settings: Settings) -> bool:
    """Wait until the API answers its health check; return whether it did."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        with suppress(OSError):
            if _is_healthy(settings):
                return True
        time.sleep(_RETRY_SECONDS)
    return False


def _is_healthy(settings: Settings) -> bool:
    # By a socket: the import of http.client would take CPU from the starting parts.
    with ExitStack() as stack:
        address = settings.local_host, settings.port
        connection = stack.enter_context(socket.create_connection(address, timeout=1))
        if settings.tls_cert is not None:
            # Not verified: the certificate names no loopback address, and nothing secret is sent.
            context = ssl._create_unverified_context()  # noqa: S323, SLF001 - as the line above says
            connection = stack.enter_context(context.wrap_socket(connection))
        connection.sendall(_HEALTH_REQUEST)
        return connection.makefile("rb").readline().split(b" ")[1:2] == [b"200"]
