"""The prober: contacts a mail server once and returns an `Outcome`.

A failed probe is a value; a bug in Postwatch and a cancellation by the caller are exceptions.
This module defines the order of the steps: name, network policy, connection, TLS, dialogue,
farewell. `mail.net` and `mail.protocols` perform them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import trio

from domain.check import Category, Outcome, Phase, Verdict
from mail.guard import OPEN_GUARD
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
    from mail.guard import ProbeGuard
    from mail.net.addresses import Address
    from mail.protocols.target import ProbeTarget
    from mail.transcript import Trace


# How long a farewell may take: at most so many seconds, and so much of the probe's time.
FAREWELL_SECONDS = 2.0
FAREWELL_SHARE = 1 / 3

# Certificates are renewed by machines 30 days before their end, or after two thirds of a
# short life. A certificate with less left than both of these is overdue.
EXPIRES_SOON_DAYS = 14
EXPIRES_SOON_SHARE = 1 / 4


@dataclass(frozen=True, slots=True)
class Equipment:
    """The parts that all probes of a process share."""

    resolver: Resolver
    policy: NetworkPolicy
    judge: CertificateJudge
    tls: ssl.SSLContext


class ProbeRun:
    """One running probe. `scope` is its time limit, which the farewell may shorten."""

    def __init__(
        self,
        target: ProbeTarget,
        equipment: Equipment,
        probe_log: ProbeLog,
        scope: trio.CancelScope,
        guard: ProbeGuard,
    ) -> None:
        self._target = target
        self._equipment = equipment
        self._probe_log = probe_log
        self._scope = scope
        self._guard = guard

    async def run(self) -> None:
        """Perform all steps; return when a client could use the server.

        Raises:
            ProbeFailed: A client could not use it, or the farewell of a usable server failed.
        AddressBusyError: The guard allows no connection now.
        """
        connection, address = await self._connect()
        try:
            if self._target.tls == "implicit":
                await self._encrypt(connection)
            await self._run_dialogue(connection)
        finally:
            connection.close()
            self._guard.disconnected(address)

    async def _connect(self) -> tuple[Connection, Address]:
        addresses = await self._equipment.resolver.resolve(self._target.hostname)
        self._equipment.policy.check(addresses)
        self._probe_log.enter(Phase.CONNECT)
        if len(addresses) == 1:
            self._probe_log.address = str(addresses[0])
        try:
            socket, address = await dial(addresses, self._target.port, guard=self._guard)
        except ProbeFailed as failure:
            if failure.category is Category.CONNECTION_RESET:
                # Only an established connection is reset; one that is not is refused (RFC
                # 9293 3.10.7.3). The RST came before this task ran again after the connect.
                is_implicit = self._target.tls == "implicit"
                self._probe_log.enter(Phase.TLS if is_implicit else Phase.GREETING)
            raise
        self._probe_log.address = str(address)
        return Connection(socket), address

    async def _run_dialogue(self, connection: Connection) -> None:
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
                self._probe_log.warn(action.code, action.message)
        return b""

    async def _send(self, action: Send, connection: Connection) -> None:
        if action.secret:
            self._probe_log.hide(action.secret)
        if self._probe_log.is_traced:
            self._probe_log.trace("client", action.shown)
        await connection.send(action.line)

    async def _receive(self, action: Receive, connection: Connection) -> bytes:
        received = await connection.receive(action.octets)
        self._probe_log.heard_anything = True
        if self._probe_log.is_traced:
            self._probe_log.trace("server", received)
        return received

    def _enter(self, phase: Phase) -> None:
        self._probe_log.enter(phase)
        if phase is Phase.QUIT:
            seconds = min(FAREWELL_SECONDS, self._target.timeout_seconds * FAREWELL_SHARE)
            self._scope.deadline = min(self._scope.deadline, trio.current_time() + seconds)

    async def _encrypt(self, connection: Connection) -> None:
        self._probe_log.enter(Phase.TLS)
        hostname = self._target.hostname
        is_name = parse_literal(hostname) is None
        session = await connection.start_tls(
            self._equipment.tls, ascii_name(hostname) if is_name else None
        )
        facts = self._equipment.judge.judge(session, hostname)
        self._probe_log.tls = facts
        self._probe_log.trace("note", f"{facts.version}, {facts.cipher}".encode())
        self._judge_certificate(facts)

    def _judge_certificate(self, facts: TlsFacts) -> None:
        """Stop the probe at a bad certificate, before it sends a secret."""
        if facts.verdict is not Category.OK:
            message = f"the certificate is bad: {facts.verify_message}"
            if self._target.verify_certificate:
                raise ProbeFailed(facts.verdict, message)
            self._probe_log.warn(facts.verdict.value, message)
        elif facts.days_left < EXPIRES_SOON_DAYS and _is_late_in_life(facts):
            self._probe_log.warn(
                "cert_expires_soon", f"the certificate expires in {facts.days_left} days"
            )


def _is_late_in_life(facts: TlsFacts) -> bool:
    """Return whether little is left of a certificate's life, be that a year or some days."""
    not_before, not_after = map(datetime.fromisoformat, (facts.not_before, facts.not_after))
    return facts.days_left < (not_after - not_before).days * EXPIRES_SOON_SHARE


class Prober:
    """Probes mail servers. One for a process; any number of tasks use it at a time."""

    def __init__(self, resolver: Resolver, policy: NetworkPolicy, judge: CertificateJudge) -> None:
        self._equipment = Equipment(resolver, policy, judge, probing_context())

    @classmethod
    def from_settings(
        cls,
        allowed_networks: Sequence[str] = (),
        resolvers: Sequence[str] = (),
        ca_file: Path | None = None,
    ) -> Prober:
        """Make a prober from an operator's settings; an empty one means its default.

        Raises:
            ValueError: A setting is wrong; the text says which and why.
        """
        return cls(
            Resolver(DnsClient(resolvers)),
            NetworkPolicy.parse(allowed_networks),
            CertificateJudge(load_trust_store(ca_file)),
        )

    async def probe(
        self,
        target: ProbeTarget,
        guard: ProbeGuard = OPEN_GUARD,
        *,
        trace: Trace | None = None,
    ) -> Outcome:
        """Contact a server once, within `target.timeout_seconds`, and return the outcome.

        `trace` collects the dialogue. A failure of the network, of the server or of its name
        servers is part of the outcome and never raised. Raises AddressBusyError when `guard`
        allows no connection now.
        """
        probe_log = ProbeLog(target, trio.current_time, trace)
        failure: ProbeFailed | None = None
        with trio.move_on_after(target.timeout_seconds) as scope:
            try:
                await ProbeRun(target, self._equipment, probe_log, scope, guard).run()
            except ProbeFailed as failed:
                failure = failed
        if scope.cancelled_caught:
            failure = _timed_out(target, probe_log)
        return _outcome(target, probe_log, failure)


def _timed_out(target: ProbeTarget, probe_log: ProbeLog) -> ProbeFailed:
    category = Category.DNS_TIMEOUT if probe_log.phase is Phase.DNS else Category.TIMEOUT
    message = f"no answer within {target.timeout_seconds:g} s"
    is_silent = probe_log.phase is Phase.GREETING and not probe_log.heard_anything
    if is_silent and target.tls != "implicit":
        message += "; does the server expect TLS from the first byte on this port?"
    return ProbeFailed(category, message)


def _outcome(target: ProbeTarget, probe_log: ProbeLog, failure: ProbeFailed | None) -> Outcome:
    if failure is not None and probe_log.phase is Phase.QUIT:
        # The server is usable: a failed farewell is a warning.
        is_late = failure.category is Category.TIMEOUT
        probe_log.warn("quit_timeout" if is_late else "quit_unclean", failure.message)
        failure = None
    reply = failure.reply if failure else None
    return Outcome(
        verdict=Verdict.DOWN if failure else Verdict.UP,
        category=failure.category if failure else Category.OK,
        phase=(failure.phase or probe_log.phase) if failure else None,
        message=failure.message if failure else "the server can be used",
        timings_ms=probe_log.timings_ms(),
        address=probe_log.address,
        port=target.port,
        server_reply=probe_log.clean(reply) if reply is not None else None,
        tls=probe_log.tls,
        warnings=probe_log.warnings,
    )
