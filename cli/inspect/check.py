"""`postwatch check`: one server now, without a store, for people and for other schedulers.

It follows the interface of monitoring plugins: a first line that begins with the verdict,
and exit code 0, 1, 2 or 3. The options become a target and a prober, the outcome becomes a
report (`check_report`), the command joins them. A wrong option is a click.UsageError, which
never shows a password.
"""

from __future__ import annotations

import sys
import traceback
from contextlib import contextmanager
from enum import IntEnum
from functools import partial
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypedDict, Unpack

import click
import trio
from typing_extensions import override

from cli.inspect.check_host import print_ports, probe_ports
from cli.inspect.check_report import as_json, print_report
from cli.terminal.help import examples, exit_codes
from cli.terminal.output import print_json, print_line
from domain.errors import InvalidValueError
from domain.kinds import KIND_OF_PROTOCOL, MAX_CREDENTIAL_LENGTH
from domain.values import parse_hostname
from mail.net.own_name import find_own_name, parse_ehlo_name
from mail.prober import Prober
from mail.protocols import PROTOCOLS
from mail.protocols.target import ProbeTarget
from mail.transcript import Trace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from domain.check import Outcome
    from domain.kinds import TlsMode
    from mail.protocols.target import ProtocolName


EVERYWHERE: Final = ("0.0.0.0/0", "::/0")
"""The operator chose the address: the network policy is for monitors that others create."""


class CheckOptions(TypedDict):
    """The values of the options, by their names."""

    server: tuple[ProtocolName | None, str]
    port: int | None
    secure: bool
    require_tls: bool
    ignore_tls: bool
    starttls: Literal["never", "auto", "require"] | None
    user: str | None
    password_file: str | None
    mailbox: str | None
    timeout: float
    no_verify: bool
    ca_file: Path | None
    ehlo_name: str | None
    resolver: tuple[str, ...]
    allow_network: tuple[str, ...]
    json: bool
    trace: bool


def prober_of(options: CheckOptions) -> Prober:
    """Return the prober for the options. Raises click.UsageError."""
    try:
        return Prober.from_settings(
            options["allow_network"] or EVERYWHERE,
            options["resolver"],
            options["ca_file"],
            _ehlo_name(options["ehlo_name"]),
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def _ehlo_name(given: str | None) -> str | None:
    return find_own_name() if given is None else parse_ehlo_name(given)


def target_of(protocol: ProtocolName, host: str, options: CheckOptions) -> ProbeTarget:
    """Return the target of the probe, with its password. Raises click.UsageError."""
    tls = _tls_mode(protocol, options)
    _refuse_half_logins(protocol, options)
    path = options["password_file"]
    try:
        return ProbeTarget(
            protocol=protocol,
            hostname=host,
            port=options["port"] or PROTOCOLS[protocol].default_port(tls),
            tls=tls,
            timeout_seconds=options["timeout"],
            verify_certificate=not options["no_verify"],
            user=options["user"],
            password=_read_password(path) if path is not None else None,
            mailbox=options["mailbox"],
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def _tls_mode(protocol: ProtocolName, options: CheckOptions) -> TlsMode:
    """Return when to encrypt. --secure satisfies --require-tls, so both may be given."""
    if options["starttls"] is not None and "startTls" not in KIND_OF_PROTOCOL[protocol].config:
        raise click.UsageError(
            f"--starttls is not for {protocol}; use --require-tls or --ignore-tls"
        )
    asked: dict[str, TlsMode] = {}
    if options["secure"]:
        asked["--secure"] = "implicit"
    if options["require_tls"] and not options["secure"]:
        asked["--require-tls"] = "require"
    if options["ignore_tls"]:
        asked["--ignore-tls"] = "never"
    if options["starttls"] is not None:
        asked[f"--starttls {options['starttls']}"] = options["starttls"]
    if len(set(asked.values())) > 1:
        raise click.UsageError(f"{' and '.join(asked)} contradict each other; give one of them")
    return next(iter(asked.values()), "auto")


def _refuse_half_logins(protocol: ProtocolName, options: CheckOptions) -> None:
    has_user, has_password = bool(options["user"]), options["password_file"] is not None
    if has_user != has_password:
        missing = "--password-file" if has_user else "--user"
        raise click.UsageError(f"a login needs both --user and --password-file; add {missing}")
    if options["mailbox"] is not None and not PROTOCOLS[protocol].has_mailbox:
        names = " and ".join(name for name, each in PROTOCOLS.items() if each.has_mailbox)
        raise click.UsageError(f"--mailbox is for {names}")
    if options["mailbox"] is not None and not has_user:
        raise click.UsageError("--mailbox needs a login; add --user and --password-file")


def _read_password(path: str) -> str:
    """Return the password from a file, or from stdin for `-`, without a final line end."""
    if path == "-" and sys.stdin.isatty():
        return str(click.prompt("Password", hide_input=True, err=True))
    try:
        with click.open_file(path, "rb") as file:
            # Four bytes a character at most, a line end, and one byte to see that there is more.
            words: bytes = file.read(4 * MAX_CREDENTIAL_LENGTH + 3)
        password = words.decode("utf-8")
    except OSError as error:
        raise click.UsageError(
            f"--password-file: cannot read {path}: {error.strerror}; name a readable file that "
            "holds the password, or - to give it on stdin"
        ) from None
    except UnicodeDecodeError:
        raise click.UsageError(f"--password-file: {path} is not UTF-8 text") from None
    password = password.removesuffix("\n").removesuffix("\r")
    if not password:
        raise click.UsageError(f"--password-file: {path} holds no password")
    if len(password) > MAX_CREDENTIAL_LENGTH:
        raise click.UsageError(
            f"--password-file: {path} holds more than {MAX_CREDENTIAL_LENGTH} characters"
        )
    return password


URGENT_WARNINGS: Final = frozenset({"cert_expires_soon", "password_in_clear", "preauth"})
"""Codes of warnings that need action, although the server can be used today."""

DEFAULT_TIMEOUT_SECONDS: Final = 10.0
MAX_TIMEOUT_SECONDS: Final = 600.0


class PluginStatus(IntEnum):
    """The exit code, as monitoring plugins use it."""

    UP = 0
    WARNING = 1
    DOWN = 2
    UNKNOWN = 3


class PluginCommand(click.Command):
    """A command whose exit codes 1 and 2 are always verdicts on a server."""

    @override
    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        with _unknown_on_failure():
            return super().make_context(*args, **kwargs)

    @override
    def invoke(self, ctx: click.Context) -> Any:
        with _unknown_on_failure():
            return super().invoke(ctx)


@contextmanager
def _unknown_on_failure() -> Iterator[None]:
    """End with UNKNOWN when there is no verdict: a scheduler takes 1 and 2 for verdicts."""
    try:
        yield
    except click.ClickException as error:
        error.show()
        raise click.exceptions.Exit(PluginStatus.UNKNOWN) from None
    except click.exceptions.Exit:
        raise
    except (click.Abort, KeyboardInterrupt):
        print_line("postwatch: stopped before there was a verdict", error=True)
        raise click.exceptions.Exit(PluginStatus.UNKNOWN) from None
    except Exception:  # noqa: BLE001 - a bug of ours, printed with its traceback, is no verdict
        traceback.print_exc()
        raise click.exceptions.Exit(PluginStatus.UNKNOWN) from None


class _CommaSeparated(click.types.StringParamType):
    """An option that may be repeated, and whose environment variable is a list with commas."""

    envvar_list_splitter = ","


_PROTOCOL: Final = click.Choice(tuple(PROTOCOLS))
_OF_ONE_PROTOCOL: Final = (
    "port",
    "secure",
    "require_tls",
    "ignore_tls",
    "starttls",
    "user",
    "password_file",
    "mailbox",
    "trace",
)
"""Options that have no meaning for all ports of a host."""


def _protocol_and_host(
    ctx: click.Context, param: click.Parameter, value: tuple[str, ...]
) -> tuple[ProtocolName | None, str]:
    """Return the protocol, None for all, and the host."""
    if len(value) == 1 and value[0] in PROTOCOLS:
        raise click.MissingParameter(ctx=ctx, param=param, param_hint="'HOST'")
    if len(value) > _MOST_ARGUMENTS:
        raise click.UsageError(f"one protocol and one host, not {len(value)} arguments")
    protocol = _PROTOCOL.convert(value[0], param, ctx) if len(value) == _MOST_ARGUMENTS else None
    try:
        return protocol, parse_hostname(value[-1])
    except InvalidValueError as error:
        hint = {"port": "; give it with --port", "user": "; give it with --user"}
        raise click.BadParameter(error.message + hint.get(error.code, "")) from None


_MOST_ARGUMENTS: Final = 2


def _refuse_options_of_one_protocol(ctx: click.Context) -> None:
    for name in _OF_ONE_PROTOCOL:
        if ctx.params[name]:
            option = f"--{name.replace('_', '-')}"
            raise click.UsageError(
                f"{option} is for one protocol: postwatch check PROTOCOL HOST {option} ..."
            )


@click.command(
    cls=PluginCommand,
    epilog=examples(
        "postwatch check mail.example.com",
        "postwatch check smtp smtp.example.com --port 587 --require-tls",
        "postwatch check imap mail.example.com --tls --user alice --password-file secret.txt",
    )
    + exit_codes(
        "0  up",
        "1  up, with a warning to act on: cert_expires_soon, password_in_clear, preauth",
        "   (other warnings are shown and stay 0: plaintext, quit_timeout, quit_unclean,",
        "   and a bad certificate under --no-verify)",
        "2  down; of a host without a protocol: a port that answers is down, or none answers",
        "3  no verdict: wrong arguments, unreadable file, an error of this command",
    ),
)
@click.argument(
    "server", metavar="[PROTOCOL] HOST", nargs=-1, required=True, callback=_protocol_and_host
)
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    help="Default: the port of the protocol, with or without TLS.",
)
@click.option(
    "--secure", "--tls", is_flag=True, help="Use TLS from the first byte (ports 465, 993, 995)."
)
@click.option("--require-tls", is_flag=True, help="Fail unless the connection is encrypted.")
@click.option(
    "--ignore-tls", is_flag=True, help="Never encrypt, even if the server offers STARTTLS."
)
@click.option(
    "--starttls",
    type=click.Choice(["never", "auto", "require"]),
    help="STARTTLS, not for SMTP. auto: when offered. Default: auto (of monitors: never).",
)
@click.option("--user", metavar="USER", help="Log in as this user; needs --password-file.")
@click.option("--password-file", metavar="FILE", help="File with the password; - reads stdin.")
@click.option(
    "--mailbox",
    metavar="NAME",
    help="Open this mailbox read-only after the login (POP3 has INBOX only).",
)
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=click.FloatRange(0, MAX_TIMEOUT_SECONDS, min_open=True),
    default=DEFAULT_TIMEOUT_SECONDS,
    show_default=True,
    help="Time limit of the whole probe, in seconds (up to 600).",
)
@click.option("--no-verify", is_flag=True, help="Treat a bad certificate as a warning.")
@click.option(
    "--ca-file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    envvar="POSTWATCH_CA_FILE",
    show_envvar=True,
    help="File of trusted CAs, as PEM. Default: those of the system.",
)
@click.option(
    "--ehlo-name",
    metavar="NAME",
    envvar="POSTWATCH_EHLO_NAME",
    show_envvar=True,
    help="What the probe says in EHLO. Default: the name of this host, if qualified.",
)
@click.option(
    "--resolver",
    metavar="ADDRESS[:PORT]",
    type=_CommaSeparated(),
    multiple=True,
    envvar="POSTWATCH_RESOLVERS",
    show_envvar=True,
    help="Name server; repeatable. Default: those of the system.",
)
@click.option(
    "--allow-network",
    metavar="CIDR",
    multiple=True,
    help="Apply the network policy of the checker, with this network allowed; repeatable.",
)
@click.option("--json", is_flag=True, help="Print one JSON object.")
@click.option(
    "--trace", is_flag=True, help="Also show the dialogue with the server, passwords masked."
)
@click.pass_context
def check(ctx: click.Context, /, **options: Unpack[CheckOptions]) -> None:
    """Contact a mail server once and report whether a client could use it.

    PROTOCOL is smtp, imap, pop3 or managesieve. Without it the ports 25, 465, 587, 143, 993,
    110, 995 and 4190 are tried at the same time, without a login, and shown in one table.

    No store is needed. The command may contact every address. With --allow-network it
    refuses addresses that the checker would refuse for a monitor.
    """
    protocol, host = options["server"]
    if protocol is None:
        _refuse_options_of_one_protocol(ctx)
        ctx.exit(_check_host(host, options))
    target = target_of(protocol, host, options)
    trace = Trace() if options["trace"] else None
    outcome = trio.run(partial(prober_of(options).probe, target, trace=trace))
    _tolerate_encoding()
    if options["json"]:
        print_json(as_json(outcome, trace))
    else:
        print_report(target, outcome, trace, URGENT_WARNINGS)
    ctx.exit(_status(outcome))


def _check_host(host: str, options: CheckOptions) -> PluginStatus:
    found = trio.run(
        partial(
            probe_ports,
            prober_of(options),
            host,
            timeout_seconds=options["timeout"],
            verify_certificate=not options["no_verify"],
        )
    )
    _tolerate_encoding()
    print_ports(host, found, URGENT_WARNINGS, as_json=options["json"])
    return max((_status(each.outcome) for each in found if each.is_open), default=PluginStatus.DOWN)


def _status(outcome: Outcome) -> PluginStatus:
    if not outcome.is_up:
        return PluginStatus.DOWN
    needs_action = URGENT_WARNINGS.intersection(each.code for each in outcome.warnings)
    return PluginStatus.WARNING if needs_action else PluginStatus.UP


def _tolerate_encoding() -> None:
    """Escape characters that the terminal cannot show, instead of failing."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
