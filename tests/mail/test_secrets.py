"""No outcome, trace or text shows a secret, however the server echoes it."""

from __future__ import annotations

import time
from base64 import b64encode, urlsafe_b64encode
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.check import Category
from mail.protocols import PROTOCOLS
from mail.protocols.redaction import MAX_TEXT, Redactor
from mail.protocols.target import ProbeTarget
from mail.transcript import Trace
from tests.mail.fault_cases import tls
from tests.mailservers.scripted import Peer, scripted, steps

if TYPE_CHECKING:
    from collections.abc import Callable

    from mail.prober import Prober
    from mail.protocols.target import ProtocolName
    from tests.mailservers.certificates import CertificateShop


CANARY = "xK9-canary-Zq7"
USER = "alice@example.org"

_TO_LOGIN: dict[ProtocolName, tuple[bytes | str, ...]] = {
    "smtp": (b"220 mx\r\n", "EHLO", b"250-mx\r\n250 AUTH PLAIN\r\n"),
    "imap": (b"* OK hi\r\n", "CAPABILITY", b"* CAPABILITY IMAP4rev1\r\na1 OK done\r\n"),
    "pop3": (b"+OK hi\r\n", "CAPA", b"+OK\r\nUSER\r\n.\r\n", "USER", b"+OK\r\n"),
    "managesieve": (b'"IMPLEMENTATION" "x"\r\n"SASL" "PLAIN"\r\nOK\r\n',),
}
_GREETING: dict[ProtocolName, bytes] = {
    "smtp": b"554 ",
    "imap": b"* BYE ",
    "pop3": b"-ERR ",
    "managesieve": b"NO ",
}
_REFUSAL: dict[ProtocolName, bytes] = {
    "smtp": b"535 ",
    "imap": b"a2 NO ",
    "pop3": b"-ERR ",
    "managesieve": b"NO ",
}
_MASKED: dict[ProtocolName, str] = {
    "smtp": "AUTH PLAIN ***",
    "imap": "a2 LOGIN ***",
    "pop3": "PASS ***",
    "managesieve": 'AUTHENTICATE "PLAIN" "***"',
}

_ECHOES: dict[str, Callable[[bytes], bytes]] = {
    "the line": lambda line: line,
    "the line in upper case": bytes.upper,
    "the password": lambda _: f"bad password <{CANARY}>".encode(),
    "the password with controls in it": lambda _: "\x1b[1m".join(CANARY).encode(),
    "the password in base64": lambda _: b64encode(CANARY.encode()),
    "more in base64": lambda _: b64encode(f"user={USER}, password={CANARY}.".encode()),
    "more in another base64": lambda _: urlsafe_b64encode(f"?pw={CANARY}".encode()),
    "the line percent-encoded": lambda line: quote(line).encode(),
    "the password quoted-printable": lambda _: CANARY.replace("-", "=2D").encode(),
    "every byte percent-encoded": lambda _: "".join(
        f"%{ord(each):02x}" for each in CANARY
    ).encode(),
    "the password at the cut": lambda _: b"x" * (MAX_TEXT - 8) + CANARY.encode(),
}


def _echo(refusal: bytes, make: Callable[[bytes], bytes]) -> Callable[[Peer], None]:
    return lambda peer: peer.send(refusal + make(peer.read_line().strip()) + b"\r\n")


@pytest.mark.quick_cases(16)
@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("what", _ECHOES)
async def test_a_password_that_is_echoed_is_masked(
    prober: Prober, protocol: ProtocolName, what: str
) -> None:
    trace = Trace()
    with scripted(steps(*_TO_LOGIN[protocol], _echo(_REFUSAL[protocol], _ECHOES[what]))) as port:
        outcome = await prober.probe(_target(protocol, port), trace=trace)

    assert outcome.category is Category.AUTH_FAILED
    for shown in (repr(outcome), str(outcome.as_json()), repr(trace)):
        assert not _leaks(shown)
        assert "\x1b" not in shown


_OVER_LINES: dict[str, tuple[bytes, ...]] = {
    "in clear": (b"bad password xK9-can", b"ary-Zq7, sorry"),
    "with a soft line break": (b"bad password xK9=2Dcan=", b"ary=2DZq7, sorry"),
    "in base64": tuple(b64encode(CANARY.encode())[start : start + 7] for start in (0, 7, 14)),
}


@pytest.mark.parametrize("how", _OVER_LINES)
async def test_a_password_that_is_echoed_over_several_lines_is_masked(
    prober: Prober, how: str
) -> None:
    *first, last = _OVER_LINES[how]
    lines = b"".join(b"535-%b\r\n" % line for line in first) + b"535 %b\r\n" % last
    with scripted(steps(*_TO_LOGIN["smtp"], "AUTH", lines)) as port:
        outcome = await prober.probe(_target("smtp", port))

    assert outcome.server_reply is not None
    assert "***" in outcome.server_reply
    assert not any(line[-6:].decode().strip("=") in outcome.server_reply for line in first)
    assert not _leaks(outcome.server_reply.replace(" / ", ""))


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_trace_shows_both_sides_without_the_password(
    prober: Prober, protocol: ProtocolName
) -> None:
    trace = Trace()
    with scripted(steps(*_TO_LOGIN[protocol], _echo(_REFUSAL[protocol], lambda _: b"no"))) as port:
        await prober.probe(_target(protocol, port), trace=trace)

    assert {line.side for line in trace.lines} == {"client", "server"}
    assert [line.text for line in trace.lines[-3:]] == [
        _MASKED[protocol],
        (_REFUSAL[protocol] + b"no").decode(),
        PROTOCOLS[protocol].farewell.decode(),
    ]
    assert not _leaks(repr(trace))


def test_a_target_hides_its_password() -> None:
    target = _target("smtp", 25)

    assert CANARY not in repr(target)
    assert CANARY not in str(target)


def test_a_wrong_target_does_not_tell_its_password() -> None:
    with pytest.raises(ValueError, match="password must not contain line breaks") as caught:
        replace(_target("smtp", 25), password=f"{CANARY}\r\nQUIT")

    assert CANARY not in str(caught.value)


@given(st.text(min_size=8), st.binary(), st.binary())
def test_a_password_is_found_in_any_base64(password: str, before: bytes, after: bytes) -> None:
    secret = password.encode("utf-8", "replace")

    shown = Redactor([secret]).clean(b64encode(before + secret + after))

    # The neighbours of a secret are encoded together with it, so all of it goes.
    assert shown == "***"


@given(
    st.text(st.characters(exclude_categories=["C", "Z"]), min_size=4),
    st.sampled_from(["", " / ", "= / ", " "]),
    st.booleans(),
)
def test_a_password_is_found_percent_encoded_and_broken_anywhere(
    password: str,
    gap: str,
    everything: bool,  # noqa: FBT001
) -> None:
    secret = password.encode()
    # What an encoding, or our own sign for a line, needs for itself is never left as it is.
    plain = range(0) if everything else range(0x21, 0x7F)
    pieces = [
        chr(byte) if byte in plain and chr(byte) not in "%=/" else f"%{byte:02X}" for byte in secret
    ]

    shown = Redactor([secret]).clean(gap.join(pieces).encode())

    assert shown == "***"


def test_a_secret_behind_the_cut_leaves_no_trace() -> None:
    shown = Redactor([b"secret"]).clean(b"x" * (MAX_TEXT + 10) + b"secret")

    assert shown == "x" * (MAX_TEXT - 1) + "…"


@pytest.mark.parametrize("length", [21, 200])
def test_no_byte_of_a_password_is_shown_wherever_it_begins(length: int) -> None:
    secret = bytes(ord("a") + number % 26 for number in range(length))
    encoded = "= / ".join(f"%{byte:02X}" for byte in secret)
    for before in range(500):
        shown = Redactor([secret]).clean(b"." * before + encoded.encode())
        assert "%" not in shown, before


def test_a_long_answer_does_not_hold_up_the_process() -> None:
    # Base64 for a search that tries each place: it used to take half a minute.
    words = b" / ".join([b"x" * 2040] * 31)
    secrets = [CANARY.encode(), b64encode(f"\0{USER}\0{CANARY}".encode())]

    began = time.process_time()
    Redactor(secrets).clean(words)

    assert time.process_time() - began < 1


@given(st.binary())
def test_text_of_a_server_is_one_short_printable_line(words: bytes) -> None:
    shown = Redactor().clean(words)

    assert shown.isprintable()
    assert len(shown) <= MAX_TEXT


def _leaks(shown: str) -> bool:
    wire = b64encode(f"\0{USER}\0{CANARY}".encode()).decode()
    forms = (CANARY, b64encode(CANARY.encode()).decode().rstrip("="), wire)
    return any(form.lower() in shown.lower() for form in forms)


def _target(protocol: ProtocolName, port: int) -> ProbeTarget:
    return ProbeTarget(
        protocol=protocol,
        hostname="127.0.0.1",
        port=port,
        tls="never",
        user=USER,
        password=CANARY,
        timeout_seconds=5,
    )


@pytest.mark.parametrize("wants_login", [True, False])
async def test_a_password_in_the_servers_certificate_is_masked(
    prober: Prober,
    certificates: CertificateShop,
    wants_login: bool,  # noqa: FBT001
) -> None:
    certificate = certificates.issue(f"{CANARY.lower()}.example", organization=CANARY)
    trace = Trace()
    with scripted(steps(tls(certificate), b"220 mx\r\n")) as port:
        target = replace(
            _target("smtp", port),
            tls="implicit",
            verify_certificate=False,
            wants_login=wants_login,
        )
        outcome = await prober.probe(target, trace=trace)

    assert outcome.tls is not None
    assert outcome.tls.names == ("***.example",)
    assert "***" in outcome.tls.subject
    for shown in (repr(outcome), str(outcome.as_json()), repr(trace)):
        assert not _leaks(shown)


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_password_is_masked_where_the_login_is_left_out(
    prober: Prober, protocol: ProtocolName
) -> None:
    # The server knows the password from an earlier login.
    greeting = _GREETING[protocol] + CANARY.encode() + b"\r\n"
    trace = Trace()
    with scripted(steps(greeting)) as port:
        target = _target(protocol, port).without_login()
        outcome = await prober.probe(target, trace=trace)

    assert target.credentials is None
    assert outcome.server_reply is not None
    assert "***" in outcome.server_reply
    for shown in (repr(outcome), str(outcome.as_json()), repr(trace)):
        assert not _leaks(shown)


async def test_a_password_in_an_offer_is_masked(prober: Prober) -> None:
    offer = f"250-mx\r\n250 AUTH {CANARY} GSSAPI\r\n".encode()
    with scripted(steps(b"220 mx\r\n", "EHLO", offer)) as port:
        outcome = await prober.probe(_target("smtp", port))

    assert outcome.message.endswith("it offers: ***, GSSAPI")
    assert outcome.login is not None
    assert outcome.login.offered == ("***", "GSSAPI")
    assert not _leaks(repr(outcome))


async def test_a_token_that_is_echoed_is_masked(prober: Prober) -> None:
    script = steps(
        b"220 mx\r\n",
        "EHLO",
        b"250-mx\r\n250 AUTH XOAUTH2\r\n",
        _echo(b"535 ", lambda line: line + b" " + CANARY.encode()),
    )
    trace = Trace()
    with scripted(script) as port:
        target = replace(_target("smtp", port), password=None, access_token=CANARY)
        outcome = await prober.probe(target, trace=trace)

    assert outcome.category is Category.AUTH_FAILED
    assert CANARY not in repr(target)
    for shown in (repr(outcome), str(outcome.as_json()), repr(trace)):
        assert not _leaks(shown)


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_facts_without_a_secret_are_kept_as_they_are(
    prober: Prober, certificates: CertificateShop, protocol: ProtocolName
) -> None:
    with scripted(steps(tls(certificates.good), _GREETING[protocol] + b"\r\n")) as port:
        outcome = await prober.probe(replace(_target(protocol, port), tls="implicit"))

    assert outcome.tls is not None
    assert outcome.tls.names == ("localhost", "127.0.0.1")
