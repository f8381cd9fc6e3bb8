"""The whole path: a monitor is created by the API, a real server is checked, it is shown."""

from __future__ import annotations

import contextlib
import json
import re
import threading
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from projections.core.joined_log import readers_of
from projections.views.last_checks import LAST_CHECKS
from projections.views.monitors import CUSTOMERS, MONITORS, ORGANIZATIONS, TOKENS
from tests.mailservers import dovecot as mailbox
from tests.mailservers import exim as relay
from tests.mailservers.processes import free_ports
from tests.mailservers.scripted import deaf, scripted
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.mailservers.certificates import CertificateShop
    from tests.mailservers.scripted import Peer
    from tests.system.service import Service


Rows = dict[str, list[tuple[str, dict[str, Any]]]]

pytestmark = [pytest.mark.system]

AT_ONCE_SECONDS = 10
"""Far below the interval of five minutes, and enough for a busy machine."""


@contextlib.contextmanager
def silent_server() -> Iterator[int]:
    """Accept connections and say nothing; give the port."""

    def say_nothing(peer: Peer) -> None:
        peer.wait_for_end()

    with scripted(say_nothing) as port:
        yield port


def create_imap(service: Service, port: int, **config: object) -> dict[str, Any]:
    login = {"user": mailbox.USER, "password": mailbox.PASSWORD, **config}
    return service.client.create(
        "imap-pop", name="Mailbox", hostname="localhost", port=port, imapPopConfig=login
    )


def create_smtp(service: Service, port: int, **config: object) -> dict[str, Any]:
    login = {"auth": {"user": relay.USER, "pass": relay.PASSWORD}, **config}
    return service.client.create(
        "smtp", name="Relay", hostname="localhost", port=port, smtpConfig=login
    )


def outcome(service: Service, created: dict[str, Any], version: int = 1) -> tuple[str, str]:
    found = service.wait_for_check(created["publicId"], version)["outcome"]
    return found["verdict"], found["category"]


@pytest.mark.mailserver
def test_real_mailboxes_are_judged_as_a_mail_client_would(
    service: Service, certificates: CertificateShop
) -> None:
    with (
        mailbox.dovecot(certificates.good) as good,
        mailbox.dovecot(certificates.expired) as expired,
        mailbox.dovecot(certificates.other_name) as other,
    ):
        made = {
            "imaps": create_imap(service, good.imaps_port, tls=True),
            "imap": create_imap(service, good.imap_port),
            "starttls": create_imap(service, good.imap_port, startTls="require"),
            "pop3s": create_imap(service, good.pop3s_port, protocol="pop3", tls=True),
            "pop3": create_imap(service, good.pop3_port, protocol="pop3"),
            "sieve": create_imap(
                service, good.managesieve_port, protocol="managesieve", startTls="require"
            ),
            "sieve password": create_imap(
                service, good.managesieve_port, protocol="managesieve", password="wrong"
            ),
            "sieve name": create_imap(
                service, other.managesieve_port, protocol="ManageSieve", startTls="auto"
            ),
            "password": create_imap(service, good.imaps_port, tls=True, password="wrong"),
            "expired": create_imap(service, expired.imaps_port, tls=True),
            "name": create_imap(service, other.pop3s_port, protocol="pop3", tls=True),
            "unverified": create_imap(
                service, expired.imaps_port, tls=True, tlsOptions={"rejectUnauthorized": False}
            ),
        }
        judged = {name: outcome(service, created) for name, created in made.items()}
        dialogue = service.run("monitor", "dialogue", made["password"]["publicId"]).stdout
    assert re.search(r"client: \S+ (LOGIN|AUTHENTICATE)", dialogue), dialogue
    assert "***" in dialogue
    assert "wrong" not in dialogue
    assert judged == {
        **dict.fromkeys(["imaps", "imap", "starttls", "pop3s", "pop3", "sieve"], ("up", "ok")),
        "sieve password": ("down", "auth_failed"),
        "sieve name": ("down", "cert_hostname_mismatch"),
        "unverified": ("up", "ok"),
        "password": ("down", "auth_failed"),
        "expired": ("down", "cert_expired"),
        "name": ("down", "cert_hostname_mismatch"),
    }


@pytest.mark.mailserver
def test_a_real_smtp_server_is_judged_as_a_mail_client_would(
    service: Service, certificates: CertificateShop
) -> None:
    with (
        relay.exim(certificates.good) as good,
        relay.exim(certificates.expired) as expired,
        relay.exim(certificates.other_name) as other,
        silent_server() as silent,
        deaf() as unreachable,
    ):
        made = {
            "starttls": create_smtp(service, good.smtp_port, requireTls=True),
            "implicit": create_smtp(service, good.smtps_port, secure=True),
            "password": create_smtp(
                service, good.smtp_port, auth={"user": relay.USER, "pass": "wrong"}
            ),
            "expired": create_smtp(service, expired.smtp_port),
            "name": create_smtp(service, other.smtps_port, secure=True),
            "refused": create_smtp(service, free_ports(1)[0]),
            "silent": service.client.create(
                "smtp", name="Silent", hostname="localhost", port=silent, timeoutSeconds=1
            ),
            "deaf": service.client.create(
                "smtp", name="Deaf", hostname="127.0.0.1", port=unreachable, timeoutSeconds=1
            ),
        }
        judged = {name: outcome(service, created) for name, created in made.items()}
    assert judged == {
        "starttls": ("up", "ok"),
        "implicit": ("up", "ok"),
        "password": ("down", "auth_failed"),
        "expired": ("down", "cert_expired"),
        "name": ("down", "cert_hostname_mismatch"),
        "refused": ("down", "connect_refused"),
        "silent": ("down", "timeout"),
        "deaf": ("down", "timeout"),
    }


def greet(peer: Peer) -> None:
    """Play a healthy SMTP server that offers nothing."""
    peer.send(b"220 test ESMTP\r\n")
    peer.expect("EHLO")
    peer.send(b"250 test\r\n")
    peer.expect("QUIT")
    peer.send(b"221 bye\r\n")


def test_checks_repeat_follow_a_change_of_port_and_stop_when_disabled(service: Service) -> None:
    with scripted(greet) as port, silent_server() as silent:
        created = service.client.create(
            "smtp", name="Mail", hostname="127.0.0.1", port=port, checkInterval=0.1
        )
        path = f"/api/smtp-monitors/{created['publicId']}"
        assert outcome(service, created) == ("up", "ok")
        first = wait_until(lambda: service.client("GET", path).body["lastCheckedAt"])
        wait_until(
            lambda: service.client("GET", path).body["lastCheckedAt"] > first,
            what="lastCheckedAt moves",
        )

        changed = service.client("PATCH", path, {"port": silent, "timeoutSeconds": 1})
        assert changed.body["port"] == silent
        assert outcome(service, created, version=2) == ("down", "timeout")

        changed = service.client("PATCH", path, {"hostname": "localhost", "port": port})
        assert changed.status == 200
        assert outcome(service, created, version=3) == ("up", "ok")

        assert service.client("PATCH", path, {"status": "paused"}).body["status"] == "disabled"
        # A marker created after the pause: from its second check, at its phase, to the third
        # six seconds go by in which the paused monitor would have been due.
        marker = service.client.create(
            "smtp", name="Marker", hostname="127.0.0.1", port=port, checkInterval=0.1
        )
        begun = service.wait_for_check(marker["publicId"])["checked_at"]
        wait_until(lambda: _checked_after(service, marker, begun), what="second marker check")
        second, paused = (service.last_check(each["publicId"]) for each in (marker, created))
        assert second is not None
        moment = second["checked_at"]
        wait_until(lambda: _checked_after(service, marker, moment), what="third marker check")
        assert paused is not None
        assert paused["monitor_version"] == 3
        assert service.last_check(created["publicId"]) == paused


def test_a_new_monitor_is_checked_at_once_and_not_at_its_phase(service: Service) -> None:
    with scripted(greet) as port:
        created = service.client.create("smtp", name="Mail", hostname="127.0.0.1", port=port)
        check = service.wait_for_check(created["publicId"])
    assert _seconds_between(created["createdAt"], check["started_at"]) < AT_ONCE_SECONDS


def test_an_address_outside_the_policy_is_refused(service: Service) -> None:
    created = service.client.create("smtp", name="Metadata", hostname="169.254.169.254")
    assert outcome(service, created) == ("down", "address_blocked")


@pytest.mark.thorough
def test_a_rebuild_while_everything_runs_changes_no_row_and_no_reader_sees_it(
    service: Service,
) -> None:
    with scripted(greet) as port:
        for number in range(30):
            service.client.create(
                "smtp",
                name=f"Monitor {number}",
                hostname="127.0.0.1",
                port=port,
                status="active" if number % 3 else "disabled",
                checkInterval=1440,
            )
        wait_until(lambda: _number_of_checks(service) == 20, what="all active ones are checked")
        head, before = _head_of_checks(service), _all_rows(service)
        stop = threading.Event()
        totals: set[int] = set()

        def read() -> None:
            while not stop.is_set():
                answer = service.client("GET", "/api/smtp-monitors?perPage=200")
                totals.add(len(answer.body["items"]))

        reader = threading.Thread(target=read)
        reader.start()
        try:
            for _ in range(3):
                result = service.run("projections", "rebuild")
                assert result.returncode == 0, result.stderr
        finally:
            stop.set()
            reader.join()
    # The own phase of a monitor, by chance any moment of the day, may have come meanwhile.
    again = _checked_since(service, head)
    assert _without(_all_rows(service), again) == _without(before, again)
    assert len(again) <= 3
    assert totals == {30}
    status = json.loads(service.run("projections", "status", "--json").stdout)
    assert {(row["lag"], row["generation"]) for row in status} == {(0, 4)}


def test_a_poisonous_config_is_stored_and_shown_like_any_other(service: Service) -> None:
    poison = {"auth": {"_type_": "x", "_data_": "y"}}
    created = service.client.create(
        "smtp", name="Poison", hostname="127.0.0.1", port=1, smtpConfig=poison
    )
    assert created["smtpConfig"] == poison
    assert outcome(service, created) == ("down", "connect_refused")
    assert service.run("projections", "rebuild").returncode == 0
    answer = service.client("GET", f"/api/smtp-monitors/{created['publicId']}")
    assert answer.body["config"] == poison


def _seconds_between(start: str, end: str) -> float:
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()


def _checked_after(service: Service, created: dict[str, Any], moment: str) -> bool:
    check = service.last_check(created["publicId"])
    return check is not None and check["checked_at"] > moment


def _number_of_checks(service: Service) -> int:
    with service.views() as views:
        return views.projector("checks").view.count()["last_checks"]


def _head_of_checks(service: Service) -> int:
    with service.views() as views:
        return views.projector("checks").log.head()


def _checked_since(service: Service, position: int) -> set[str]:
    with service.views() as views:
        newer = readers_of(views.projector("checks").log)[0].after(position, 1000)
        return {each.event.monitor_id for each in newer}


def _without(rows: Rows, monitor_ids: set[str]) -> Rows:
    kept = [each for each in rows["checks"] if each[1]["monitor_id"] not in monitor_ids]
    return rows | {"checks": kept}


def _all_rows(service: Service) -> Rows:
    with service.views() as views:
        monitors, checks = (views.projector(name).view for name in ("monitors", "checks"))
        tables = {
            table.name: list(monitors.rows(table))
            for table in (ORGANIZATIONS, CUSTOMERS, TOKENS, MONITORS)
        }
        return {**tables, "checks": list(checks.rows(LAST_CHECKS))}
