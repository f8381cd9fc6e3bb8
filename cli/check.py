"""`postwatch check`: one probe now, without a store, for people and for other schedulers.

Speaks the language of monitoring plugins: a first line that begins with the verdict, and
exit status 0, 1, 2 or 3.
"""

from __future__ import annotations

import sys
import traceback
from contextlib import contextmanager
from enum import IntEnum
from functools import partial
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Unpack, get_args

import click
import trio

from checker.target import Protocol
from checker.trace import Trace
from cli.check_report import as_json, print_report
from cli.check_target import Options, prober_of, target_of
from cli.tables import print_json
from domain.errors import InvalidValueError
from domain.hostname import parse_hostname

if TYPE_CHECKING:
    from collections.abc import Iterator

    from domain.outcome import Outcome

LOOK_AT: Final = frozenset({"cert_expires_soon", "password_in_clear", "preauth"})
"""Warnings that somebody should act on, although the server can be used today."""

DEFAULT_TIMEOUT_SECONDS: Final = 10.0
MAX_TIMEOUT_SECONDS: Final = 600.0


class Status(IntEnum):
    """The exit status, as monitoring plugins use it."""

    UP = 0
    WARNING = 1
    DOWN = 2
    UNKNOWN = 3


class PluginCommand(click.Command):
    """A command that never ends with 1 or 2 unless it judged a server."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:  # noqa: ANN401 - click's
        """Read the arguments."""
        with _unknown_on_failure():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's signature
        """Run the command."""
        with _unknown_on_failure():
            return super().invoke(ctx)


@contextmanager
def _unknown_on_failure() -> Iterator[None]:
    """Leave with UNKNOWN when no verdict was found: a scheduler takes 1 and 2 for verdicts."""
    try:
        yield
    except click.ClickException as error:
        error.show()
        raise click.exceptions.Exit(Status.UNKNOWN) from None
    except click.exceptions.Exit:
        raise
    except (click.Abort, KeyboardInterrupt):
        print("postwatch: stopped before there was a verdict", file=sys.stderr)
        raise click.exceptions.Exit(Status.UNKNOWN) from None
    except Exception:  # noqa: BLE001 - a bug of ours; shown whole, and no verdict on a server
        traceback.print_exc()
        raise click.exceptions.Exit(Status.UNKNOWN) from None


class _CommaSeparated(click.types.StringParamType):
    """An option that may be repeated, and whose environment variable is a list with commas."""

    envvar_list_splitter = ","


def _hostname(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    try:
        return parse_hostname(value)
    except InvalidValueError as error:
        hint = {"port": "; give it with --port", "user": "; give it with --user"}
        raise click.BadParameter(error.message + hint.get(error.code, "")) from None


@click.command(cls=PluginCommand)
@click.argument("protocol", type=click.Choice(get_args(Protocol)))
@click.argument("host", callback=_hostname)
@click.option("--port", type=click.IntRange(1, 65535), help="Default: the protocol's own.")
@click.option("--secure", "--tls", is_flag=True, help="TLS from the first byte.")
@click.option("--require-tls", is_flag=True, help="No TLS is a failure.")
@click.option("--ignore-tls", is_flag=True, help="Stay in clear, whatever is offered.")
@click.option(
    "--starttls",
    type=click.Choice(["never", "auto", "require"]),
    help="For IMAP and POP3. Default here: auto, STARTTLS when offered (a monitor's: never).",
)
@click.option("--user", metavar="USER", help="Log in as this user.")
@click.option("--password-file", metavar="FILE", help="Where the password stands; - is stdin.")
@click.option("--mailbox", metavar="NAME", help="Then open it read-only (POP3: its only one).")
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=click.FloatRange(0, MAX_TIMEOUT_SECONDS, min_open=True),
    default=DEFAULT_TIMEOUT_SECONDS,
    show_default=True,
    help="For the whole probe.",
)
@click.option("--no-verify", is_flag=True, help="A bad certificate is a warning only.")
@click.option(
    "--ca-file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    envvar="POSTWATCH_CA_FILE",
    show_envvar=True,
    help="The CAs to trust, as PEM. Default: the system's.",
)
@click.option(
    "--resolver",
    metavar="ADDRESS[:PORT]",
    type=_CommaSeparated(),
    multiple=True,
    envvar="POSTWATCH_RESOLVERS",
    show_envvar=True,
    help="Name server to ask; repeatable. Default: the system's.",
)
@click.option(
    "--allow-network",
    metavar="CIDR",
    multiple=True,
    help="Judge the address as the service does, with this network allowed; repeatable.",
)
@click.option("--json", is_flag=True, help="Print one JSON object.")
@click.option("--trace", is_flag=True, help="Show the dialogue, passwords masked.")
@click.pass_context
def check(ctx: click.Context, /, **options: Unpack[Options]) -> None:
    """Contact a mail server once and say whether a client could use it.

    No store is needed. Every address may be contacted: the network policy protects the
    service from those who create monitors, not the operator from a command given on
    purpose. With --allow-network the policy is applied as the checker applies it.

    \b
    Exit status, as monitoring plugins have it:
      0  up
      1  up, with a warning to act on: cert_expires_soon, password_in_clear, preauth
         (other warnings are shown and stay 0: plaintext, quit_timeout, quit_unclean,
         and a bad certificate under --no-verify)
      2  down
      3  no verdict: wrong arguments, unreadable file, an error of this command
    """  # noqa: D301 - \b is click's mark for a paragraph to leave as it is
    target = target_of(options)
    trace = Trace() if options["trace"] else None
    outcome = trio.run(partial(prober_of(options).probe, target, trace=trace))
    _tolerate_encoding()
    if options["json"]:
        print_json(as_json(outcome, trace))
    else:
        print_report(target, outcome, trace, LOOK_AT)
    ctx.exit(_status(outcome))


def _status(outcome: Outcome) -> Status:
    if not outcome.is_up:
        return Status.DOWN
    needs_action = LOOK_AT.intersection(each.code for each in outcome.warnings)
    return Status.WARNING if needs_action else Status.UP


def _tolerate_encoding() -> None:
    """A server's words must not end this command where the terminal cannot show them."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
