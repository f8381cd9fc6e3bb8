"""The way in: asks a mail server whether a client could use it, and answers with an outcome.

A failed probe is a value; a bug of ours, and a cancellation from outside, are exceptions.

One probe from the name to the farewell: the steps, in their order.

It knows what comes after what; each step itself is another module's.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import trio

from domain.check import Category, Outcome, Phase, Verdict
from mail.net.addresses import address_literal, ascii_name, parse_literal
from mail.net.certificates import CertificateJudge, load_trust_store
from mail.net.connect import dial
from mail.net.policy import NetworkPolicy
from mail.net.resolver import DnsClient, Resolver
from mail.net.tls import probing_context
from mail.net.transport import Connection
from mail.protocols import PROTOCOLS
from mail.protocols.dialogue import (
    Action,
    Enter,
    ProbeFailed,
    Receive,
    Send,
    Upgrade,
    Warn,
)
from mail.transcript import ProbeLog

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence
    from pathlib import Path

    from domain.check import TlsFacts
    from mail.protocols.target import ProbeTarget
    from mail.transcript import Trace


# How long a farewell may take: it makes no server down, so it gets little of the time.
FAREWELL_SECONDS = 2.0
FAREWELL_SHARE = 1 / 3

# Renewal by machines begins at 30 days, or at a third of a short life: what is left of a
# certificate below these was meant to be renewed already.
EXPIRES_SOON_DAYS = 14
EXPIRES_SOON_SHARE = 1 / 4


@dataclass(frozen=True, slots=True)
class Equipment:
    """What all probes of a process share."""

    resolver: Resolver
    policy: NetworkPolicy
    judge: CertificateJudge
    tls: ssl.SSLContext


class Attempt:
    """One probe under way. `scope` is its time limit, which the farewell may shorten."""

    def __init__(
        self, target: ProbeTarget, equipment: Equipment, course: ProbeLog, scope: trio.CancelScope
    ) -> None:
        self._target = target
        self._equipment = equipment
        self._course = course
        self._scope = scope

    async def run(self) -> None:
        """Go through all steps; return when a client could have used the server.

        Raises:
            ProbeFailed: It could not; or, in the last phase, it was not polite.
        """
        connection = await self._connect()
        try:
            if self._target.tls == "implicit":
                await self._encrypt(connection)
            await self._converse(connection)
        finally:
            connection.close()

    async def _connect(self) -> Connection:
        addresses = await self._equipment.resolver.resolve(self._target.hostname)
        self._equipment.policy.check(addresses)
        self._course.enter(Phase.CONNECT)
        if len(addresses) == 1:
            self._course.address = str(addresses[0])
        try:
            socket, address = await dial(addresses, self._target.port)
        except ProbeFailed as failure:
            if failure.category is Category.CONNECTION_RESET:
                # Only a connection that stands can be reset (RFC 9293 3.10.7.3 would have
                # refused it): the RST was merely faster than our look at it.
                is_implicit = self._target.tls == "implicit"
                self._course.enter(Phase.TLS if is_implicit else Phase.GREETING)
            raise
        self._course.address = str(address)
        return Connection(socket)

    async def _converse(self, connection: Connection) -> None:
        name = address_literal(connection.local_address)
        dialogue = PROTOCOLS[self._target.protocol].dialogue(self._target, name)
        action = next(dialogue)
        while True:
            answer = await self._perform(action, connection)
            try:
                action = dialogue.send(answer)
            except StopIteration:
                return

    async def _perform(self, action: Action, connection: Connection) -> bytes:
        match action:
            case Receive():
                return await self._receive(action, connection)
            case Send():
                await self._send(action, connection)
            case Enter():
                self._enter(action.phase)
            case Upgrade():
                await self._encrypt(connection)
            case Warn():
                self._course.warn(action.code, action.message)
        return b""

    async def _send(self, action: Send, connection: Connection) -> None:
        if action.secret:
            self._course.hide(action.secret)
        if self._course.is_traced:
            self._course.show("client", action.shown)
        await connection.send(action.line)

    async def _receive(self, action: Receive, connection: Connection) -> bytes:
        received = await connection.receive(action.octets)
        self._course.heard_anything = True
        if self._course.is_traced:
            self._course.show("server", received)
        return received

    def _enter(self, phase: Phase) -> None:
        self._course.enter(phase)
        if phase is Phase.QUIT:
            patience = min(FAREWELL_SECONDS, self._target.timeout_seconds * FAREWELL_SHARE)
            self._scope.deadline = min(self._scope.deadline, trio.current_time() + patience)

    async def _encrypt(self, connection: Connection) -> None:
        self._course.enter(Phase.TLS)
        hostname = self._target.hostname
        is_name = parse_literal(hostname) is None
        session = await connection.start_tls(
            self._equipment.tls, ascii_name(hostname) if is_name else None
        )
        facts = self._equipment.judge.judge(session, hostname)
        self._course.tls = facts
        self._course.show("note", f"{facts.version}, {facts.cipher}".encode())
        self._consider(facts)

    def _consider(self, facts: TlsFacts) -> None:
        """Stop before anything secret is sent when the certificate is bad."""
        if facts.verdict is not Category.OK:
            message = f"the certificate is bad: {facts.verify_message}"
            if self._target.verify_certificate:
                raise ProbeFailed(facts.verdict, message)
            self._course.warn(facts.verdict.value, message)
        elif facts.days_left < EXPIRES_SOON_DAYS and _is_late_in_life(facts):
            self._course.warn(
                "cert_expires_soon", f"the certificate expires in {facts.days_left} days"
            )


def _is_late_in_life(facts: TlsFacts) -> bool:
    """A certificate that lives for days only is no reason to warn every day."""
    not_before, not_after = map(datetime.fromisoformat, (facts.not_before, facts.not_after))
    return facts.days_left < (not_after - not_before).days * EXPIRES_SOON_SHARE


class Prober:
    """Probes mail servers. Made once per process, used by any number of tasks at a time."""

    def __init__(self, resolver: Resolver, policy: NetworkPolicy, judge: CertificateJudge) -> None:
        self._equipment = Equipment(resolver, policy, judge, probing_context())

    @classmethod
    def from_settings(
        cls,
        allowed_networks: Sequence[str] = (),
        resolvers: Sequence[str] = (),
        ca_file: Path | None = None,
    ) -> Prober:
        """Make a prober from what an operator sets; empty means the defaults.

        Raises:
            ValueError: A setting is wrong; the text says which and why.
        """
        return cls(
            Resolver(DnsClient(resolvers)),
            NetworkPolicy.parse(allowed_networks),
            CertificateJudge(load_trust_store(ca_file)),
        )

    async def probe(self, target: ProbeTarget, *, trace: Trace | None = None) -> Outcome:
        """Contact a server once, within `target.timeout_seconds`, and say what came of it.

        `trace` collects the dialogue. Whatever the network, the server or its name servers
        do becomes part of the outcome.
        """
        course = ProbeLog(target, trio.current_time, trace)
        failure: ProbeFailed | None = None
        with trio.move_on_after(target.timeout_seconds) as scope:
            try:
                await Attempt(target, self._equipment, course, scope).run()
            except ProbeFailed as failed:
                failure = failed
        if scope.cancelled_caught:
            failure = _timed_out(target, course)
        return _outcome(target, course, failure)


def _timed_out(target: ProbeTarget, course: ProbeLog) -> ProbeFailed:
    category = Category.DNS_TIMEOUT if course.phase is Phase.DNS else Category.TIMEOUT
    message = f"no answer within {target.timeout_seconds:g} s"
    if course.phase is Phase.GREETING and not course.heard_anything and target.tls != "implicit":
        message += "; does the server expect TLS from the first byte on this port?"
    return ProbeFailed(category, message)


def _outcome(target: ProbeTarget, course: ProbeLog, failure: ProbeFailed | None) -> Outcome:
    if failure is not None and course.phase is Phase.QUIT:
        # The server has shown that it works: how it says goodbye does not change that.
        is_late = failure.category is Category.TIMEOUT
        course.warn("quit_timeout" if is_late else "quit_unclean", failure.message)
        failure = None
    reply = failure.reply if failure else None
    return Outcome(
        verdict=Verdict.DOWN if failure else Verdict.UP,
        category=failure.category if failure else Category.OK,
        phase=(failure.phase or course.phase) if failure else None,
        message=failure.message if failure else "the server can be used",
        timings_ms=course.timings_ms(),
        address=course.address,
        port=target.port,
        server_reply=course.clean(reply) if reply is not None else None,
        tls=course.tls,
        warnings=course.warnings,
    )
