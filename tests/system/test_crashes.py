"""Every process is killed in turn while clients write: nothing acknowledged is lost."""

from __future__ import annotations

import http.client
import os
import signal
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from projections.core.joined_log import readers_of
from tests.mailservers.processes import free_ports
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.system.service import Service


pytestmark = pytest.mark.system

PARTS = ("api", "projections", "checker")


@dataclass
class Ledger:
    """What the service acknowledged, kept outside of it."""

    created: dict[str, dict[str, Any]] = field(default_factory=dict)
    renamed: list[str] = field(default_factory=list)
    refused: int = 0


class Load:
    """Two clients that write as fast as they are answered, until stopped."""

    def __init__(self, service: Service, port: int) -> None:
        self._service = service
        self._port = port
        self.ledger = Ledger()
        self._stop = threading.Event()
        self.target = service.client.create(
            "smtp", name="Target", hostname="127.0.0.1", port=port, checkInterval=0.1
        )
        self._threads = [
            threading.Thread(target=self._repeat, args=(write,))
            for write in (self._create, self._rename)
        ]

    def __enter__(self) -> Ledger:
        for thread in self._threads:
            thread.start()
        return self.ledger

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _repeat(self, write: Callable[[int], None]) -> None:
        number = 0
        while not self._stop.is_set():
            number += 1
            try:
                write(number)
            except (OSError, http.client.HTTPException):
                self.ledger.refused += 1

    def _create(self, number: int) -> None:
        body = {
            "customerId": 1,
            "name": f"Monitor {number}",
            "hostname": "127.0.0.1",
            "port": self._port,
            "smtpConfig": {"auth": {"user": "u", "pass": f"password {number}"}},
        }
        answer = self._service.client("POST", "/api/smtp-monitors", body)
        if answer.status == 201:
            self.ledger.created[answer.body["publicId"]] = answer.body

    def _rename(self, number: int) -> None:
        name = f"Target {number}"
        path = f"/api/smtp-monitors/{self.target['publicId']}"
        if self._service.client("PATCH", path, {"name": name}).status == 200:
            self.ledger.renamed.append(name)


@pytest.mark.thorough
def test_kill_9_of_each_process_under_load_loses_nothing_that_was_acknowledged(
    service: Service,
) -> None:
    load = Load(service, free_ports(1)[0])
    with load as ledger:
        for part in PARTS:
            _wait_for_writes(ledger)
            _kill_and_wait_for_restart(service, part)
            _wait_for_writes(ledger)

    _everything_acknowledged_is_there(service, ledger)
    _history_has_every_rename_in_order(service, load.target["publicId"], ledger)
    _checks_go_on(service, load.target["publicId"])


def test_kill_9_of_everything_at_once_loses_nothing_that_was_acknowledged(
    service: Service,
) -> None:
    load = Load(service, free_ports(1)[0])
    with load as ledger:
        _wait_for_writes(ledger)
        parts = [service.part(part) for part in PARTS]
        service.kill()
        for part in parts:
            _kill(part)
        service.start()
        _wait_for_writes(ledger)

    _everything_acknowledged_is_there(service, ledger)
    _history_has_every_rename_in_order(service, load.target["publicId"], ledger)
    _checks_go_on(service, load.target["publicId"])


def _wait_for_writes(ledger: Ledger) -> None:
    before = len(ledger.created)
    wait_until(lambda: len(ledger.created) > before + 5, what="writes")


def _kill_and_wait_for_restart(service: Service, part: str) -> None:
    killed = service.part(part)
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: service.part(part) != killed, what=f"{part} is started again")


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # its supervisor's death was faster


def _everything_acknowledged_is_there(service: Service, ledger: Ledger) -> None:
    shown: dict[str, dict[str, Any]] = {}
    total, page = 1, 0
    while len(shown) < total:
        page += 1
        answer = service.client("GET", f"/api/smtp-monitors?perPage=200&page={page}")
        total = answer.body["total"]
        shown |= {item["publicId"]: item for item in answer.body["items"]}
    numbers = sorted(item["id"] for item in shown.values())
    assert numbers == list(range(1, len(shown) + 1))
    for public_id, created in ledger.created.items():
        assert (shown[public_id]["id"], shown[public_id]["name"]) == (
            created["id"],
            created["name"],
        )


def _history_has_every_rename_in_order(service: Service, public_id: str, ledger: Ledger) -> None:
    with service.views() as views:
        events = readers_of(views.projector("monitors").log)[0].after(0, 100_000)
    names = [
        each.event.changes["name"]
        for each in events
        if str(each.event.originator_id) == public_id and hasattr(each.event, "changes")
    ]
    acknowledged = set(ledger.renamed)
    assert [name for name in names if name in acknowledged] == ledger.renamed


def _checks_go_on(service: Service, public_id: str) -> None:
    seen = service.wait_for_check(public_id)["checked_at"]
    wait_until(lambda: service.wait_for_check(public_id)["checked_at"] > seen, what="another check")
    assert service.wait_for_check(public_id)["outcome"]["category"] == "connect_refused"
