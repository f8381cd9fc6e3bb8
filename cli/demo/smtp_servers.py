"""The demo's SMTP servers, by aiosmtpd. They take logins and no mail."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

from cli.demo.servers import PASSWORD, USER

if TYPE_CHECKING:
    import asyncio
    import ssl
    from collections.abc import Callable


class _RefuseMail:
    """The handler of messages: a monitor sends none, and nobody else should."""

    async def handle_MAIL(self, *_: object) -> str:  # noqa: N802 - the library's name
        return "550 this server takes no mail"


def smtp(
    loop: asyncio.AbstractEventLoop,
    *,
    starttls: ssl.SSLContext | None = None,
    login_in_clear: bool = False,
) -> Callable[[], asyncio.Protocol]:
    """Return what makes the server's side of a connection.

    `login_in_clear` offers AUTH without STARTTLS. It is for the plain server, and for the
    one whose connections are encrypted already, which the library does not notice.
    """

    def connect() -> asyncio.Protocol:
        protocol: asyncio.Protocol = SMTP(
            _RefuseMail(),
            hostname="mail.demo.example",
            ident="Postwatch demo",
            tls_context=starttls,
            auth_require_tls=not login_in_clear,
            authenticator=_authenticate,
            loop=loop,
        )
        return protocol

    return connect


def _authenticate(
    _server: object, _session: object, _envelope: object, _mechanism: str, sent: object
) -> AuthResult:
    known = LoginPassword(USER.encode(), PASSWORD.encode())
    # Not `handled`: the library then answers a refused login itself.
    return AuthResult(success=sent == known, handled=False)
