"""The prober: contacts a mail server once and returns an `Outcome`.

A failed probe is a value; a bug in Postwatch and a cancellation by the caller are exceptions.
This module defines the order of the steps: name, network policy, connection, TLS, dialogue,
farewell. `mail.net` and `mail.protocols` perform them.
"""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass, replace
from secrets import token_urlsafe
from typing import TYPE_CHECKING, Final

import trio

from domain.check import Category, Finding, Outcome, Phase, Verdict
from mail.guard import OPEN_GUARD
from mail.login_memory import LoginMemory
from mail.net.addresses import ascii_name, parse_literal
from mail.net.certificates import (
    SECONDS_PER_DAY,
    CertificateJudge,
    duration_words,
    load_trust_store,
)
from mail.net.connect import dial
from mail.net.own_name import address_literal
from mail.net.policy import NetworkPolicy
from mail.net.resolver import DnsClient, Resolver
from mail.net.tls import probing_context
from mail.net.transport import Connection
from mail.password_keys import PasswordKeys
from mail.protocols import PROTOCOLS
from mail.protocols.dialogue import (
    RECEIVE,
    Action,
    BindChannel,
    DeriveKey,
    DrawNonce,
    Enter,
    Learn,
    ProbeFailed,
    Receive,
    Send,
    Upgrade,
    Warn,
)
from mail.transcript import ProbeLog

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from domain.check import ChainEnd, TlsFacts
    from mail.guard import ProbeGuard
    from mail.net.addresses import Address
    from mail.protocols.target import ProbeTarget
    from mail.transcript import Trace


_NONCE_BYTES: Final = 18

# How long a farewell may take: at most so many seconds, and so much of the probe's time.
FAREWELL_SECONDS = 2.0
FAREWELL_SHARE = 1 / 3

FAREWELL_AFTER_FAILURE_SECONDS: Final = 0.5
"""How long a failed probe waits for the answer to its farewell."""

# After these a server can still be told that the session ends (RFC 5321 4.1.1.10). After the
# others there is no connection, or nothing on it that takes commands.
_USABLE_AFTER: Final = frozenset(
    {
        Category.GREETING_TEMPORARY,
        Category.GREETING_REJECTED,
        Category.EHLO_REJECTED,
        Category.EHLO_TEMPORARY,
        Category.CERT_EXPIRED,
        Category.CERT_NOT_YET_VALID,
        Category.CERT_HOSTNAME_MISMATCH,
        Category.CERT_UNTRUSTED,
        Category.CERT_SELF_SIGNED,
        Category.CERT_WEAK,
        Category.STARTTLS_UNAVAILABLE,
        Category.STARTTLS_REJECTED,
        Category.AUTH_UNAVAILABLE,
        Category.AUTH_FAILED,
        Category.AUTH_TEMPORARY,
        Category.AUTH_REQUIRES_TLS,
        Category.AUTH_DISABLED,
        Category.AUTH_SERVER_UNPROVEN,
        Category.RATE_LIMITED,
        Category.MAILBOX_UNAVAILABLE,
        Category.PROTOCOL_ERROR,
    }
)

# After these an unfinished reply says more than that it did not end.
_CUT_OFF: Final = frozenset(
    {
        Category.TIMEOUT,
        Category.CONNECTION_CLOSED,
        Category.CONNECTION_RESET,
        Category.LINE_TOO_LONG,
        Category.TOO_MANY_LINES,
        Category.RESPONSE_TOO_LARGE,
    }
)

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
    keys: PasswordKeys
    ehlo_name: str | None


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
            if self._target.credentials and not self._guard.may_log_in(address):
                self._target = self._target.without_login()
            if self._target.tls == "implicit":
                await self._encrypt(connection)
            await self._run_dialogue(connection)
        except ProbeFailed as failure:
            if failure.category in _USABLE_AFTER and self._probe_log.phase is not Phase.QUIT:
                await self._take_leave(connection)
            raise
        finally:
            if connection.unread:
                self._probe_log.hear(connection.unread)
            connection.close()
            self._guard.disconnected(address)

    async def _connect(self) -> tuple[Connection, Address]:
        addresses = await self._equipment.resolver.resolve(self._target.hostname)
        self._equipment.policy.check(addresses)
        self._probe_log.enter(Phase.CONNECT)
        if len(addresses) == 1:
            self._probe_log.address = str(addresses[0])
        try:
            socket, address = await dial(
                addresses,
                self._target.port,
                guard=self._guard,
                on_failed_address=self._note_failed_address,
            )
        except ProbeFailed as failure:
            if failure.category is Category.CONNECTION_RESET:
                # Only an established connection is reset; one that is not is refused (RFC
                # 9293 3.10.7.3). The RST came before this task ran again after the connect.
                is_implicit = self._target.tls == "implicit"
                self._probe_log.enter(Phase.TLS if is_implicit else Phase.GREETING)
            raise
        self._probe_log.address = str(address)
        limits = PROTOCOLS[self._target.protocol].limits
        return Connection(socket, limits), address

    def _note_failed_address(self, address: Address, why: str) -> None:
        self._probe_log.warn(
            "address_failed",
            f"{address} was tried first and could not be used: {why}; another address answered",
        )

    async def _take_leave(self, connection: Connection) -> None:
        """End a session that failed as the protocol wants it, and wait shortly for an answer.

        Servers count clients that go away without a word, and guards lock them out.
        """
        self._probe_log.end()
        now = trio.current_time()
        seconds = min(FAREWELL_AFTER_FAILURE_SECONDS, self._scope.deadline - now)
        # The finding is known: the end of the probe's time must not replace it.
        self._scope.deadline = math.inf
        with trio.move_on_after(seconds), suppress(ProbeFailed):
            if not self._probe_log.heard_anything:
                # After a bad certificate: a command before the greeting would be a fault of ours.
                await self._receive(RECEIVE, connection)
            await self._send(Send(PROTOCOLS[self._target.protocol].farewell), connection)
            await self._receive(RECEIVE, connection)

    async def _run_dialogue(self, connection: Connection) -> None:
        name = self._equipment.ehlo_name or address_literal(connection.local_address)
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
                self._probe_log.warn(action.code, action.message, action.quoted)
            case Learn():
                self._probe_log.login = self._probe_log.clean_facts(action.login)
            case _:
                return await self._help_login(action, connection)
        return b""

    async def _help_login(
        self, action: BindChannel | DrawNonce | DeriveKey, connection: Connection
    ) -> bytes:
        if isinstance(action, BindChannel):
            return connection.channel_binding()
        if isinstance(action, DrawNonce):
            return token_urlsafe(_NONCE_BYTES).encode("ascii")
        return await self._equipment.keys.derive(action)

    async def _send(self, action: Send, connection: Connection) -> None:
        self._probe_log.expect_reply()
        if action.secret:
            self._probe_log.hide(action.secret)
        if self._probe_log.is_traced:
            self._probe_log.trace("client", action.shown)
        await connection.send(action.line)

    async def _receive(self, action: Receive, connection: Connection) -> bytes:
        received = await connection.receive(action.octets)
        self._probe_log.hear(received)
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
        hostname = self._target.server_name or self._target.hostname
        is_name = parse_literal(hostname) is None
        context = probing_context(self._target.oldest_tls, self._target.newest_tls)
        try:
            session = await connection.start_tls(context, ascii_name(hostname) if is_name else None)
        except ProbeFailed as failure:
            raise self._judge_plaintext(failure) from None
        facts = self._probe_log.clean_facts(self._equipment.judge.judge(session, hostname))
        self._probe_log.tls = facts
        self._probe_log.trace("note", f"{facts.version}, {facts.cipher}".encode())
        self._judge_certificate(facts)

    def _judge_plaintext(self, failure: ProbeFailed) -> ProbeFailed:
        """Return what plain text in place of TLS means: a busy server refuses in clear."""
        words = failure.reply
        if not words:
            return failure
        if self._target.tls != "implicit":
            message = "the server agreed to start TLS and then sent no TLS"
            return ProbeFailed(failure.category, message, reply=words, phase=failure.phase)
        refusal = _plain_refusal(self._target, words)
        if refusal is None:
            return failure
        message = f"{refusal.message}, in clear on a port for TLS"
        return ProbeFailed(refusal.category, message, reply=refusal.reply, phase=Phase.GREETING)

    def _judge_certificate(self, facts: TlsFacts) -> None:
        """Stop the probe at a bad certificate, before it sends a secret."""
        if facts.verdict is not Category.OK:
            message = f"the certificate is bad: {facts.verify_message}"
            if self._target.verify_certificate:
                raise ProbeFailed(facts.verdict, message)
            self._probe_log.warn(facts.verdict.value, message)
        elif facts.chain_end is not None and _is_late_in_life(facts.chain_end):
            end = facts.chain_end
            which = f"the certificate {end.name} of the chain" if end.name else "the certificate"
            left = duration_words(end.seconds_left)
            self._probe_log.warn("cert_expires_soon", f"{which} expires in {left}")


def _plain_refusal(target: ProbeTarget, words: bytes) -> ProbeFailed | None:
    """Return the refusal that a server greets with in plain text, or None."""
    dialogue = PROTOCOLS[target.protocol].dialogue(target, "")
    lines = iter(words.splitlines())
    try:
        action = next(dialogue)
        while isinstance(action, Enter | Receive | Warn):
            # The octets of a literal are not worth the trouble: a refusal has none.
            answer = next(lines, None) if isinstance(action, Receive) else b""
            if answer is None:
                return None
            action = dialogue.send(answer)
    except ProbeFailed as failure:
        refused = {Category.GREETING_TEMPORARY, Category.GREETING_REJECTED}
        return failure if failure.category in refused else None
    return None


def _is_late_in_life(end: ChainEnd) -> bool:
    """Return whether little is left of a certificate's life, be that a year or some days."""
    life = (end.not_after - end.not_before).total_seconds()
    soon = EXPIRES_SOON_DAYS * SECONDS_PER_DAY
    return end.seconds_left < min(soon, life * EXPIRES_SOON_SHARE)


class Prober:
    """Probes mail servers. One for a process; any number of tasks use it at a time."""

    def __init__(
        self,
        resolver: Resolver,
        policy: NetworkPolicy,
        judge: CertificateJudge,
        ehlo_name: str | None = None,
    ) -> None:
        """`ehlo_name` is what probes call themselves; None: the address that they come from."""
        self._equipment = Equipment(resolver, policy, judge, PasswordKeys(), ehlo_name)
        self._logins = LoginMemory()

    @classmethod
    def from_settings(
        cls,
        allowed_networks: Sequence[str] = (),
        resolvers: Sequence[str] = (),
        ca_file: Path | None = None,
        ehlo_name: str | None = None,
    ) -> Prober:
        """Make a prober from an operator's settings; an empty one means its default.

        Raises:
            ValueError: A setting is wrong; the text says which and why.
        """
        return cls(
            Resolver(DnsClient(resolvers)),
            NetworkPolicy.parse(allowed_networks),
            CertificateJudge(load_trust_store(ca_file)),
            ehlo_name,
        )

    async def probe(
        self,
        target: ProbeTarget,
        guard: ProbeGuard = OPEN_GUARD,
        trace: Trace | None = None,
    ) -> Outcome:
        """Contact a server once, within `target.timeout_seconds`, and return the outcome.

        `trace` collects the dialogue. A failure of the network, of the server or of its name
        servers is part of the outcome and never raised. Raises AddressBusyError when `guard`
        allows no connection now.
        """
        if target.credentials is None:
            return await self._probe(target, guard, trace)
        wait = self._logins.wait_seconds(target, trio.current_time())
        if wait > 0:
            resting = replace(target, wants_login=False, mailbox=None)
            return _with_login_delay(await self._probe(resting, guard, trace), wait)
        avoided = self._logins.avoided(target)
        if avoided:
            target = replace(target, avoided_logins=avoided)
        outcome = await self._probe(target, guard, trace)
        self._logins.note(target, outcome, trio.current_time())
        return outcome

    async def _probe(self, target: ProbeTarget, guard: ProbeGuard, trace: Trace | None) -> Outcome:
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


_SILENCE: Final = (
    "; does the server expect TLS from the first byte, or a PROXY protocol header, on this port?"
)
_SILENCE_IMPLICIT: Final = "; does the server expect a PROXY protocol header on this port?"
_SILENCE_SMTP: Final = (
    " Some servers delay their greeting on purpose, for up to 5 minutes (RFC 5321 4.5.3.2.1): "
    "a longer timeout shows it."
)


def _with_login_delay(outcome: Outcome, wait_seconds: float) -> Outcome:
    """Add to the outcome of a check without a login why there was none."""
    finding = Finding(
        "login_delay",
        "the last login worked, and the server wants more time before the next one, so it was "
        f"left out; it is tried in {math.ceil(wait_seconds)} s",
    )
    return replace(outcome, warnings=(*outcome.warnings, finding))


def _timed_out(target: ProbeTarget, probe_log: ProbeLog) -> ProbeFailed:
    category = Category.DNS_TIMEOUT if probe_log.phase is Phase.DNS else Category.TIMEOUT
    limit = f"within {target.timeout_seconds:g} s"
    if probe_log.unfinished_reply is not None:
        return ProbeFailed(category, f"the answer began and did not end {limit}")
    message = f"no answer {limit}"
    if probe_log.phase is Phase.GREETING and not probe_log.heard_anything:
        message += _SILENCE_IMPLICIT if target.tls == "implicit" else _SILENCE
        if target.protocol == "smtp":
            message += _SILENCE_SMTP
    return ProbeFailed(category, message)


def _outcome(target: ProbeTarget, probe_log: ProbeLog, failure: ProbeFailed | None) -> Outcome:
    is_farewell = failure is not None and failure.phase is not Phase.SERVICE
    if failure is not None and is_farewell and probe_log.phase is Phase.QUIT:
        # The server is usable: a failed farewell is a warning, unless it says otherwise.
        is_late = failure.category is Category.TIMEOUT
        code = "quit_timeout" if is_late else "quit_unclean"
        probe_log.warn(code, failure.message, failure.reply or b"")
        failure = None
    reply = failure.reply if failure else None
    if failure is not None and reply is None and failure.category in _CUT_OFF:
        reply = probe_log.unfinished_reply
    return Outcome(
        verdict=Verdict.DOWN if failure else Verdict.UP,
        category=failure.category if failure else Category.OK,
        phase=(failure.phase or probe_log.phase) if failure else None,
        message=(
            probe_log.message(failure.message, failure.quoted)
            if failure
            else "the server can be used"
        ),
        timings_ms=probe_log.timings_ms(),
        address=probe_log.address,
        port=target.port,
        server_reply=probe_log.clean(reply) if reply is not None else None,
        tls=probe_log.tls,
        warnings=probe_log.warnings,
        login=probe_log.login,
    )
