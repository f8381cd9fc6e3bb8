"""Places at an address, on real servers: hanging checks of some do not hold up those of others."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from mail.prober import Prober
from tests.checker.monitors import Owner
from tests.checker.whole_run import running_checker
from tests.mailservers.dns_server import dns_server
from tests.mailservers.scripted import scripted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from store.store import Store
    from tests.mailservers.scripted import Peer


INTERVAL_SECONDS = 2.0
NAMES = [f"customer{number}.example" for number in range(80)]


class Counted:
    """A server that hangs for those who ask for TLS, and counts its connections."""

    def __init__(self) -> None:
        self.open = 0
        self.most_open = 0
        self._lock = threading.Lock()

    def __call__(self, peer: Peer) -> None:
        with self._counted():
            peer.send(b"220 mx ESMTP\r\n")
            peer.expect("EHLO")
            peer.send(b"250-mx\r\n250 STARTTLS\r\n")
            if b"QUIT" in peer.read_line():
                peer.send(b"221 bye\r\n")
            peer.wait_for_end()

    @contextmanager
    def _counted(self) -> Iterator[None]:
        with self._lock:
            self.open += 1
            self.most_open = max(self.most_open, self.open)
        try:
            yield
        finally:
            with self._lock:
                self.open -= 1


@pytest.mark.parametrize(
    "is_of_same_organization", [False, pytest.param(True, marks=pytest.mark.thorough)]
)
async def test_60_hanging_monitors_of_others_on_one_address_and_port(
    store: Store, *, is_of_same_organization: bool
) -> None:
    ours, others = Owner(store), Owner(store)
    if is_of_same_organization:
        others = ours.beside()
    server = Counted()
    with scripted(server) as port, dns_server({"mx.example": ["127.0.0.1"]}) as dns:
        prober = Prober.from_settings(("127.0.0.0/8",), (dns.address,))
        for _ in range(60):
            others.create(
                hostname="127.0.0.1",
                port=port,
                check_interval=INTERVAL_SECONDS / 60,
                timeout_seconds=1,
                config={"requireTls": True},
            )
        async with running_checker(store, prober.probe) as checker:
            await checker.wait_for_checks(10)
            healthy = ours.create(
                hostname="mx.example",
                port=port,
                check_interval=INTERVAL_SECONDS / 60,
                config={"ignoreTls": True},
            )
            found = await checker.wait_for_checks(
                6, lambda each: each.monitor_id == str(healthy.id)
            )

    assert {each.outcome["category"] for each in found} == {"ok"}
    dues = [datetime.fromisoformat(each.due_at).timestamp() for each in found[1:]]
    distances = {round(later - earlier, 2) for earlier, later in pairwise(dues)}
    assert distances == {INTERVAL_SECONDS}
    assert server.most_open <= 10


@pytest.mark.thorough
async def test_80_names_of_one_address_have_ten_connections_at_most(store: Store) -> None:
    server, owner = Counted(), Owner(store)
    with scripted(server) as port, dns_server({name: ["127.0.0.1"] for name in NAMES}) as dns:
        prober = Prober.from_settings(("127.0.0.0/8",), (dns.address,))
        for name in NAMES:
            owner.create(hostname=name, port=port, timeout_seconds=0.5, config={"requireTls": True})
        async with running_checker(store, prober.probe) as checker:
            found = await checker.wait_for_checks(80)
            assert checker.metrics.waiting == 0

    assert {each.outcome["category"] for each in found} == {"timeout"}
    assert 1 < server.most_open <= 10
