"""Feeds the dialogues hostile bytes for a given time, and stops at the first error.

    python -m benchmarks.fuzz_dialogues [--seconds 600] [--corpus FOLDER]

Guided by coverage where atheris can be imported (it is not a requirement of Postwatch), else
random. These count as errors: any exception but a finding, another result when the same bytes
come in other pieces, a way to log in that is tried twice, more rounds of hashing than allowed,
facts that are too long or not printable, or a password in the output. The corpus keeps inputs
that reached new code.
"""

from __future__ import annotations

import argparse
import importlib
import random
import sys
import tempfile
import time
from base64 import b64encode
from itertools import pairwise, product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args

from domain.kinds import TlsMode
from mail.protocols import PROTOCOLS
from mail.protocols.redaction import MAX_TEXT, Redactor
from mail.protocols.scram import MAX_ITERATIONS
from tests.mail.dialogue_player import NONCE, SERVER_FIRST, play, target

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.mail.dialogue_player import Played


MODES: Final[Sequence[TlsMode]] = get_args(TlsMode)
PASSWORDS: Final = ("canary-Passw0rd", 'a "quoted\\one', "pässwörd \u2028 ünd", "xyz")
_TOKENS: Final = (None, None, None, "canary-token")
TARGETS: Final = tuple(product(PROTOCOLS, MODES, PASSWORDS))
_HEADER: Final = 2
_LONGEST: Final = 80_000

FRAGMENTS: Final = (
    b"220 mx\r\n",
    b"250-mx\r\n250-STARTTLS\r\n250 AUTH PLAIN LOGIN\r\n",
    b"250-mx\r\n250 AUTH=CRAM-MD5\r\n",
    b"250-mx\r\n250 AUTH XOAUTH2 OAUTHBEARER\r\n",
    b"250-mx\r\n250 AUTH SCRAM-SHA-256 SCRAM-SHA-1-PLUS PLAIN\r\n",
    b"334 %b\r\n" % b64encode(SERVER_FIRST),
    b"334 %b\r\n" % b64encode(SERVER_FIRST.replace(b"4096", b"1000000000")),
    b"334 %b\r\n" % b64encode(SERVER_FIRST.replace(NONCE, b"other")),
    b"334 %b\r\n" % b64encode(b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ="),
    b"334 %b\r\n" % b64encode(b"e=invalid-proof"),
    b"504 no\r\n",
    b"250 ok\r\n",
    b"235 ok\r\n",
    b"334 PDE+\r\n",
    b"334 \r\n",
    b"221 bye\r\n",
    b"421 no\r\n",
    b"535 no\r\n",
    b"530 no\r\n",
    b"554-no\r\n",
    b"* OK hi\r\n",
    b"* PREAUTH hi\r\n",
    b"* BYE [UNAVAILABLE]\r\n",
    b"+ go\r\n",
    b"+ \r\n",
    *(b"a%d OK done\r\n" % tag for tag in range(1, 8)),
    *(b"a%d NO [INUSE] x\r\n" % tag for tag in range(1, 5)),
    *(b"a%d NO [CANNOT] x\r\n" % tag for tag in range(2, 5)),
    b"* CAPABILITY IMAP4rev1 ID SASL-IR AUTH=SCRAM-SHA-1 AUTH=CRAM-MD5 AUTH=LOGIN\r\na1 OK\r\n",
    b"+ %b\r\n" % b64encode(SERVER_FIRST),
    b"+ %b\r\n" % b64encode(b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ="),
    b'* LIST () "/" {12}\r\n',
    b"{9223372036854775808}\r\n",
    b"[ALERT\x1b[2J] ",
    b"+OK\r\nSASL SCRAM-SHA-256 PLAIN\r\nLOGIN-DELAY 99\r\nAUTH-RESP-CODE\r\n.\r\n",
    b"-ERR [LOGIN-DELAY] no\r\n",
    b"* CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN SASL-IR\r\na1 OK\r\n",
    b"* CAPABILITY IMAP4rev1 LOGINDISABLED AUTH=PLAIN\r\na1 OK\r\n",
    b"+OK <1@a>\r\n",
    b"+OK\r\nSTLS\r\nUSER\r\nSASL PLAIN\r\n.\r\n",
    b"+OK\r\nTOP\r\n.\r\n",
    b"+OK\r\n",
    b"-ERR [IN-USE] no\r\n",
    b"-ERR [SYS/TEMP]\r\n",
    b".\r\n",
    b"..\r\n",
    b'"IMPLEMENTATION" "x"\r\n"SASL" "PLAIN"\r\n"STARTTLS"\r\nOK\r\n',
    b'"SASL" {8}\r\nCRAM-MD5\r\nOK {3}\r\na\r\n\r\n',
    b"OK\r\n",
    b'"SASL" "SCRAM-SHA-1 OAUTHBEARER"\r\nOK\r\n',
    b'"%b"\r\n' % b64encode(SERVER_FIRST),
    b'OK (SASL "%b")\r\n' % b64encode(b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ="),
    b'NO (TRYLATER) "no"\r\n',
    b"BYE\r\n",
    b'""\r\n',
    b"{3}\r\n",
    b"{70000}\r\n",
    b"\n",
    b"\r",
    b" ",
    b"-",
    b"[",
    b"]",
    b"\0",
    b"\xff\xfe",
    b"x" * 700,
)
_MOST_OFFERED: Final = 40


def try_one(data: bytes) -> None:
    """Play one input: a byte for the target, one for the pieces, the rest is the server's."""
    if len(data) < _HEADER:
        return
    choice, size, stream = data[0] % len(TARGETS), data[1] + 1, data[_HEADER:]
    protocol, tls, password = TARGETS[choice]
    asked = target(protocol, tls, password=password, token=_TOKENS[data[1] % len(_TOKENS)])
    whole = play(asked, [stream])
    pieces = [stream[start : start + size] for start in range(0, len(stream), size)]
    if play(asked, pieces) != whole:
        raise AssertionError("other pieces, another result")
    _look_at_login(whole)
    _look_at(Redactor([password.encode()]).clean(stream[:4096]), password)


def _look_at_login(played: Played) -> None:
    if any(each > MAX_ITERATIONS for each in played.iterations):
        raise AssertionError(f"{played.iterations} rounds of hashing")
    if len(played.tried) != len(set(played.tried)):
        raise AssertionError(f"tried {played.tried}")
    offered = played.login.offered if played.login else ()
    if len(offered) > _MOST_OFFERED or not all(map(str.isprintable, offered)):
        raise AssertionError(f"offered {offered}")


def _look_at(shown: str, password: str) -> None:
    if len(shown) > MAX_TEXT or not shown.isprintable():
        raise AssertionError("what is shown is too long, or not printable")
    if password.lower() in shown.lower():
        raise AssertionError("what is shown holds the password")


def seeds() -> list[bytes]:
    """Return inputs to begin with: each fragment's neighbourhood, for each target."""
    chained = b"".join(first + second for first, second in pairwise(FRAGMENTS))
    return [bytes([choice, 255]) + chained[:4000] for choice in range(len(TARGETS))]


def fuzz_at_random(seconds: float) -> int:
    """Put fragments together and spoil some bytes; return how many inputs were tried."""
    chance = random.Random(0)  # noqa: S311 - no secret depends on it
    tried, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        data = bytearray(chance.randbytes(_HEADER))
        for _ in range(chance.randrange(20)):
            data += chance.choice(FRAGMENTS)
        for _ in range(chance.randrange(4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        try_one(bytes(data))
        tried += 1
    return tried


def fuzz_by_coverage(atheris: Any, seconds: float, corpus: Path) -> None:  # noqa: ANN401
    """Let libFuzzer do it; it ends the process, with its own exit status."""
    words = corpus.with_suffix(".dict")
    lines = ("".join(f"\\x{byte:02x}" for byte in each) for each in FRAGMENTS if len(each) < 64)  # noqa: PLR2004
    words.write_text("".join(f'"{line}"\n' for line in lines))
    for number, each in enumerate(seeds()):
        (corpus / f"seed-{number}").write_bytes(each)
    options = [f"-max_total_time={seconds:.0f}", f"-max_len={_LONGEST}", f"-dict={words}"]
    limits = ["-timeout=5", "-rss_limit_mb=1024", "-use_value_profile=1", "-print_final_stats=1"]
    atheris.instrument_all()
    atheris.Setup([sys.argv[0], *options, *limits, str(corpus)], try_one)
    atheris.Fuzz()


def main() -> None:
    """Fuzz for so long."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--corpus", type=Path)
    arguments = parser.parse_args()
    try:
        atheris = importlib.import_module("atheris")
    except ImportError:
        print(f"{fuzz_at_random(arguments.seconds):,} inputs at random, nothing wrong")
        return
    corpus = arguments.corpus or Path(tempfile.mkdtemp(prefix="postwatch-fuzz-"))
    corpus.mkdir(exist_ok=True)
    fuzz_by_coverage(atheris, arguments.seconds, corpus)


if __name__ == "__main__":
    main()
