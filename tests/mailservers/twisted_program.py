"""The program behind `tests.mailservers.twisted_server`: Twisted's own IMAP and POP3.

It is a program because Twisted's reactor can be run once in a process.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.portal import IRealm, Portal
from twisted.internet import reactor, ssl
from twisted.internet.protocol import ServerFactory
from twisted.mail import imap4, pop3
from zope.interface import implementer

from tests.mailservers.processes import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Callable


USER = "alice"
PASSWORD = 'correct "horse"'


@implementer(IRealm)
class _Realm:
    """Everybody has a mailbox, which is empty."""

    def requestAvatar(  # noqa: N802 (Twisted's name)
        self, name: bytes, _mind: object, *interfaces: object
    ) -> tuple[object, object, Callable[[], None]]:
        if imap4.IAccount in interfaces:
            return imap4.IAccount, imap4.MemoryAccount(name), lambda: None
        return pop3.IMailbox, pop3.Mailbox(), lambda: None


def _factory(kind: type, context: object = None) -> ServerFactory:
    passwords = InMemoryUsernamePasswordDatabaseDontUse(**{USER: PASSWORD.encode()})
    portal = Portal(_Realm(), [passwords])

    def build(_address: object) -> object:
        protocol = kind(contextFactory=context) if context else kind()
        protocol.portal = portal
        return protocol

    factory = ServerFactory()
    factory.buildProtocol = build
    return factory


def _main(ports: list[int], chain: str, key: str) -> None:
    imap, imaps, pop, pops = ports
    context = ssl.DefaultOpenSSLContextFactory(key, chain)
    imap_factory = _factory(imap4.IMAP4Server, context)
    reactor.listenTCP(imap, imap_factory, interface=LOOPBACK)
    reactor.listenSSL(imaps, imap_factory, context, interface=LOOPBACK)
    pop_factory = _factory(pop3.POP3)
    reactor.listenTCP(pop, pop_factory, interface=LOOPBACK)
    reactor.listenSSL(pops, pop_factory, context, interface=LOOPBACK)
    reactor.run()


if __name__ == "__main__":
    _main([int(each) for each in sys.argv[1:5]], *sys.argv[5:7])
