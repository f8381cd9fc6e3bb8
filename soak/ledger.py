"""The acknowledgements that clients got, kept outside of the service: none may get lost."""

from __future__ import annotations

import http.client
import threading
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any, Protocol, Self

from tests.waiting import wait_until

if TYPE_CHECKING:
    from tests.system.service import Answer, Client


CREATED = 201
OK = 200
UNANSWERED = (OSError, http.client.HTTPException)
"""What a client sees of a service that was killed. A command may have been recorded, or not."""


@dataclass
class Ledger:
    """The commands that were acknowledged."""

    monitors: dict[str, int] = field(default_factory=dict)
    customers: dict[str, int] = field(default_factory=dict)
    tokens: dict[str, int] = field(default_factory=dict)
    names: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    passwords: dict[str, str] = field(default_factory=dict)
    sent_passwords: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    deleted: set[str] = field(default_factory=set)
    statuses: Counter[int] = field(default_factory=Counter)
    unanswered: int = 0

    def so_far(self) -> Ledger:
        """Return a copy of the acknowledgements so far; it shares the passwords that were sent."""
        names = {public_id: list(each) for public_id, each in list(self.names.items())}
        return Ledger(
            monitors=dict(self.monitors),
            customers=dict(self.customers),
            tokens=dict(self.tokens),
            names=names,
            passwords=dict(self.passwords),
            sent_passwords=self.sent_passwords,
            deleted=set(self.deleted),
        )

    @property
    def acknowledged(self) -> int:
        """How many commands were acknowledged."""
        return sum(number for status, number in self.statuses.items() if status in {OK, CREATED})


class Served(Protocol):
    """A service that clients can send requests to."""

    @property
    def client(self) -> Client:
        """A client with the right to change everything."""


class Clients:
    """Clients that write as fast as they are answered, until the block ends.

    Each of them creates a monitor with a password, changes both, and deletes some; now and
    then it makes a customer and a token. No two of them touch the same monitor.
    """

    def __init__(self, service: Served, port: int, number: int = 2) -> None:
        self.ledger = Ledger()
        self._service = service
        self._port = port
        self._numbers = count(1)
        self._stop = threading.Event()
        self._failures: list[BaseException] = []
        self._threads = [threading.Thread(target=self._repeat) for _ in range(number)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        for failure in self._failures:
            raise failure

    def wait_for_more(self, commands: int = 3) -> None:
        """Wait until some more commands were acknowledged."""
        before = self.ledger.acknowledged
        wait_until(
            lambda: self._failures or self.ledger.acknowledged >= before + commands,
            seconds=60,
            what="acknowledged commands",
        )

    def once(self) -> None:
        """Do what each client does again and again; raises what UNANSWERED names."""
        number = next(self._numbers)
        public_id = self._create(number)
        if public_id is not None:
            self._rename(public_id, f"Renamed {number}")
            self._change_password(public_id, f"changed {number}")
            if number % 3 == 0:
                self._delete(public_id)
        if number % 5 == 0:
            self._make("/api/customers", {"name": f"C {number}", "email": "c@example.com"})
            body = {"name": f"Token {number}", "role": "readonly"}
            self._make("/api/organization/tokens", body)

    def _repeat(self) -> None:
        try:
            while not self._stop.is_set():
                try:
                    self.once()
                except UNANSWERED:
                    self.ledger.unanswered += 1
                    # A client without an answer retries, but not thousands of times a second.
                    self._stop.wait(0.05)
        except BaseException as failure:  # noqa: BLE001 - raised again by who waits for us
            self._failures.append(failure)

    def _create(self, number: int) -> str | None:
        body = {
            "customerId": 1,
            "name": f"Monitor {number}",
            "hostname": "127.0.0.1",
            "port": self._port,
            "checkInterval": 0.1,
            "status": "active" if number % 2 else "paused",
            "smtpConfig": {"auth": {"user": "u", "pass": f"password {number}"}},
        }
        answer = self._send("POST", "/api/smtp-monitors", body)
        if answer.status != CREATED:
            return None
        public_id: str = answer.body["publicId"]
        self.ledger.monitors[public_id] = answer.body["id"]
        self.ledger.names[public_id].append(f"Monitor {number}")
        self.ledger.sent_passwords[public_id].append(f"password {number}")
        self.ledger.passwords[public_id] = f"password {number}"
        return public_id

    def _rename(self, public_id: str, name: str) -> None:
        if self._patch(public_id, {"name": name}):
            self.ledger.names[public_id].append(name)

    def _change_password(self, public_id: str, password: str) -> None:
        # Until the answer comes either password is right.
        before = self.ledger.passwords.pop(public_id)
        self.ledger.sent_passwords[public_id].append(password)
        config = {"auth": {"user": "u", "pass": password}}
        if self._patch(public_id, {"smtpConfig": config}):
            self.ledger.passwords[public_id] = password
        else:
            self.ledger.passwords[public_id] = before

    def _delete(self, public_id: str) -> None:
        self.ledger.passwords.pop(public_id, None)
        if self._send("DELETE", f"/api/smtp-monitors/{public_id}").status == OK:
            self.ledger.deleted.add(public_id)

    def _patch(self, public_id: str, body: dict[str, Any]) -> bool:
        return self._send("PATCH", f"/api/smtp-monitors/{public_id}", body).status == OK

    def _make(self, path: str, body: dict[str, Any]) -> None:
        answer = self._send("POST", path, body)
        if answer.status == CREATED:
            made = answer.body.get("customer", answer.body)
            kept = self.ledger.customers if path.endswith("customers") else self.ledger.tokens
            kept[made["publicId"]] = made["id"]

    def _send(self, method: str, path: str, body: object = None) -> Answer:
        answer = self._service.client(method, path, body)
        self.ledger.statuses[answer.status] += 1
        return answer
