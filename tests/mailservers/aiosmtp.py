"""aiosmtpd, a test requirement: SMTP with STARTTLS and logins, in a thread."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from tests.mailservers.processes import LOOPBACK, free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.mailservers.certificates import ServerCertificate


USER = "alice@example.org"
PASSWORD = "wörter & horses"


def _authenticate(*request: object) -> AuthResult:
    given = request[-1]
    good = LoginPassword(USER.encode(), PASSWORD.encode())
    return AuthResult(success=given == good, handled=False)


@contextlib.contextmanager
def aiosmtpd(certificate: ServerCertificate, *, mechanism: str) -> Iterator[int]:
    """Run an aiosmtpd that offers one login mechanism after STARTTLS; give its port."""
    port = free_ports(1)[0]
    controller = Controller(
        object(),
        hostname=LOOPBACK,
        port=port,
        tls_context=certificate.context(),
        authenticator=_authenticate,
        auth_require_tls=True,
        auth_exclude_mechanism={"LOGIN", "PLAIN"} - {mechanism},
    )
    controller.start()
    try:
        yield port
    finally:
        controller.stop()
