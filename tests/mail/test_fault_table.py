"""Every row of the fault table: what a server does, and the outcome.

All servers run at once, and so do the probes, so the table takes as long as its longest row.
"""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

import pytest
import trio

from domain.check import Category, Verdict
from mail.protocols import PROTOCOLS
from mail.protocols.target import ProbeTarget
from tests.mail import (
    faults_everywhere,
    faults_imap,
    faults_login,
    faults_managesieve,
    faults_pop3,
    faults_smtp,
)
from tests.mail.fault_cases import LONG_SECONDS, PASSWORD, TIMEOUT_SECONDS, FaultCase
from tests.mailservers.scripted import ScriptedServer, recorded

if TYPE_CHECKING:
    from domain.check import Outcome
    from mail.prober import Prober


_TABLES = (
    faults_everywhere,
    faults_smtp,
    faults_imap,
    faults_pop3,
    faults_managesieve,
    faults_login,
)
CASES = {f"{case.protocol}: {case.name}": case for table in _TABLES for case in table.CASES}


@pytest.fixture(scope="module")
def servers() -> dict[str, ScriptedServer]:
    """The server of every case by its name, for what it saw."""
    return {}


@pytest.fixture(scope="module")
def outcomes(prober: Prober, servers: dict[str, ScriptedServer]) -> dict[str, Outcome]:
    """The outcome of every case by its name."""
    found: dict[str, Outcome] = {}

    async def play(name: str, case: FaultCase, port: int) -> None:
        found[name] = await prober.probe(_target(case, port))

    async def play_all(ports: dict[str, int]) -> None:
        # Those that run out of time apart: beside hundreds of others they would do so anywhere.
        for runs_out in (False, True):
            async with trio.open_nursery() as nursery:
                for name, case in CASES.items():
                    if runs_out == (case.category is Category.TIMEOUT):
                        nursery.start_soon(play, name, case, ports[name])

    with contextlib.ExitStack() as stack:
        ports = {}
        for name, case in CASES.items():
            ports[name], servers[name] = stack.enter_context(recorded(case.script))
        trio.run(play_all, ports)
    return found


def _timeout_seconds(case: FaultCase) -> float:
    """Return how long a probe may take: the time counts only where it is to run out."""
    return TIMEOUT_SECONDS if case.category is Category.TIMEOUT else LONG_SECONDS


def _target(case: FaultCase, port: int) -> ProbeTarget:
    return ProbeTarget(
        protocol=case.protocol,
        hostname="localhost",
        port=port,
        tls=case.tls,
        verify_certificate=case.verify,
        user=case.user if case.login else None,
        password=case.password if case.login and not case.token else None,
        access_token=case.token,
        mailbox=case.mailbox,
        timeout_seconds=_timeout_seconds(case),
    )


@pytest.mark.parametrize("name", CASES)
def test_a_fault_has_its_verdict(
    outcomes: dict[str, Outcome], servers: dict[str, ScriptedServer], name: str
) -> None:
    case, outcome, server = CASES[name], outcomes[name], servers[name]

    assert not server.mistakes, outcome

    assert (outcome.category, outcome.phase) == (case.category, case.phase), outcome
    assert outcome.verdict is (Verdict.UP if case.category is Category.OK else Verdict.DOWN)
    assert tuple(each.code for each in outcome.warnings) == case.warnings
    texts = (outcome.message, *(each.message for each in outcome.warnings))
    assert any(case.says in each for each in texts), texts
    assert case.reply in (outcome.server_reply or ""), outcome
    assert PASSWORD not in repr(outcome)
    # test_deadline.py measures more exactly, one probe at a time.
    assert outcome.timings_ms["total"] <= (_timeout_seconds(case) + 10) * 1000


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.saw is not None])
def test_a_server_sees_these_commands_from_the_login_on(
    outcomes: dict[str, Outcome], servers: dict[str, ScriptedServer], name: str
) -> None:
    case, outcome = CASES[name], outcomes[name]
    tags = re.compile(rb"a\d+ ")
    lines = [tags.sub(b"", line).decode() for line in servers[name].lines]
    hello = max(
        (number for number, line in enumerate(lines) if line.startswith(_BEFORE_LOGIN)), default=-1
    )

    seen = lines[hello + 1 :]
    assert len(seen) == len(case.saw or ()), (seen, outcome)
    for line, expected in zip(seen, case.saw or (), strict=True):
        assert line.startswith(expected), seen


_BEFORE_LOGIN = ("EHLO", "HELO", "CAPABILITY", "CAPA", "STLS", "STARTTLS")

_TAKES_LEAVE = frozenset(
    {
        Category.GREETING_TEMPORARY,
        Category.GREETING_REJECTED,
        Category.EHLO_REJECTED,
        Category.EHLO_TEMPORARY,
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
        Category.CERT_EXPIRED,
        Category.CERT_UNTRUSTED,
        Category.CERT_HOSTNAME_MISMATCH,
    }
)


@pytest.mark.parametrize(
    "name",
    [name for name, case in CASES.items() if case.category in _TAKES_LEAVE and not case.hangs_up],
)
def test_a_server_that_fails_is_told_that_the_session_ends(
    outcomes: dict[str, Outcome], servers: dict[str, ScriptedServer], name: str
) -> None:
    outcome = outcomes[name]

    assert servers[name].lines, outcome
    farewell = servers[name].lines[-1]
    assert farewell == PROTOCOLS[CASES[name].protocol].farewell, servers[name].lines


def test_every_tls_session_ends_with_close_notify(
    outcomes: dict[str, Outcome], servers: dict[str, ScriptedServer]
) -> None:
    ended = {name: servers[name].ended_tls for name in outcomes}

    assert not [name for name, found in ended.items() if False in found]
    assert len([name for name, found in ended.items() if True in found]) > 20


def test_a_bad_certificate_is_described_all_the_same(outcomes: dict[str, Outcome]) -> None:
    facts = outcomes["smtp: has an expired certificate"].tls

    assert facts is not None
    assert facts.verdict is Category.CERT_EXPIRED
    assert facts.verify_code == 10
    assert facts.verify_message.startswith("the certificate expired on ")
    assert facts.verify_message.endswith(", 24 hours ago")
    assert facts.names == ("localhost", "127.0.0.1")
    assert facts.days_left < 0


def test_a_good_certificate_is_described(outcomes: dict[str, Outcome]) -> None:
    facts = outcomes["smtp: speaks TLS"].tls

    assert facts is not None
    assert (facts.version, facts.verdict, facts.verify_code) == ("TLSv1.3", Category.OK, 0)
    assert facts.days_left == 364


def test_the_words_of_the_server_are_kept(outcomes: dict[str, Outcome]) -> None:
    assert outcomes["smtp: greets with 554"].server_reply == "554 no / service here"
    assert outcomes["imap: greets with BYE"].server_reply == "* BYE not you"


def test_the_words_in_a_literal_are_kept(outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes["managesieve: answers the login with no (trylater) {5}\r\nlater"]

    assert outcome.server_reply == "no (trylater) {5} / later"
