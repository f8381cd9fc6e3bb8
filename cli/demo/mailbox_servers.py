"""The demo's IMAP and POP3 servers, by Twisted, with one empty mailbox for one user.

Import it after a reactor was installed: Twisted chooses one by itself otherwise.
"""

# ruff: noqa: ANN401 (Twisted has no types)

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.portal import Portal
from twisted.internet.protocol import Factory
from twisted.internet.ssl import PrivateCertificate
from twisted.mail import imap4, pop3

from cli.demo.servers import PASSWORD, USER


def tls_options(pem: bytes) -> Any:
    """Return Twisted's form of a certificate with its key."""
    return PrivateCertificate.loadPEM(pem).options()


def imap_factory(starttls: Any = None) -> Any:
    """Return what makes the server's side of an IMAP connection."""
    portal = _portal()

    def connect(_address: object) -> Any:
        server = imap4.IMAP4Server(chal={b"PLAIN": imap4.PLAINCredentials}, contextFactory=starttls)
        server.portal = portal
        return server

    return _factory(connect)


def pop3_factory() -> Any:
    """Return what makes the server's side of a POP3 connection."""
    portal = _portal()

    def connect(_address: object) -> Any:
        server = pop3.POP3()
        server.portal = portal
        return server

    return _factory(connect)


def _factory(connect: Any) -> Any:
    factory = Factory()

    def build(address: object) -> Any:
        server = connect(address)
        server.factory = factory
        return server

    factory.buildProtocol = build
    return factory


def _portal() -> Any:
    users = InMemoryUsernamePasswordDatabaseDontUse()
    users.addUser(USER.encode(), PASSWORD.encode())
    return Portal(SimpleNamespace(requestAvatar=_open_account), [users])


def _open_account(_user: bytes, _mind: object, *interfaces: Any) -> tuple[Any, Any, Any]:
    """Return the account in the form that the protocol asks for, and what ends its use."""
    wanted = interfaces[0]
    account = pop3.Mailbox() if wanted is pop3.IMailbox else _imap_account()
    return wanted, account, lambda: None


def _imap_account() -> Any:
    inbox = SimpleNamespace(
        getFlags=list,
        getMessageCount=int,
        getRecentCount=int,
        getUIDValidity=lambda: 1,
        isWriteable=lambda: False,
        addListener=lambda _: None,
        removeListener=lambda _: None,
    )
    return SimpleNamespace(
        select=lambda name, _writable=1: inbox if name.upper() == "INBOX" else None
    )
