"""Fault cases of logins that all protocols share: mechanisms, refusals, proof of service."""

from __future__ import annotations

import ssl
from base64 import b64decode, b64encode
from functools import partial
from typing import TYPE_CHECKING

from domain.check import Category, Phase
from tests.mail.fault_cases import PASSWORD, SHOP, FaultCase, close, reset, tls
from tests.mailservers.scram import ScramServer
from tests.mailservers.scripted import Peer, Script, steps

if TYPE_CHECKING:
    from mail.protocols.target import ProtocolName


PROTOCOLS: tuple[ProtocolName, ...] = ("smtp", "imap", "pop3", "managesieve")

_tls_login = partial(FaultCase, tls="implicit", login=True)
_clear_login = partial(FaultCase, tls="never", login=True)


def _up_to_login(
    protocol: ProtocolName, *mechanisms: str, more: str = ""
) -> tuple[bytes | str, ...]:
    """Return the steps from the greeting to the login, with an offer of mechanisms."""
    names = " ".join(mechanisms)
    match protocol:
        case "smtp":
            return b"220 mx\r\n", "EHLO", f"250-mx\r\n250 AUTH {names}\r\n".encode()
        case "imap":
            words = " ".join(f"AUTH={each}" for each in mechanisms)
            capability = f"* CAPABILITY IMAP4rev1 {more} {words}\r\na1 OK\r\n"
            return b"* OK hi\r\n", "CAPABILITY", capability.encode()
        case "pop3":
            lines = f"+OK\r\nSASL {names}\r\n{more}\r\n.\r\n"
            return b"+OK hi\r\n", "CAPA", lines.encode()
        case _:
            return (f'"IMPLEMENTATION" "x"\r\n"SASL" "{names}"\r\nOK\r\n'.encode(),)


def _accept(protocol: ProtocolName, tag: int = 2) -> bytes:
    return {
        "smtp": b"235 in\r\n",
        "imap": b"a%d OK in\r\n" % tag,
        "pop3": b"+OK in\r\n",
        "managesieve": b"OK\r\n",
    }[protocol]


def _refuse(protocol: ProtocolName, words: str, tag: int = 2) -> bytes:
    start = {"smtp": "535 ", "imap": f"a{tag} NO ", "pop3": "-ERR ", "managesieve": "NO "}[protocol]
    shown = f'"{words}"' if protocol == "managesieve" and not words.startswith("(") else words
    return f"{start}{shown}\r\n".encode()


def _serve(protocol: ProtocolName, tag: int = 3) -> tuple[bytes | str, ...]:
    """Return the steps after the login: the proof of service, and the farewell."""
    ok = {
        "smtp": (b"250 ok\r\n", b"221 bye\r\n"),
        "imap": (b"a%d OK\r\n" % tag, b"* BYE\r\na%d OK\r\n" % (tag + 1)),
        "pop3": (b"+OK 0 0\r\n", b"+OK\r\n"),
        "managesieve": (b"OK\r\n", b"OK\r\n"),
    }[protocol]
    proof = "STAT" if protocol == "pop3" else "NOOP"
    farewell = "QUIT" if protocol in {"smtp", "pop3"} else "LOGOUT"
    return proof, ok[0], farewell, ok[1]


def _challenge(protocol: ProtocolName, text: bytes) -> bytes:
    match protocol:
        case "smtp":
            return b"334 " + text + b"\r\n"
        case "managesieve":
            return b'"' + text + b'"\r\n'
        case _:
            return b"+ " + text + b"\r\n"


def _response(line: bytes) -> bytes:
    return line.strip().strip(b'"')


def _initial(peer: Peer, protocol: ProtocolName, mechanism: str) -> bytes:
    """Return the first response, which POP3 and IMAP without SASL-IR send after a challenge."""
    line = peer.expect("AUTH")
    if mechanism.encode() not in line:
        raise AssertionError(f"expected {mechanism}, the client sent {line!r}")
    if protocol in {"imap", "pop3"}:
        peer.send(b"+ \r\n")
        return _response(peer.read_line())
    return _response(line.rsplit(b" ", 1)[1])


def _scram(
    protocol: ProtocolName, mechanism: str, *, knows: str = PASSWORD, lies: str = ""
) -> Script:
    """Play the server's side of SCRAM. It `lies` by a wrong proof, by none, or by an error."""

    def play(peer: Peer) -> None:
        server = ScramServer(knows, "sha1" if "SHA-1" in mechanism else "sha256")
        first = server.first(_initial(peer, protocol, mechanism))
        if mechanism.endswith("-PLUS"):
            server.binding = peer.channel_binding(server.header, SHOP.good.end_point)
        peer.send(_challenge(protocol, first))
        proof = server.final(_response(peer.read_line()))
        if lies == "no proof":
            peer.send(_accept(protocol))
            return
        if lies == "wrong proof":
            proof = b64encode(b"v=" + b64encode(b"x" * 32))
        elif lies == "binding":
            proof = b64encode(b"e=channel-bindings-dont-match")
        elif not proof:
            proof = b64encode(b"e=invalid-proof")
        if protocol == "managesieve" and not lies and proof.startswith(b64encode(b"v=")[:2]):
            peer.send(b'OK (SASL "' + proof + b'") "in"\r\n')
            return
        peer.send(_challenge(protocol, proof))
        answer = _response(peer.read_line())
        refused = answer == b"*" or b64decode(proof).startswith(b"e=")
        peer.send(_refuse(protocol, "no") if refused else _accept(protocol))

    return play


def _scram_begun(protocol: ProtocolName, message: bytes) -> Script:
    """Answer the client's first message with one of a hostile server, and expect `*`."""

    def play(peer: Peer) -> None:
        first = b64decode(_initial(peer, protocol, "SCRAM-SHA-256"))
        nonce = first.partition(b"r=")[2]
        peer.send(_challenge(protocol, b64encode(message.replace(b"%b", nonce))))
        peer.expect("*")
        peer.send(_refuse(protocol, "cancelled"))

    return play


def _tls_1_2(peer: Peer) -> None:
    context = SHOP.good.context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    peer.start_tls(context)


def _refuse_user(peer: Peer, protocol: ProtocolName) -> None:
    """Refuse SCRAM at its first message, as a server does that lacks what SCRAM needs."""
    _initial(peer, protocol, "SCRAM-SHA-256")
    peer.send(_refuse(protocol, "Authentication failed."))


def _refuse_by_error(peer: Peer, protocol: ProtocolName) -> None:
    _initial(peer, protocol, "SCRAM-SHA-256")
    peer.send(_challenge(protocol, b64encode(b"e=other-error")))
    if _response(peer.read_line()):
        raise AssertionError("the client says more than that it has read the error")
    peer.send(_refuse(protocol, "no"))


def _take_token(peer: Peer, protocol: ProtocolName, *, is_good: bool) -> None:
    """Take a token by OAUTHBEARER, or refuse it as RFC 7628 3.2.2 says."""
    sent = b64decode(_initial(peer, protocol, "OAUTHBEARER"))
    if sent != b"n,a=alice@example.org,\x01auth=Bearer canary-token\x01\x01":
        raise AssertionError(f"the client sent {sent!r}")
    if is_good:
        peer.send(_accept(protocol))
        return
    peer.send(_challenge(protocol, b64encode(b'{"status":"invalid_token"}')))
    if b64decode(_response(peer.read_line())) != b"\x01":
        raise AssertionError("the client does not acknowledge the error")
    peer.send(_refuse(protocol, "no"))


def _plain_steps(protocol: ProtocolName, tag: int) -> tuple[bytes | str, ...]:
    response = b64encode(f"\0alice@example.org\0{PASSWORD}".encode()).decode()
    if protocol in {"imap", "pop3"}:
        return "PLAIN", b"+ \r\n", response, _accept(protocol, tag)
    return response, _accept(protocol, tag)


SCRAM = [
    case
    for protocol in PROTOCOLS
    for case in (
        *(
            _tls_login(
                protocol=protocol,
                name=f"lets in with {mechanism}",
                script=steps(
                    tls(),
                    *_up_to_login(protocol, "PLAIN", mechanism, "LOGIN"),
                    _scram(protocol, mechanism),
                    *_serve(protocol),
                ),
            )
            for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-1", "SCRAM-SHA-256-PLUS")
        ),
        _tls_login(
            protocol=protocol,
            name="lets in with SCRAM that is bound to TLS 1.2",
            script=steps(
                _tls_1_2,
                *_up_to_login(protocol, "SCRAM-SHA-1-PLUS"),
                _scram(protocol, "SCRAM-SHA-1-PLUS"),
                *_serve(protocol),
            ),
        ),
        _clear_login(
            protocol=protocol,
            name="lets in with SCRAM in clear, where PLAIN would show the password",
            script=steps(
                *_up_to_login(protocol, "PLAIN", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"),
                _scram(protocol, "SCRAM-SHA-256"),
                *_serve(protocol),
            ),
        ),
        *(
            _tls_login(
                protocol=protocol,
                name=f"answers SCRAM with {lies}",
                script=steps(
                    tls(),
                    *_up_to_login(protocol, "SCRAM-SHA-256"),
                    _scram(protocol, "SCRAM-SHA-256", lies=lies),
                ),
                category=Category.AUTH_SERVER_UNPROVEN,
                phase=Phase.AUTH,
                says=says,
            )
            for lies, says in (
                ("wrong proof", "does not prove that it knows the password (SCRAM)"),
                ("no proof", "does not prove that it knows the password (SCRAM)"),
                ("binding", "to this TLS connection, so something between may answer"),
            )
        ),
        _tls_login(
            protocol=protocol,
            name="knows another password than the SCRAM client",
            script=steps(
                tls(),
                *_up_to_login(protocol, "SCRAM-SHA-256"),
                _scram(protocol, "SCRAM-SHA-256", knows="another"),
            ),
            category=Category.AUTH_FAILED,
            phase=Phase.AUTH,
            says="the server refuses the login (SCRAM-SHA-256)",
        ),
        *(
            _tls_login(
                protocol=protocol,
                name=f"begins SCRAM with {words}",
                script=steps(
                    tls(),
                    *_up_to_login(protocol, "SCRAM-SHA-256"),
                    _scram_begun(protocol, message),
                ),
                category=Category.PROTOCOL_ERROR,
                phase=Phase.AUTH,
                says=says,
            )
            for words, message, says in (
                (
                    "a billion rounds",
                    b"r=%bmore,s=QSXCR+Q6sek8bf92,i=1000000000",
                    "the server asks for 1000000000 rounds of hashing; at most 600000 are done",
                ),
                (
                    "no rounds",
                    b"r=%bmore,s=QSXCR+Q6sek8bf92,i=0",
                    "asks for 0 rounds of hashing",
                ),
                (
                    "rounds of 30 digits",
                    b"r=%bmore,s=QSXCR+Q6sek8bf92,i=" + b"9" * 30,
                    "is not SCRAM",
                ),
                (
                    "another nonce",
                    b"r=other,s=QSXCR+Q6sek8bf92,i=4096",
                    "does not add to the nonce",
                ),
                (
                    "the nonce of the client alone",
                    b"r=%b,s=QSXCR+Q6sek8bf92,i=4096",
                    "does not add to the nonce",
                ),
                ("a salt that is not base64", b"r=%bmore,s=Q===,i=4096", "the salt of the server"),
                ("an extension that must be known", b"m=new,r=%bmore,s=QSXC,i=4096", "not SCRAM"),
                ("control characters", b"r=%bmore\x1b[2J,s=QSXC,i=4096", "is not SCRAM"),
            )
        ),
    )
]


def _answers(protocol: ProtocolName, mechanism: str, answer: bytes) -> tuple[bytes | str, ...]:
    """Return the steps of a mechanism whose first response is answered so."""
    if protocol in {"imap", "pop3"} and mechanism == "PLAIN":
        return f"AUTH{'ENTICATE' if protocol == 'imap' else ''} {mechanism}", answer
    return mechanism, answer


_CANNOT: dict[ProtocolName, bytes] = {
    "smtp": b"504 5.7.4 Unrecognized authentication type\r\n",
    "imap": b"a2 NO [CANNOT] unsupported authentication mechanism\r\n",
    "pop3": b"-ERR unsupported mechanism\r\n",
    "managesieve": b'NO (AUTH-TOO-WEAK) "not this one"\r\n',
}


def _login_steps(protocol: ProtocolName, tag: int) -> tuple[bytes | str, ...]:
    command = {"smtp": "AUTH LOGIN", "imap": "AUTHENTICATE LOGIN", "pop3": "AUTH LOGIN"}
    user, password = b64encode(b"alice@example.org"), b64encode(PASSWORD.encode())
    return (
        command.get(protocol, 'AUTHENTICATE "LOGIN"'),
        _challenge(protocol, b"VXNlcm5hbWU6"),
        user.decode(),
        _challenge(protocol, b"UGFzc3dvcmQ6"),
        password.decode(),
        _accept(protocol, tag),
    )


MECHANISMS = [
    case
    for protocol in PROTOCOLS
    for case in (
        _tls_login(
            protocol=protocol,
            name="offers PLAIN, refuses it as such, and takes LOGIN",
            script=steps(
                tls(),
                *_up_to_login(protocol, "PLAIN", "LOGIN", more="LOGINDISABLED"),
                *_answers(protocol, "PLAIN", _CANNOT[protocol]),
                *_login_steps(protocol, 3),
                *_serve(protocol, 4),
            ),
        ),
        _clear_login(
            protocol=protocol,
            name="offers PLAIN, refuses it as such, and takes LOGIN, in clear",
            script=steps(
                *_up_to_login(protocol, "PLAIN", "LOGIN"),
                *(
                    ("LOGIN", _CANNOT["imap"], *_answers("imap", "PLAIN", b"+ \r\n"))
                    if protocol == "imap"
                    else _answers(protocol, "PLAIN", b"+ \r\n" if protocol == "pop3" else b"")
                ),
                *(("AGFsaWNl",) if protocol in {"imap", "pop3"} else ()),
                _CANNOT[protocol].replace(b"a2", b"a3"),
                *_login_steps(protocol, 4),
                *_serve(protocol, 5),
            ),
            warnings=("password_in_clear",),
        ),
        _tls_login(
            protocol=protocol,
            name="asks on after CRAM-MD5",
            script=steps(
                tls(),
                *_up_to_login(protocol, "CRAM-MD5", more="LOGINDISABLED"),
                "CRAM-MD5",
                _challenge(protocol, b64encode(b"<1@mx>")),
                "YWxpY2VAZXhhbXBsZS5vcmcg",
                _challenge(protocol, b""),
                "*",
                _refuse(protocol, "cancelled"),
            ),
            category=Category.AUTH_FAILED,
            phase=Phase.AUTH,
        ),
        _tls_login(
            protocol=protocol,
            name="offers PLAIN alone, and refuses it as such",
            script=steps(
                tls(),
                *_up_to_login(protocol, "PLAIN", more="LOGINDISABLED"),
                *_answers(protocol, "PLAIN", _CANNOT[protocol]),
            ),
            category=Category.AUTH_UNAVAILABLE,
            phase=Phase.AUTH,
            says="the server refuses every way to log in that it offers (PLAIN)",
        ),
        _tls_login(
            protocol=protocol,
            name="refuses the user of SCRAM before it knows the password, and takes PLAIN",
            script=steps(
                tls(),
                *_up_to_login(protocol, "SCRAM-SHA-256", "PLAIN", more="LOGINDISABLED"),
                partial(_refuse_user, protocol=protocol),
                *_plain_steps(protocol, 3),
                *_serve(protocol, 4),
            ),
        ),
        _tls_login(
            protocol=protocol,
            name="refuses the user of SCRAM before it knows the password",
            script=steps(
                tls(),
                *_up_to_login(protocol, "SCRAM-SHA-256", more="LOGINDISABLED"),
                partial(_refuse_user, protocol=protocol),
            ),
            category=Category.AUTH_FAILED,
            phase=Phase.AUTH,
            says="the server refuses the user before it knows the password (SCRAM-SHA-256)",
        ),
        _tls_login(
            protocol=protocol,
            name="answers the first message of SCRAM with an error",
            script=steps(
                tls(),
                *_up_to_login(protocol, "SCRAM-SHA-256", "PLAIN", more="LOGINDISABLED"),
                partial(_refuse_by_error, protocol=protocol),
                *_plain_steps(protocol, 3),
                *_serve(protocol, 4),
            ),
        ),
        _tls_login(
            protocol=protocol,
            name="takes only OAuth tokens, and there is a password",
            script=steps(
                tls(),
                *_up_to_login(protocol, "XOAUTH2", "OAUTHBEARER", more="LOGINDISABLED"),
            ),
            category=Category.AUTH_UNAVAILABLE,
            phase=Phase.AUTH,
            says="the server takes only OAuth tokens; give one as auth.accessToken",
        ),
        _tls_login(
            protocol=protocol,
            name="takes no OAuth tokens, and there is only one",
            script=steps(tls(), *_up_to_login(protocol, "LOGIN", more="LOGINDISABLED")),
            token="canary-token",
            category=Category.AUTH_UNAVAILABLE,
            phase=Phase.AUTH,
            says="the monitor has an OAuth token, and the server takes none; it offers: LOGIN",
        ),
        _tls_login(
            protocol=protocol,
            name="lets in with OAUTHBEARER",
            script=steps(
                tls(),
                *_up_to_login(protocol, "PLAIN", "OAUTHBEARER"),
                partial(_take_token, protocol=protocol, is_good=True),
                *_serve(protocol),
            ),
            token="canary-token",
        ),
        _tls_login(
            protocol=protocol,
            name="explains the refusal of OAUTHBEARER in a challenge",
            script=steps(
                tls(),
                *_up_to_login(protocol, "PLAIN", "OAUTHBEARER"),
                partial(_take_token, protocol=protocol, is_good=False),
            ),
            token="canary-token",
            category=Category.AUTH_FAILED,
            phase=Phase.AUTH,
            says="the server refuses the login (OAUTHBEARER)",
        ),
        _tls_login(
            protocol=protocol,
            name="offers only logins that are obsolete",
            script=steps(tls(), *_up_to_login(protocol, "DIGEST-MD5", more="LOGINDISABLED")),
            category=Category.AUTH_UNAVAILABLE,
            phase=Phase.AUTH,
            says="(DIGEST-MD5 is obsolete, RFC 6331); it offers: DIGEST-MD5",
        ),
        _tls_login(
            protocol=protocol,
            name="lets in with CRAM-MD5 where nothing else is offered",
            script=steps(
                tls(),
                *_up_to_login(protocol, "CRAM-MD5", more="LOGINDISABLED"),
                "CRAM-MD5",
                _challenge(protocol, b64encode(b"<1@mx>")),
                "YWxpY2VAZXhhbXBsZS5vcmcg",
                _accept(protocol),
                *_serve(protocol),
            ),
        ),
        _clear_login(
            protocol=protocol,
            name="lets in with CRAM-MD5 in clear, where PLAIN would show the password",
            script=steps(
                *_up_to_login(protocol, "PLAIN", "CRAM-MD5"),
                "CRAM-MD5",
                _challenge(protocol, b64encode(b"<1@mx>")),
                "YWxpY2VAZXhhbXBsZS5vcmcg",
                _accept(protocol),
                *_serve(protocol),
            ),
        ),
    )
]

_UP_TO_PASSWORD: dict[ProtocolName, tuple[bytes | str, ...]] = {
    "smtp": (b"220 mx\r\n", "EHLO", b"250-mx\r\n250 AUTH PLAIN\r\n", "AUTH PLAIN "),
    "imap": (b"* OK\r\n", "CAPABILITY", b"* CAPABILITY IMAP4rev1\r\na1 OK\r\n", "LOGIN"),
    "pop3": (b"+OK\r\n", "CAPA", b"+OK\r\nUSER\r\n.\r\n", "USER", b"+OK\r\n", "PASS"),
    "managesieve": (b'"SASL" "PLAIN"\r\nOK\r\n', "AUTHENTICATE"),
}

_OUTAGES = (
    ("Temporary problem, please try again later", Category.AUTH_TEMPORARY),
    ("internal server error", Category.AUTH_TEMPORARY),
    ("db down", Category.AUTH_TEMPORARY),
    ("chdir /var/mail/alice failed", Category.AUTH_TEMPORARY),
    ("Temporary server problem", Category.AUTH_TEMPORARY),
    ("failed: Could not connect to server", Category.AUTH_TEMPORARY),
    ("Server Unavailable. 15", Category.AUTH_TEMPORARY),
    ("Too many simultaneous connections", Category.RATE_LIMITED),
    ("Invalid password, please try again", Category.AUTH_FAILED),
    ("no", Category.AUTH_FAILED),
)

REFUSALS = [
    _tls_login(
        protocol=protocol,
        name=f"refuses the password with the words {words}",
        script=steps(tls(), *_UP_TO_PASSWORD[protocol], _refuse(protocol, words)),
        category=category,
        phase=Phase.AUTH,
        reply=words,
    )
    for protocol in PROTOCOLS
    for words, category in _OUTAGES
]

_DOWN_AFTER_LOGIN: dict[ProtocolName, bytes] = {
    "smtp": b"421 4.3.0 failed to connect to relay server\r\n",
    "imap": b"* BYE storage is gone\r\n",
    "pop3": b"-ERR [SYS/TEMP] maildir is unreadable\r\n",
    "managesieve": b'BYE "storage is gone"\r\n',
}
_REFUSED_PROOF: dict[ProtocolName, bytes] = {
    "smtp": b"502 5.5.1 what?\r\n",
    "imap": b"a3 BAD what?\r\n",
    "managesieve": b'NO "what?"\r\n',
}

SERVICE = [
    *(
        _tls_login(
            protocol=protocol,
            name="lets in and then says that it cannot serve",
            script=steps(
                tls(),
                *_UP_TO_PASSWORD[protocol],
                _accept(protocol),
                "STAT" if protocol == "pop3" else "NOOP",
                answer,
            ),
            category=(
                Category.MAILBOX_UNAVAILABLE if protocol == "pop3" else Category.SERVICE_UNAVAILABLE
            ),
            phase=Phase.SERVICE,
            reply=answer.decode().strip(),
        )
        for protocol, answer in _DOWN_AFTER_LOGIN.items()
    ),
    *(
        _tls_login(
            protocol=protocol,
            name=f"lets in and then {what}",
            script=steps(tls(), *_UP_TO_PASSWORD[protocol], _accept(protocol), "", ending),
            category=category,
            phase=Phase.SERVICE,
        )
        for protocol in PROTOCOLS
        for what, ending, category in (
            ("closes", close, Category.CONNECTION_CLOSED),
            ("resets", reset, Category.CONNECTION_RESET),
        )
    ),
    *(
        _tls_login(
            protocol=protocol,
            name="refuses NOOP",
            script=steps(
                tls(),
                *_UP_TO_PASSWORD[protocol],
                _accept(protocol),
                "NOOP",
                answer,
                *_serve(protocol)[2:],
            ),
            warnings=("noop_refused",),
            says="the login works and the server refuses NOOP: ",
        )
        for protocol, answer in _REFUSED_PROOF.items()
    ),
    _tls_login(
        protocol="smtp",
        name="lets in and answers QUIT with 421",
        script=steps(
            tls(),
            *_UP_TO_PASSWORD["smtp"],
            b"235 in\r\n",
            "NOOP",
            b"250 ok\r\n",
            "QUIT",
            b"421 failed to connect to relay server\r\n",
        ),
        category=Category.SERVICE_UNAVAILABLE,
        phase=Phase.SERVICE,
        reply="421 failed to connect to relay server",
    ),
    _tls_login(
        protocol="pop3",
        name="lets in and answers QUIT with a failure of its system",
        script=steps(
            tls(),
            *_UP_TO_PASSWORD["pop3"],
            b"+OK\r\n",
            "STAT",
            b"+OK 0 0\r\n",
            "QUIT",
            b"-ERR [SYS/TEMP] disk\r\n",
        ),
        category=Category.SERVICE_UNAVAILABLE,
        phase=Phase.SERVICE,
        reply="-ERR [SYS/TEMP] disk",
    ),
]

CASES = [*SCRAM, *MECHANISMS, *REFUSALS, *SERVICE]
