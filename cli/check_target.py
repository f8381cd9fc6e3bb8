"""What `postwatch check` was asked for, turned into a target and a prober.

Every refusal is a click.UsageError: a sentence that says what is wrong and what to do. None
shows a password.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final, Literal, TypedDict

import click

from checker.probe import Prober
from checker.target import ProbeTarget, default_port
from domain.mail_config import MAX_CREDENTIAL_LENGTH

if TYPE_CHECKING:
    from pathlib import Path

    from checker.target import Protocol, TlsMode

EVERYWHERE: Final = ("0.0.0.0/0", "::/0")
"""The operator asks for this one address: the policy protects the service, not from them."""


class Options(TypedDict):
    """What was asked for, by the names of the options."""

    protocol: Protocol
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
    resolver: tuple[str, ...]
    allow_network: tuple[str, ...]
    json: bool
    trace: bool


def prober_of(options: Options) -> Prober:
    """Return what probes. Raises click.UsageError."""
    try:
        return Prober.from_settings(
            options["allow_network"] or EVERYWHERE, options["resolver"], options["ca_file"]
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def target_of(options: Options) -> ProbeTarget:
    """Return what to probe. Reads the password. Raises click.UsageError."""
    tls = _tls_mode(options)
    _refuse_half_logins(options)
    path = options["password_file"]
    try:
        return ProbeTarget(
            protocol=options["protocol"],
            hostname=options["host"],
            port=options["port"] or default_port(options["protocol"], tls),
            tls=tls,
            timeout_seconds=options["timeout"],
            verify_certificate=not options["no_verify"],
            user=options["user"],
            password=_read_password(path) if path is not None else None,
            mailbox=options["mailbox"],
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def _tls_mode(options: Options) -> TlsMode:
    """Return when to encrypt. TLS from the first byte is what --require-tls wants, and more."""
    if options["starttls"] is not None and options["protocol"] == "smtp":
        raise click.UsageError("--starttls is for imap and pop3; use --require-tls or --ignore-tls")
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


def _refuse_half_logins(options: Options) -> None:
    has_user, has_password = bool(options["user"]), options["password_file"] is not None
    if has_user != has_password:
        missing = "--password-file" if has_user else "--user"
        raise click.UsageError(f"a login needs both --user and --password-file; add {missing}")
    if options["mailbox"] is not None and options["protocol"] == "smtp":
        raise click.UsageError("--mailbox is for imap and pop3")
    if options["mailbox"] is not None and not has_user:
        raise click.UsageError("--mailbox needs a login; add --user and --password-file")


def _read_password(path: str) -> str:
    """Return the password from a file, or from stdin for `-`, without its last line end."""
    if path == "-" and sys.stdin.isatty():
        return str(click.prompt("Password", hide_input=True, err=True))
    try:
        with click.open_file(path, "rb") as file:
            # Four bytes a character at most, and one byte to see that there is more.
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
