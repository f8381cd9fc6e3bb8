"""Properties of all dialogues, for any bytes that a server sends."""

from __future__ import annotations

import itertools
import re
from base64 import b64encode
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.check import Category
from mail.protocols import PROTOCOLS
from mail.protocols.dialogue import ProbeFailed
from mail.protocols.line_reader import SHORT_LINES, LineReader
from mail.protocols.scram import MAX_ITERATIONS
from tests.mail.dialogue_player import SERVER_FIRST, play, target

if TYPE_CHECKING:
    from domain.kinds import TlsMode
    from mail.protocols.target import ProtocolName


# Fragments that lead deep into the dialogues; hypothesis puts them together at random.
_FRAGMENTS = [
    b"220 mx\r\n",
    b"250-mx\r\n250-STARTTLS\r\n250 AUTH PLAIN LOGIN\r\n",
    b"250-mx\r\n250 AUTH CRAM-MD5\r\n",
    b"334 PDE+\r\n",
    b"250-mx\r\n250 AUTH SCRAM-SHA-256 SCRAM-SHA-1-PLUS OAUTHBEARER LOGIN\r\n",
    b"334 %b\r\n" % b64encode(SERVER_FIRST),
    b"334 %b\r\n" % b64encode(SERVER_FIRST.replace(b"4096", b"1000000000")),
    b"334 %b\r\n" % b64encode(b"e=other-error"),
    b"504 no\r\n",
    b"535 no\r\n",
    b"* CAPABILITY IMAP4rev1 ID SASL-IR AUTH=SCRAM-SHA-1 AUTH=LOGIN\r\na1 OK\r\n",
    b"+ %b\r\n" % b64encode(SERVER_FIRST),
    b"a2 NO [CANNOT]\r\n",
    b"a2 NO no\r\n",
    b'* LIST () "/" {12}\r\n',
    b"* LIST {9223372036854775808}\r\n",
    b"+OK\r\nSASL SCRAM-SHA-256 PLAIN\r\nLOGIN-DELAY 99\r\n.\r\n",
    b"-ERR no\r\n",
    b'"SASL" "SCRAM-SHA-1 PLAIN"\r\nOK\r\n',
    b'"%b"\r\n' % b64encode(SERVER_FIRST),
    b"NO\r\n",
    b"235 ok\r\n",
    b"221 bye\r\n",
    b"421 no\r\n",
    b"* OK hi\r\n",
    b"* PREAUTH hi\r\n",
    b"* CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN SASL-IR\r\na1 OK\r\n",
    b"* CAPABILITY IMAP4rev1\r\na1 OK\r\n",
    *(b"a%d OK\r\n" % tag for tag in range(1, 7)),
    b"a2 NO [UNAVAILABLE]\r\n",
    b"+ go\r\n",
    b"* BYE\r\n",
    b"+OK <1@a>\r\n",
    b"+OK\r\nSTLS\r\nUSER\r\nSASL PLAIN\r\n.\r\n",
    b"+OK\r\nTOP\r\n.\r\n",
    b"-ERR [IN-USE] no\r\n",
    b'"IMPLEMENTATION" "x"\r\n"SASL" "PLAIN LOGIN"\r\n"STARTTLS"\r\nOK\r\n',
    b'"SASL" {8}\r\nCRAM-MD5\r\nOK {3}\r\na\r\n\r\n',
    b"OK\r\n",
    b'NO (TRYLATER) "no"\r\n',
    b"BYE\r\n",
    b'"PDE+"\r\n',
    b'""\r\n',
    b"{3}\r\n",
    b"{70000}\r\n",
    b"\n",
    b"\r",
    b" ",
    b"\0",
    b"\xff\xfe",
    b"x" * 700,
]

_LOGIN = re.compile(rb"AUTH |PASS |APOP |AUTHENTICATE |a\d+ (LOGIN|AUTHENTICATE) ")

_protocols = st.sampled_from(sorted(PROTOCOLS))
_modes = st.sampled_from(["implicit", "never", "auto", "require"])
_passwords = st.text(
    st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]), min_size=1
)
_streams = st.lists(st.sampled_from(_FRAGMENTS) | st.binary(max_size=40), max_size=30)


def _split(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in itertools.pairwise(places)]


@given(_protocols, _modes, _passwords, _streams)
def test_any_bytes_end_in_an_outcome(
    protocol: ProtocolName, tls: TlsMode, password: str, stream: list[bytes]
) -> None:
    # Anything but ProbeFailed would come out of here and fail the test.
    play(target(protocol, tls, password), stream)


@given(_protocols, _modes, _streams, st.lists(st.integers(0, 10_000), max_size=20))
def test_any_split_of_the_bytes_gives_the_same_result(
    protocol: ProtocolName, tls: TlsMode, stream: list[bytes], cuts: list[int]
) -> None:
    data = b"".join(stream)
    asked = target(protocol, tls)

    whole = play(asked, [data])

    assert play(asked, _split(data, cuts)) == whole
    assert play(asked, [bytes([each]) for each in data]) == whole


@given(_protocols, _modes, _streams)
def test_each_way_to_log_in_is_tried_once_and_none_after_the_password_was_judged(
    protocol: ProtocolName, tls: TlsMode, stream: list[bytes]
) -> None:
    played = play(target(protocol, tls), stream)

    assert len(set(played.tried)) == len(played.tried)
    if played.category is Category.AUTH_FAILED and played.login and played.login.secret_was_sent:
        assert played.login.used == played.tried[-1]
        assert played.login.refused == tuple(played.tried[:-1])


@given(_protocols, _modes, _streams)
def test_no_server_makes_the_client_hash_without_end(
    protocol: ProtocolName, tls: TlsMode, stream: list[bytes]
) -> None:
    assert all(
        rounds <= MAX_ITERATIONS for rounds in play(target(protocol, tls), stream).iterations
    )


@given(_protocols, st.lists(st.binary(max_size=30), max_size=100))
def test_the_offer_of_a_server_is_short_and_printable(
    protocol: ProtocolName, names: list[bytes]
) -> None:
    words = b" ".join(names).replace(b"\n", b"").replace(b"\r", b"")[:1000]
    offer = {
        "smtp": b"220 mx\r\n250-mx\r\n250 AUTH " + words + b"\r\n",
        "imap": b"* OK\r\n* CAPABILITY AUTH=" + words.replace(b" ", b" AUTH=") + b"\r\na1 OK\r\n",
        "pop3": b"+OK <1@a>\r\n+OK\r\nSASL " + words + b"\r\n.\r\n",
        "managesieve": b'"SASL" "' + words.replace(b'"', b"").replace(b"\\", b"") + b'"\r\nOK\r\n',
    }[protocol]

    login = play(target(protocol, "never"), [offer]).login

    if login is not None:
        assert len(login.offered) <= 34
        assert all(name.isprintable() and len(name) <= 20 for name in login.offered)


@given(_protocols, _passwords, _streams)
def test_no_password_is_sent_before_tls_where_tls_is_required(
    protocol: ProtocolName, password: str, stream: list[bytes]
) -> None:
    played = play(target(protocol, "require", password), stream)

    if not played.upgrades:
        assert not any(_LOGIN.match(line) for line in played.sent)
        assert "password_in_clear" not in played.warnings


@pytest.mark.parametrize("protocol", PROTOCOLS)
@given(st.integers(1, 3000))
def test_a_stream_without_line_ends_is_cut_off(protocol: ProtocolName, size: int) -> None:
    chunks = [b"2" * size] * (PROTOCOLS[protocol].limits.line_bytes // size + 2)

    assert play(target(protocol, "auto"), chunks).category == "line_too_long"


@given(st.lists(st.binary(max_size=300), max_size=200))
def test_the_reader_never_holds_more_than_it_may(chunks: list[bytes]) -> None:
    reader = LineReader()
    taken = 0
    for chunk in chunks:
        reader.feed(chunk)
        try:
            while (line := reader.next_line()) is not None:
                assert len(line) < SHORT_LINES.line_bytes
                taken += len(line)
                taken += len(reader.next_octets(len(line) // 2) or b"")
        except ProbeFailed:
            break
    assert taken <= SHORT_LINES.reply_bytes
