"""The mail protocols that the prober speaks: one sans-I/O dialogue each, and their table.

`PROTOCOLS` is the only list of protocols in the package `mail`. A new protocol is one entry
here and its dialogue; `domain.kinds` says which kind of monitor offers it.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeAlias

from mail.protocols import imap, managesieve, pop3, smtp
from mail.protocols.line_reader import SHORT_LINES, ReplyLimits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from domain.kinds import TlsMode
    from mail.protocols.dialogue import Dialogue
    from mail.protocols.target import ProbeTarget, ProtocolName


DialogueFactory: TypeAlias = "Callable[[ProbeTarget, str], Dialogue]"
"""Starts the dialogue with a target. The text is the name that the client gives itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MailProtocol:
    """What the prober and its callers need to know of a protocol.

    `port` is the default where a connection begins in clear, `tls_port` where it begins with
    TLS (RFC 8314). `farewell` is the command that ends a session which failed.
    `has_mailbox` says whether a mailbox can be opened after the login.
    """

    dialogue: DialogueFactory
    port: int
    tls_port: int
    farewell: bytes
    limits: ReplyLimits = SHORT_LINES
    has_mailbox: bool = False

    def default_port(self, tls: TlsMode) -> int:
        """Return the port of a monitor that names none."""
        return self.tls_port if tls == "implicit" else self.port


PROTOCOLS: Final[Mapping[ProtocolName, MailProtocol]] = MappingProxyType(
    {
        "smtp": MailProtocol(dialogue=smtp.dialogue, port=25, tls_port=465, farewell=b"QUIT"),
        "imap": MailProtocol(
            dialogue=imap.dialogue,
            port=143,
            tls_port=993,
            # The dialogue counts its tags from a1 on.
            farewell=b"a0 LOGOUT",
            limits=imap.LIMITS,
            has_mailbox=True,
        ),
        "pop3": MailProtocol(
            dialogue=pop3.dialogue, port=110, tls_port=995, farewell=b"QUIT", has_mailbox=True
        ),
        # RFC 5804 1.8 registers one port, where TLS begins by STARTTLS.
        "managesieve": MailProtocol(
            dialogue=managesieve.dialogue,
            port=4190,
            tls_port=4190,
            farewell=b"LOGOUT",
            limits=managesieve.LIMITS,
        ),
    }
)
