"""A server that offers logins which it does not take is asked for each of them once."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from domain.check import Category, LoginFacts, Outcome, Phase, Verdict
from mail.login_memory import LONGEST_DELAY_SECONDS, LoginMemory
from mail.protocols.target import ProbeTarget
from tests.mailservers.scripted import Peer, recorded

if TYPE_CHECKING:
    from mail.prober import Prober


TARGET = ProbeTarget(
    protocol="pop3",
    hostname="mx.example",
    port=110,
    tls="never",
    timeout_seconds=10,
    user="alice",
    password="secret",
)


def _outcome(category: Category, used: str | None, *refused: str) -> Outcome:
    is_up = category is Category.OK
    verdict, phase = (Verdict.UP, None) if is_up else (Verdict.DOWN, Phase.AUTH)
    facts = LoginFacts(used=used, refused=refused)
    return Outcome(verdict, category, phase, "", {}, login=facts)


def _after(*outcomes: Outcome) -> frozenset[str]:
    memory = LoginMemory()
    for outcome in outcomes:
        memory.note(replace(TARGET, avoided_logins=memory.avoided(TARGET)), outcome, 0.0)
    return memory.avoided(TARGET)


def test_nothing_is_avoided_at_first() -> None:
    assert _after() == frozenset()


def test_what_was_refused_as_such_is_avoided_from_then_on() -> None:
    once = _outcome(Category.OK, "LOGIN", "PLAIN")

    assert _after(once) == {"PLAIN"}
    assert _after(once, _outcome(Category.OK, "LOGIN")) == {"PLAIN"}


@pytest.mark.parametrize("digest", ["SCRAM-SHA-256", "SCRAM-SHA-1-PLUS", "CRAM-MD5", "APOP"])
def test_a_refused_digest_is_avoided_and_tried_again_when_nothing_else_works(digest: str) -> None:
    refused = _outcome(Category.AUTH_FAILED, digest)

    assert _after(refused) == {digest}
    assert _after(refused, _outcome(Category.OK, "USER")) == {digest}
    assert _after(refused, _outcome(Category.AUTH_FAILED, "USER")) == frozenset()
    assert _after(refused, _outcome(Category.AUTH_FAILED, digest)) == frozenset()


def test_a_refused_password_avoids_nothing() -> None:
    assert _after(_outcome(Category.AUTH_FAILED, "PLAIN")) == frozenset()


def test_a_check_that_does_not_come_to_the_login_changes_nothing() -> None:
    refused = _outcome(Category.AUTH_FAILED, "APOP")
    silent = replace(refused, category=Category.TIMEOUT, login=None)

    assert _after(refused, silent) == {"APOP"}
    assert _after(refused, _outcome(Category.AUTH_UNAVAILABLE, None)) == {"APOP"}


def test_other_accounts_are_other_accounts() -> None:
    memory = LoginMemory()
    memory.note(TARGET, _outcome(Category.AUTH_FAILED, "APOP"), 0.0)

    assert memory.avoided(replace(TARGET, user="bob")) == frozenset()
    assert memory.avoided(replace(TARGET, port=1110)) == frozenset()


def test_the_memory_is_bounded() -> None:
    memory = LoginMemory(most_accounts=2)
    for user in ("a", "b", "c"):
        memory.note(replace(TARGET, user=user), _delayed("APOP", 60, Category.AUTH_FAILED), 0.0)
        memory.note(replace(TARGET, user=user, port=1), _delayed("USER", 60), 0.0)

    assert memory.avoided(replace(TARGET, user="a")) == frozenset()
    assert memory.avoided(replace(TARGET, user="c")) == {"APOP"}
    assert memory.wait_seconds(replace(TARGET, user="a", port=1), 0.0) == 0
    assert memory.wait_seconds(replace(TARGET, user="c", port=1), 0.0) == 60


def _delayed(used: str, seconds: int, category: Category = Category.OK) -> Outcome:
    outcome = _outcome(category, used)
    return replace(outcome, login=LoginFacts(used=used, min_interval_seconds=seconds))


def test_a_login_is_left_out_until_the_server_wants_it() -> None:
    memory = LoginMemory()
    assert memory.wait_seconds(TARGET, 0.0) == 0

    memory.note(TARGET, _delayed("USER", 60), 100.0)

    assert memory.wait_seconds(TARGET, 100.0) == 60
    assert memory.wait_seconds(TARGET, 159.5) == 0
    assert memory.wait_seconds(replace(TARGET, user="bob"), 100.0) == 0
    assert memory.wait_seconds(replace(TARGET, password="new"), 100.0) == 0


def test_a_server_cannot_stop_logins_for_days() -> None:
    memory = LoginMemory()
    memory.note(TARGET, _delayed("USER", 9_999_999), 0.0)

    assert memory.wait_seconds(TARGET, 0.0) == LONGEST_DELAY_SECONDS


def test_no_login_is_left_out_after_one_that_failed() -> None:
    memory = LoginMemory()
    memory.note(TARGET, _delayed("USER", 60), 0.0)
    memory.note(TARGET, _delayed("USER", 60, Category.AUTH_FAILED), 60.0)

    assert memory.wait_seconds(TARGET, 60.0) == 0


async def test_a_check_leaves_the_login_out_while_the_server_wants_none(prober: Prober) -> None:
    def pop3(peer: Peer) -> None:
        peer.send(b"+OK\r\n")
        while True:
            word = peer.read_line().split()[0].upper()
            answers = {b"CAPA": b"+OK\r\nUSER\r\nLOGIN-DELAY 900\r\n.\r\n"}
            peer.send(answers.get(word, b"+OK 0 0\r\n"))

    with recorded(pop3) as (port, server):
        target = replace(TARGET, hostname="127.0.0.1", port=port)
        outcomes = [await prober.probe(target) for _ in range(2)]

    assert [each.category for each in outcomes] == ["ok", "ok"]
    assert [each.code for each in outcomes[1].warnings] == ["login_delay"]
    assert outcomes[1].warnings[0].message.endswith("it is tried in 900 s")
    assert [line for line in server.lines if line.startswith(b"PASS")] == [b"PASS secret"]


def _pop3_without_apop_passwords(peer: Peer) -> None:
    """Show a timestamp as many servers do, and have no password that fits APOP."""
    peer.send(b"+OK <1@mx>\r\n")
    while True:
        word = peer.read_line().split()[0].upper()
        answers = {b"CAPA": b"+OK\r\nUSER\r\n.\r\n", b"APOP": b"-ERR Login failed.\r\n"}
        peer.send(answers.get(word, b"+OK 0 0\r\n"))


async def test_the_check_after_a_refused_digest_uses_the_next_way(prober: Prober) -> None:
    with recorded(_pop3_without_apop_passwords) as (port, server):
        target = replace(TARGET, hostname="127.0.0.1", port=port)
        outcomes = [await prober.probe(target) for _ in range(3)]

    assert [each.category for each in outcomes] == ["auth_failed", "ok", "ok"]
    logins = [line.split()[0] for line in server.lines if line.split()[0] in {b"APOP", b"PASS"}]
    assert logins == [b"APOP", b"PASS", b"PASS"]
