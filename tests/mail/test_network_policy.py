"""Which addresses a probe may go to."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail.net.policy import NetworkPolicy

BLOCKED = [
    "0.0.0.0",  # noqa: S104 (to be refused, not to be bound)
    "10.1.2.3",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:0:10.0.0.1",
    "64:ff9b::a00:1",
    "64:ff9b:1::a00:1",
    "100::1",
    "2001::1",
    "2001:10::1",
    "2001:db8::1",
    "2002:a00:1::1",
    "3fff::1",
    "4000::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
]

OPEN = ["8.8.8.8", "172.32.0.1", "100.128.0.1", "::ffff:8.8.8.8", "2606:4700::1", "2a00:1450::1"]


@pytest.mark.parametrize("address", BLOCKED)
def test_an_inner_address_is_refused(address: str) -> None:
    assert NetworkPolicy().refusal(ip_address(address))


@pytest.mark.parametrize("address", OPEN)
def test_a_public_address_is_open(address: str) -> None:
    assert NetworkPolicy().refusal(ip_address(address)) is None


def test_an_allowed_network_is_open_and_nothing_else() -> None:
    policy = NetworkPolicy.parse(("10.0.0.0/8", " ::1/128 "))

    assert policy.refusal(ip_address("10.1.2.3")) is None
    assert policy.refusal(ip_address("::ffff:10.1.2.3")) is None
    assert policy.refusal(ip_address("::1")) is None
    assert policy.refusal(ip_address("127.0.0.1")) == "loopback"
    # A gateway could bring it out anywhere, so IPv4 that is allowed does not open it.
    assert policy.refusal(ip_address("64:ff9b::a00:1")) == "NAT64"


@given(st.ip_addresses())
def test_what_python_calls_private_is_refused(address: object) -> None:
    judged = ip_address(str(address))
    if judged.is_private or judged.is_loopback or judged.is_link_local or judged.is_multicast:
        assert NetworkPolicy().refusal(judged)


@pytest.mark.parametrize("text", ["10.0.0.1/8", "localhost", "", "10.0.0.0/33"])
def test_a_wrong_network_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="allowed networks: "):
        NetworkPolicy.parse((text,))
