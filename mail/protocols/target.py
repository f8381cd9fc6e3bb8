"""The target of a probe: one server, and how to talk to it.

Knows nothing of monitors, schedules and sockets.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from domain.kinds import TlsMode


ProtocolName: TypeAlias = str
"""A key of `mail.protocols.PROTOCOLS`."""

_LINE_BREAKERS = frozenset("\r\n\0")


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user name with a password, an OAuth access token, or both; "" for the missing one."""

    user: str
    password: str = field(default="", repr=False)
    access_token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeTarget:
    """One mail server to contact.

    The probe logs in when `user` is set beside a `password` or an OAuth `access_token`, and
    `wants_login` is true. A secret that is not used is masked all the same where a server
    echoes it. With `mailbox` the probe takes one more step after the login: IMAP opens that
    mailbox read-only, POP3 asks for the size of its only one, other protocols have none.
    `timeout_seconds` bounds the whole probe. `server_name` is sent in the TLS handshake (SNI) and
    must be in the certificate, in place of `hostname`; `oldest_tls` and `newest_tls` bound the
    version, such as `TLSv1.2`. `avoided_logins` names ways to log in that this
    server is known to refuse for this user, although it offers them.

    Raises:
        ValueError: A value that no probe can work with. The text never shows a secret.
    """

    protocol: ProtocolName
    hostname: str
    port: int
    tls: TlsMode
    timeout_seconds: float
    verify_certificate: bool = True
    server_name: str | None = None
    oldest_tls: str | None = None
    newest_tls: str | None = None
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    access_token: str | None = field(default=None, repr=False)
    wants_login: bool = True
    avoided_logins: frozenset[str] = frozenset()
    mailbox: str | None = None

    def __post_init__(self) -> None:
        if not 0 < self.port < 65536:  # noqa: PLR2004 (the range of a port number)
            raise ValueError(f"port must be between 1 and 65535, not {self.port}")
        if not self.timeout_seconds > 0:
            raise ValueError(f"timeout_seconds must be above 0, not {self.timeout_seconds}")
        for name in ("user", "password", "access_token", "mailbox"):
            # A line break in a credential would begin a command of its own.
            if _LINE_BREAKERS.intersection(getattr(self, name) or ""):
                raise ValueError(f"{name} must not contain line breaks or NUL")

    @property
    def wants_starttls(self) -> bool:
        """Whether TLS is to be started on a connection that begins in clear."""
        return self.tls in {"auto", "require"}

    @property
    def credentials(self) -> Credentials | None:
        """What to log in with, or None when a login is not wanted."""
        if not (self.wants_login and self.user and (self.password or self.access_token)):
            return None
        return Credentials(self.user, self.password or "", self.access_token or "")

    def without_login(self) -> ProbeTarget:
        """Return the target without its login, so that the probe ends before that.

        The target keeps the secret, so that the probe masks it where the server echoes it.
        """
        return replace(self, wants_login=False, mailbox=None)

    @property
    def secrets(self) -> tuple[bytes, ...]:
        """What must never be shown, whether it is sent or not."""
        return tuple(each.encode() for each in (self.password, self.access_token) if each)
