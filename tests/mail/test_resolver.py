"""Host names: literals, the hosts file, DNS and its faults, the cache."""

from __future__ import annotations

import errno
from ipaddress import ip_address
from typing import TYPE_CHECKING

import dns.asyncresolver
import dns.resolver
import pytest
import trio
import trio.testing

from domain.check import Category, Phase
from mail.net.errors import exhaustion
from mail.net.resolver import (
    MAX_RECORDS,
    MAX_TTL_SECONDS,
    NEGATIVE_TTL_SECONDS,
    REREAD_SECONDS,
    DnsAnswer,
    DnsClient,
    HostsFile,
    Resolver,
)
from mail.prober import Prober
from mail.protocols.dialogue import ProbeFailed
from mail.protocols.target import ProbeTarget
from tests.mailservers.dns_server import DnsServer, dns_server
from tests.mailservers.scripted import NEEDS_IPV6, scripted, steps

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mail.net.addresses import Address
    from tests.mailservers.dns_server import Zone


ZONE: Zone = {
    "mx.example": ["127.0.0.1"],
    "six.example": ["::1"],
    "both.example": ["127.0.0.5", "::1", "127.0.0.2"],
    "rebinding.example": ["127.0.0.1", "10.0.0.1"],
    "empty.example": [],
    "xn--bcher-kva.example": ["127.0.0.1"],
    "many.example": [f"127.1.{number // 250}.{number % 250 + 1}" for number in range(2000)],
    "servfail.example": "servfail",
    "refused.example": "refused",
}


class _FakeDns:
    """Answers when the test lets it."""

    def __init__(self, answer: DnsAnswer) -> None:
        self.answer = answer
        self.asked = 0
        self.released = trio.Event()

    async def query(self, name: str) -> DnsAnswer:
        assert name == "mx.example"
        self.asked += 1
        await self.released.wait()
        return self.answer


@pytest.fixture(scope="module")
def name_server() -> Iterator[DnsServer]:
    with dns_server(ZONE) as server:
        yield server


@pytest.fixture(scope="module")
def named_prober(name_server: DnsServer, ca_file: Path) -> Prober:
    return Prober.from_settings(("127.0.0.0/8", "::1/128"), (name_server.address,), ca_file)


def _addresses(*texts: str) -> tuple[Address, ...]:
    return tuple(map(ip_address, texts))


def _no_hosts(tmp_path: Path) -> HostsFile:
    return HostsFile(tmp_path / "absent", trio.current_time)


@pytest.mark.parametrize(
    ("name", "category"),
    [
        ("absent.example", Category.DNS_NXDOMAIN),
        ("empty.example", Category.DNS_NO_ADDRESS),
        ("servfail.example", Category.DNS_SERVFAIL),
        ("refused.example", Category.DNS_SERVFAIL),
        ("rebinding.example", Category.ADDRESS_BLOCKED),
        ("10.0.0.1", Category.ADDRESS_BLOCKED),
        ("[::ffff:10.0.0.1]", Category.ADDRESS_BLOCKED),
        ("127.1", Category.DNS_NXDOMAIN),
        ("2130706433", Category.DNS_NXDOMAIN),
        ("-\N{SNOWMAN}-.example", Category.DNS_NXDOMAIN),
        (f"{'x' * 64}.example", Category.DNS_SERVFAIL),
        ("a..example", Category.DNS_SERVFAIL),
    ],
)
async def test_a_name_that_leads_nowhere(
    named_prober: Prober, name: str, category: Category
) -> None:
    outcome = await named_prober.probe(_target(name, 25))

    assert (outcome.category, outcome.phase) == (category, Phase.DNS)


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("mx.example", "127.0.0.1"),
        ("MX.Example.", "127.0.0.1"),
        ("bücher.example", "127.0.0.1"),
        pytest.param("six.example", "::1", marks=NEEDS_IPV6),
        pytest.param("[::1]", "::1", marks=NEEDS_IPV6),
        ("both.example", "127.0.0.2"),
        ("localhost", "127.0.0.1"),
    ],
)
async def test_a_name_that_leads_somewhere(named_prober: Prober, name: str, host: str) -> None:
    script = steps(b"220 mx\r\n", "EHLO", b"250 mx\r\n", "QUIT", b"221 bye\r\n")
    with scripted(script, host=host) as port:
        outcome = await named_prober.probe(_target(name, port))

    assert (outcome.category, outcome.address) == (Category.OK, host)


async def test_of_2000_addresses_few_are_kept(name_server: DnsServer, tmp_path: Path) -> None:
    resolver = Resolver(DnsClient((name_server.address,)), _no_hosts(tmp_path))

    assert len(await resolver.resolve("many.example")) == MAX_RECORDS


async def test_families_take_turns(name_server: DnsServer, tmp_path: Path) -> None:
    resolver = Resolver(DnsClient((name_server.address,)), _no_hosts(tmp_path))

    found = await resolver.resolve("both.example")

    assert [each.version for each in found] == [6, 4, 4]
    assert set(found) == set(_addresses("::1", "127.0.0.5", "127.0.0.2"))


async def test_one_lookup_serves_all_who_ask(tmp_path: Path) -> None:
    fake = _FakeDns(DnsAnswer(_addresses("192.0.2.1"), 60))
    resolver = Resolver(fake, _no_hosts(tmp_path))
    found: list[tuple[Address, ...]] = []

    async def ask() -> None:
        found.append(await resolver.resolve("mx.example"))

    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked()
        fake.released.set()

    assert found == [_addresses("192.0.2.1")] * 10
    assert fake.asked == 1


async def test_a_lookup_outlives_the_one_who_began_it(tmp_path: Path) -> None:
    fake = _FakeDns(DnsAnswer(_addresses("192.0.2.1"), 60))
    resolver = Resolver(fake, _no_hosts(tmp_path))

    async with trio.open_nursery() as nursery, trio.open_nursery() as impatient:
        impatient.start_soon(resolver.resolve, "mx.example")
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(resolver.resolve, "mx.example")
        await trio.testing.wait_all_tasks_blocked()
        impatient.cancel_scope.cancel()
        fake.released.set()

    assert fake.asked == 2


async def test_an_answer_is_kept_for_its_time_but_not_for_ever(
    tmp_path: Path,
    autojump_clock: trio.testing.MockClock,  # noqa: ARG001 (its presence is what counts)
) -> None:
    fake = _FakeDns(DnsAnswer(_addresses("192.0.2.1"), 1_000_000))
    fake.released.set()
    resolver = Resolver(fake, _no_hosts(tmp_path))

    await resolver.resolve("mx.example")
    await trio.sleep(MAX_TTL_SECONDS - 1)
    await resolver.resolve("mx.example")
    assert fake.asked == 1

    await trio.sleep(2)
    await resolver.resolve("mx.example")
    assert fake.asked == 2


@pytest.mark.parametrize(
    ("category", "asked"), [(Category.DNS_NXDOMAIN, 1), (Category.DNS_SERVFAIL, 2)]
)
async def test_only_an_answer_about_the_name_is_kept(
    tmp_path: Path,
    autojump_clock: trio.testing.MockClock,  # noqa: ARG001 (its presence is what counts)
    category: Category,
    asked: int,
) -> None:
    fake = _FakeDns(DnsAnswer(failure=(category, "no")))
    fake.released.set()
    resolver = Resolver(fake, _no_hosts(tmp_path))

    for _ in range(2):
        with pytest.raises(ProbeFailed):
            await resolver.resolve("mx.example")
    assert fake.asked == asked

    await trio.sleep(NEGATIVE_TTL_SECONDS + 1)
    with pytest.raises(ProbeFailed):
        await resolver.resolve("mx.example")
    assert fake.asked == asked + 1


def test_the_hosts_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    now = 0.0
    path = tmp_path / "hosts"
    path.write_text(
        "192.0.2.1 mx.example MX2.example # a remark\nnonsense here\n2001:db8::1 mx.example\n"
    )
    hosts = HostsFile(path, lambda: now)
    assert hosts.find("mx.example") == _addresses("192.0.2.1", "2001:db8::1")
    assert hosts.find("mx2.example") == _addresses("192.0.2.1")
    assert hosts.find("here") == ()
    assert hosts.find("localhost") == _addresses("::1", "127.0.0.1")

    path.unlink()
    assert hosts.find("mx.example")
    now = REREAD_SECONDS
    assert hosts.find("mx.example") == ()


@pytest.mark.parametrize("text", ["dns.example", "127.0.0.1:x", "[::1]", "", "127.0.0.1:"])
def test_a_wrong_name_server_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="name server "):
        DnsClient((text,))


def test_a_system_without_name_servers_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def unconfigured(**_: object) -> None:
        raise dns.resolver.NoResolverConfiguration

    monkeypatch.setattr(dns.asyncresolver, "Resolver", unconfigured)

    with pytest.raises(ValueError, match="no name servers"):
        DnsClient()


async def test_one_family_that_is_silent_does_not_hold_up_the_other(
    tmp_path: Path,
) -> None:
    with (
        dns_server({"mx.example": ["127.0.0.1"]}, silent_kinds=("AAAA",)) as server,
        trio.fail_after(30),
    ):
        client = DnsClient((server.address,), lifetime_seconds=3600)
        resolver = Resolver(client, _no_hosts(tmp_path))
        assert await resolver.resolve("mx.example") == _addresses("127.0.0.1")


async def test_silence_and_errors_are_different_failures() -> None:
    with dns_server({"mx.example": "silent"}) as server:
        client = DnsClient((server.address,), lifetime_seconds=0.3)
        answer = await client.query("mx.example")

    assert answer.failure is not None
    assert answer.failure[0] is Category.DNS_TIMEOUT


async def test_lack_of_sockets_is_no_fault_of_the_name_servers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(trio.socket, "socket", full)
    with pytest.raises(ExceptionGroup) as caught:
        await DnsClient(["127.0.0.1"]).query("mx.example")

    lack = exhaustion(caught.value)
    assert lack is not None
    assert lack.errno == errno.EMFILE


def test_a_group_with_anything_else_in_it_is_no_lack() -> None:
    lack = OSError(errno.ENOMEM, "Cannot allocate memory")

    assert exhaustion(ExceptionGroup("both", [lack, ExceptionGroup("inner", [lack])])) is lack
    assert exhaustion(ExceptionGroup("mixed", [lack, ZeroDivisionError()])) is None
    assert exhaustion(OSError(errno.ENOENT, "No such file")) is None


async def test_the_cache_has_an_end(tmp_path: Path) -> None:
    with dns_server({f"mx{each}.example": ["127.0.0.1"] for each in range(3)}) as server:
        client = DnsClient((server.address,))
        resolver = Resolver(client, _no_hosts(tmp_path), max_cached=2)
        for each in (0, 1, 2, 2, 0):
            await resolver.resolve(f"mx{each}.example")

    # A and AAAA each; only the name that was pushed out is asked again.
    assert server.queries == {"mx0.example": 4, "mx1.example": 2, "mx2.example": 2}


def _target(hostname: str, port: int) -> ProbeTarget:
    return ProbeTarget(protocol="smtp", hostname=hostname, port=port, tls="auto", timeout_seconds=5)
