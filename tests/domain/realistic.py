"""Checks as a checker records them: a fleet of mail servers, their timings, certificates, failures.

The same seed makes the same checks.
"""

from __future__ import annotations

import heapq
import math
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from domain.checks import PerformedCheck
from domain.clock import iso_milliseconds
from tests.domain.given import TESTER

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from store.store import Store


START: Final = datetime(2026, 5, 1, tzinfo=UTC)
LOCATION: Final = "local"
_BATCH: Final = 500
_TYPICAL_MS: Final = {"dns": 4, "connect": 20, "tls": 50, "greeting": 30, "auth": 60}
_ISSUERS: Final = (
    "CN=R10,O=Example Trust,C=US",
    "CN=Example Domain Validation Secure Server CA,O=Example Limited,L=Salford,C=GB",
)
_FAILURES: Final = (
    ("timeout", "connect", "no answer to the connection within 30 s", None),
    ("auth_failed", "auth", "the login was refused", "535 5.7.8 Error: authentication failed"),
    ("greeting_temporary", "greeting", "the server is not ready", "421 4.3.2 busy, try later ({})"),
)


@dataclass(frozen=True, slots=True)
class Server:
    """One monitored server: what its checks repeat, and how its timings scatter."""

    monitor_id: UUID
    kind: str
    version: int
    fixed: dict[str, Any]
    tls: dict[str, Any] | None
    expires: datetime
    typical_ms: dict[str, float]
    scatter: float
    failing: float


class Fleet:
    """Servers that are checked every `interval_seconds`, each at its own phase."""

    def __init__(
        self,
        monitors: int | list[UUID],
        *,
        interval_seconds: float = 300,
        start: datetime = START,
        seed: int = 1,
    ) -> None:
        self._random = random.Random(seed)  # noqa: S311 - the same again, not secret
        self._are_made = isinstance(monitors, list)
        ids = monitors if isinstance(monitors, list) else [self._id() for _ in range(monitors)]
        self.servers = [self._server(number, each) for number, each in enumerate(ids)]
        self._start = start
        self._interval = interval_seconds
        self._due = [
            (self._random.uniform(0, interval_seconds), number) for number in range(len(ids))
        ]
        heapq.heapify(self._due)

    def checks(self, count: int) -> list[PerformedCheck]:
        """Return the next checks, in the order in which they end."""
        made = []
        for _ in range(count):
            due, number = heapq.heappop(self._due)
            heapq.heappush(self._due, (due + self._interval, number))
            made.append(self._check(self.servers[number], self._start + timedelta(seconds=due)))
        return sorted(made, key=lambda check: check.finished_at)

    def _id(self) -> UUID:
        return UUID(int=self._random.getrandbits(128), version=4)

    def _server(self, number: int, monitor_id: UUID) -> Server:
        rng = self._random
        is_smtp, is_encrypted, has_login = (
            rng.random() < 0.6,
            rng.random() < 0.9,
            rng.random() < 0.4,
        )
        if is_smtp:
            phases = ["dns", "connect", "greeting", "ehlo"]
            phases += ["starttls", "tls"] if is_encrypted else []
            phases += ["auth"] if has_login else []
        else:
            phases = [
                "dns",
                "connect",
                *(["tls"] if is_encrypted else []),
                "greeting",
                "capability",
            ]
            phases += ["auth", "mailbox"] if has_login else []
        host = f"mail{number}.customer{number % 97}.example"
        issued = START - timedelta(seconds=rng.randrange(60 * 86_400))
        expires = issued + timedelta(days=90)
        facts = {
            "version": rng.choice(["TLSv1.3", "TLSv1.3", "TLSv1.2"]),
            "cipher": rng.choice(["TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256"]),
            "subject": f"CN={host}",
            "issuer": rng.choice(_ISSUERS),
            "names": [host, *[f"{each}.{host}" for each in ("imap", "pop")[: rng.randrange(3)]]],
            "not_before": issued.isoformat(),
            "not_after": expires.isoformat(),
            "days_left": 0,
            "fingerprint_sha256": rng.randbytes(32).hex(),
            "verdict": "ok",
            "verify_code": 0,
            "verify_message": "ok",
        }
        address = ".".join(str(rng.randint(1, 254)) for _ in range(4))
        return Server(
            monitor_id=monitor_id,
            kind="smtp" if is_smtp else "imap_pop",
            version=1 if self._are_made else rng.randint(1, 4),
            fixed={"address": address, "port": 587 if is_smtp else 993},
            tls=facts if is_encrypted else None,
            expires=expires,
            typical_ms={
                each: math.exp(rng.gauss(math.log(_TYPICAL_MS.get(each, 20)), 0.8))
                for each in (*phases, "quit")
            },
            scatter=rng.uniform(0.05, 0.4),
            failing=0.002 if rng.random() < 0.97 else 0.3,
        )

    def _check(self, server: Server, due: datetime) -> PerformedCheck:
        rng = self._random
        # The loop's tick, and now and then other work.
        started = due + timedelta(milliseconds=rng.uniform(0, 20) + abs(rng.gauss(0, 6)))
        failure = rng.choice(_FAILURES) if rng.random() < server.failing else None
        timings: dict[str, float] = {}
        for phase, typical in server.typical_ms.items():
            timings[phase] = round(typical * math.exp(rng.gauss(0, server.scatter)), 3)
            if failure and phase == failure[1]:
                break
        timings["total"] = round(sum(timings.values()) + rng.uniform(0, 0.005), 3)
        ended = started + timedelta(milliseconds=timings["total"] + rng.uniform(0.02, 0.4))
        return PerformedCheck(
            monitor_id=server.monitor_id,
            monitor_version=server.version,
            kind=server.kind,
            due_at=iso_milliseconds(due + timedelta(milliseconds=rng.uniform(-0.4, 0.4))),
            started_at=iso_milliseconds(started),
            finished_at=ended,
            outcome=self._outcome(server, timings, failure, ended),
        )

    def _outcome(
        self,
        server: Server,
        timings: dict[str, float],
        failure: tuple[str, str, str, str | None] | None,
        ended: datetime,
    ) -> dict[str, Any]:
        category, phase, message, reply = failure or ("ok", None, "The server answers", None)
        days = (server.expires - ended).days
        tls = {**server.tls, "days_left": days} if server.tls and "tls" in timings else None
        expiring = {"code": "cert_expires_soon", "message": f"the certificate ends in {days} days"}
        return {
            "verdict": "down" if failure else "up",
            "category": category,
            "phase": phase,
            "message": message,
            "server_reply": reply.format(self._random.randbytes(5).hex()) if reply else None,
            **server.fixed,
            "timings": timings,
            "tls": tls,
            "warnings": [expiring] if tls and days < 14 else [],
        }


def record(store: Store, checks: Iterable[PerformedCheck]) -> int:
    """Append checks in batches; return how many."""
    count = 0
    for batch in _batches(checks):
        store.checks.record(batch, location=LOCATION, actor=TESTER)
        count += len(batch)
    return count


def _batches(checks: Iterable[PerformedCheck]) -> Iterator[list[PerformedCheck]]:
    batch: list[PerformedCheck] = []
    for check in checks:
        batch.append(check)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
