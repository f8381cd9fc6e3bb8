"""`postwatch check`: one probe now, without a store, for people and for other schedulers.

It follows the interface of monitoring plugins: a first line that begins with the verdict,
and exit code 0, 1, 2 or 3. Three parts: the options become a target and a prober, the
outcome becomes a report, the command joins them. A wrong option is a click.UsageError,
which never shows a password. Texts of a server are printed literally, never as markup.
"""

from __future__ import annotations

import sys
import traceback
from contextlib import contextmanager
from datetime import datetime
from enum import IntEnum
from functools import partial
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypedDict, Unpack

import click
import trio
from rich.table import Table
from rich.text import Text
from typing_extensions import override

from cli.terminal.help import examples, exit_codes
from cli.terminal.output import console, print_json, print_line
from domain.check import Category
from domain.clock import utc_now
from domain.errors import InvalidValueError
from domain.kinds import KIND_OF_PROTOCOL, MAX_CREDENTIAL_LENGTH
from domain.values import parse_hostname
from mail.net.certificates import duration_words
from mail.net.own_name import find_own_name, parse_ehlo_name
from mail.prober import Prober
from mail.protocols import PROTOCOLS
from mail.protocols.target import ProbeTarget
from mail.transcript import Trace
from service.visible_text import visible

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from domain.check import Outcome, TlsFacts
    from domain.kinds import TlsMode
    from mail.protocols.target import ProtocolName

    TableRow = tuple[str, Text]


EVERYWHERE: Final = ("0.0.0.0/0", "::/0")
"""The operator chose the address: the network policy is for monitors that others create."""


class CheckOptions(TypedDict):
    """The values of the options, by their names."""

    protocol: ProtocolName
    host: str
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


def target_of(options: CheckOptions) -> ProbeTarget:
    """Return the target of the probe, with its password. Raises click.UsageError."""
    tls = _tls_mode(options)
    _refuse_half_logins(options)
    path = options["password_file"]
    try:
        return ProbeTarget(
            protocol=options["protocol"],
            hostname=options["host"],
            port=options["port"] or PROTOCOLS[options["protocol"]].default_port(tls),
            tls=tls,
            timeout_seconds=options["timeout"],
            verify_certificate=not options["no_verify"],
            user=options["user"],
            password=_read_password(path) if path is not None else None,
            mailbox=options["mailbox"],
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def _tls_mode(options: CheckOptions) -> TlsMode:
    """Return when to encrypt. --secure satisfies --require-tls, so both may be given."""
    protocol = options["protocol"]
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


def _refuse_half_logins(options: CheckOptions) -> None:
    has_user, has_password = bool(options["user"]), options["password_file"] is not None
    if has_user != has_password:
        missing = "--password-file" if has_user else "--user"
        raise click.UsageError(f"a login needs both --user and --password-file; add {missing}")
    if options["mailbox"] is not None and not PROTOCOLS[options["protocol"]].has_mailbox:
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


_BAR_CHARACTERS: Final = 24
_MARKS: Final[Mapping[str, str]] = {"client": ">", "server": "<", "note": "*"}
_SIDE_STYLES: Final[Mapping[str, str]] = {"client": "cyan", "server": "", "note": "dim"}


def as_json(outcome: Outcome, trace: Trace | None) -> dict[str, Any]:
    """Return an outcome as JSON-native values, with its trace if there is one.

    Programs read these keys: they stay as they are, unlike the camelCase of other commands.
    """
    found = outcome.as_json()
    if trace is not None:
        found["trace"] = [
            {"elapsed_ms": line.elapsed_ms, "side": line.side, "text": line.text}
            for line in trace.lines
        ]
    return found


def print_report(
    target: ProbeTarget, outcome: Outcome, trace: Trace | None, urgent: Collection[str]
) -> None:
    """Print the verdict line and the table below it.

    `urgent` are the codes of warnings that need action.
    """
    out = console()
    sections = _sections(outcome, trace, with_bars=out.is_terminal)
    with out.capture() as captured:
        out.print(_verdict_line(target, outcome, urgent), soft_wrap=True)
        out.print()
        out.print(_table(sections))
    text = captured.get()
    if not out.is_terminal:
        # Without the blanks that fill the cells of a table: in a file or a mail they are noise.
        text = "".join(f"{line.rstrip()}\n" for line in text.splitlines())
    sys.stdout.write(text)


def _verdict_line(target: ProbeTarget, outcome: Outcome, urgent: Collection[str]) -> Text:
    host = f"[{target.hostname}]" if ":" in target.hostname else target.hostname
    server = visible(f"{target.protocol} {host}:{target.port}")
    total = f"{outcome.timings_ms['total']:.1f} ms"
    if not outcome.is_up:
        where = f" ({outcome.phase})" if outcome.phase else ""
        reason = visible(f"{outcome.category}{where}: {outcome.message}")
        return Text.assemble(("DOWN", "bold red"), f": {server} {reason}, {total}")
    facts = [total, *(_tls_in_short(outcome.tls) if outcome.tls else ("no TLS",))]
    codes = [each.code for each in outcome.warnings]
    to_act_on = ", ".join(code for code in codes if code in urgent)
    to_note = ", ".join(code for code in codes if code not in urgent)
    return Text.assemble(
        ("UP", "bold yellow" if to_act_on else "bold green"),
        f": {server} can be used, {', '.join(facts)}",
        f"; act on: {to_act_on}" if to_act_on else "",
        f"; note: {to_note}" if to_note else "",
    )


def _tls_in_short(facts: TlsFacts) -> tuple[str, ...]:
    if facts.verdict is not Category.OK:
        return facts.version, "certificate not verified"
    return facts.version, f"certificate valid for {_days(facts.days_left)}"


def _sections(
    outcome: Outcome, trace: Trace | None, *, with_bars: bool
) -> Mapping[str, list[TableRow]]:
    sections = {
        "phases": list(_phases(outcome, with_bars=with_bars)),
        "tls": list(_tls(outcome.tls)) if outcome.tls else [],
        "warnings": [(each.code, Text(visible(each.message))) for each in outcome.warnings],
        "server": list(_server(outcome)),
    }
    if trace is not None:
        sections["trace"] = [
            (
                f"{line.elapsed_ms:.1f} ms",
                Text(f"{_MARKS[line.side]} {visible(line.text)}", _SIDE_STYLES[line.side]),
            )
            for line in trace.lines
        ]
    return sections


def _table(sections: Mapping[str, list[TableRow]]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for title, rows in sections.items():
        for number, (name, value) in enumerate(rows):
            table.add_row(title if number == 0 else "", Text(name), value)
    return table


def _phases(outcome: Outcome, *, with_bars: bool) -> Iterator[TableRow]:
    timings = dict(outcome.timings_ms)
    total = timings.pop("total")
    failed = outcome.phase.value if outcome.phase else None
    for phase, milliseconds in timings.items():
        value = Text(f"{milliseconds:8.1f} ms")
        if with_bars and total > 0:
            value.append(f"  {'━' * round(_BAR_CHARACTERS * milliseconds / total)}", "blue")
        if phase == failed:
            value.append("  failed here", "red")
        yield phase, value
    if failed is not None and failed not in timings:
        yield failed, Text(f"{'-':>8}     failed here", "red")
    yield "total", Text(f"{total:8.1f} ms", "bold")


def _tls(facts: TlsFacts) -> Iterator[TableRow]:
    is_good = facts.verdict is Category.OK
    yield "version", Text(facts.version)
    yield "cipher", Text(facts.cipher)
    yield "subject", Text(visible(facts.subject))
    yield "issuer", Text(visible(facts.issuer))
    yield "names", Text(visible(", ".join(facts.names)) or "none")
    yield "expires", Text(f"{facts.not_after[:16].replace('T', ' ')} UTC, {_left(facts.not_after)}")
    chain = "ok" if is_good else f"{facts.verdict}: {facts.verify_message} ({facts.verify_code})"
    yield "chain", Text(visible(chain), "green" if is_good else "red")


def _left(not_after: str) -> str:
    seconds = (datetime.fromisoformat(not_after) - utc_now()).total_seconds()
    return f"{duration_words(seconds)} left" if seconds >= 0 else f"{duration_words(-seconds)} ago"


def _days(number: int) -> str:
    return "1 day" if number == 1 else f"{number} days"


def _server(outcome: Outcome) -> Iterator[TableRow]:
    if outcome.address is not None:
        yield "address", Text(visible(outcome.address))
    if outcome.server_reply is not None:
        yield "said", Text(visible(outcome.server_reply))


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


def _hostname(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    try:
        return parse_hostname(value)
    except InvalidValueError as error:
        hint = {"port": "; give it with --port", "user": "; give it with --user"}
        raise click.BadParameter(error.message + hint.get(error.code, "")) from None


@click.command(
    cls=PluginCommand,
    epilog=examples(
        "postwatch check smtp smtp.example.com --port 587 --require-tls",
        "postwatch check imap mail.example.com --tls --user alice --password-file secret.txt",
    )
    + exit_codes(
        "0  up",
        "1  up, with a warning to act on: cert_expires_soon, password_in_clear, preauth",
        "   (other warnings are shown and stay 0: plaintext, quit_timeout, quit_unclean,",
        "   and a bad certificate under --no-verify)",
        "2  down",
        "3  no verdict: wrong arguments, unreadable file, an error of this command",
    ),
)
@click.argument("protocol", type=click.Choice(tuple(PROTOCOLS)))
@click.argument("host", callback=_hostname)
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

    No store is needed. The command may contact every address. With --allow-network it
    refuses addresses that the checker would refuse for a monitor.
    """
    target = target_of(options)
    trace = Trace() if options["trace"] else None
    outcome = trio.run(partial(prober_of(options).probe, target, trace=trace))
    _tolerate_encoding()
    if options["json"]:
        print_json(as_json(outcome, trace))
    else:
        print_report(target, outcome, trace, URGENT_WARNINGS)
    ctx.exit(_status(outcome))


def _status(outcome: Outcome) -> PluginStatus:
    if not outcome.is_up:
        return PluginStatus.DOWN
    needs_action = URGENT_WARNINGS.intersection(each.code for each in outcome.warnings)
    return PluginStatus.WARNING if needs_action else PluginStatus.UP


def _tolerate_encoding() -> None:
    """Escape characters that the terminal cannot show, instead of failing."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
