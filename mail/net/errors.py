"""Translates errors of the network and of TLS into findings about a server.

An error that is not listed here says nothing about the server: a full table of open files,
a lack of memory or a bug in Postwatch is raised unchanged.
"""

from __future__ import annotations

import errno
import ssl

from domain.check import Category, Phase
from mail.protocols.dialogue import ProbeFailed

_CLOSED = (Category.CONNECTION_CLOSED, "the server closes the connection")
_RESET = (Category.CONNECTION_RESET, "the server resets the connection")
_UNREACHABLE = (Category.CONNECT_UNREACHABLE, "there is no way to the server")

_FINDINGS = {
    errno.ECONNREFUSED: (Category.CONNECT_REFUSED, "the connection is refused"),
    errno.ETIMEDOUT: (Category.TIMEOUT, "the server does not answer"),
    errno.ECONNRESET: _RESET,
    errno.ECONNABORTED: _RESET,
    errno.EPIPE: _CLOSED,
    errno.ENETUNREACH: _UNREACHABLE,
    errno.EHOSTUNREACH: _UNREACHABLE,
    errno.ENETDOWN: _UNREACHABLE,
    errno.EHOSTDOWN: _UNREACHABLE,
    errno.ENONET: _UNREACHABLE,
    errno.EADDRNOTAVAIL: _UNREACHABLE,  # no address of this family here
    errno.EAFNOSUPPORT: _UNREACHABLE,  # IPv6 is switched off here
    errno.EACCES: _UNREACHABLE,  # a firewall rule rejects the packet
    errno.EPERM: _UNREACHABLE,
    errno.EINVAL: _UNREACHABLE,  # an address that the kernel does not connect to
    errno.EPROTO: _UNREACHABLE,
}

# What this machine, or this process, has run out of.
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})

# A record header that is no TLS shows as one of these, depending on its bytes.
_NOT_TLS = frozenset(
    {"WRONG_VERSION_NUMBER", "UNKNOWN_PROTOCOL", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG"}
)
_OLD_VERSION = frozenset(
    {
        "UNSUPPORTED_PROTOCOL",
        "TLSV1_ALERT_PROTOCOL_VERSION",
        "WRONG_SSL_VERSION",
        "VERSION_TOO_LOW",
        "NO_PROTOCOLS_AVAILABLE",
    }
)


_NO_CIPHER = "the server and the checker have no cipher in common"
_CLIENT_CERTIFICATE = "the server wants a certificate of the client"

# Why a handshake fails, by OpenSSL's reason. A server of TLS 1.2 has one alert for two reasons.
_HANDSHAKE_FAULTS = {
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": _CLIENT_CERTIFICATE,
    "NO_SHARED_CIPHER": _NO_CIPHER,
    "NO_CIPHERS_AVAILABLE": _NO_CIPHER,
    "TLSV1_ALERT_INSUFFICIENT_SECURITY": _NO_CIPHER,
    "SSLV3_ALERT_HANDSHAKE_FAILURE": (
        "the server refuses the handshake: it wants a certificate of the client, or has no "
        "cipher in common with the checker"
    ),
}


def from_network(error: OSError) -> ProbeFailed | None:
    """Return the finding about the server, or None when the error says nothing about it."""
    if isinstance(error, ssl.SSLError):
        return _from_tls(error)
    finding = _FINDINGS.get(error.errno or 0)
    return ProbeFailed(*finding) if finding else None


def exhaustion(error: Exception) -> OSError | None:
    """Return the error that says which resource this machine has run out of, else None.

    A group of errors counts when all of them are of that sort.
    """
    if isinstance(error, ExceptionGroup):
        found = [exhaustion(each) for each in error.exceptions]
        return found[0] if all(found) else None
    if isinstance(error, OSError) and error.errno in _EXHAUSTED:
        return error
    return None


def closed() -> ProbeFailed:
    """Return the finding that the server ended the connection too early."""
    return ProbeFailed(*_CLOSED)


def _from_tls(error: ssl.SSLError) -> ProbeFailed:
    reason = error.reason or ""
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return ProbeFailed(
            Category.TLS_CLOSED,
            "the server closes the connection in the TLS handshake",
            phase=Phase.TLS,
        )
    if reason in _NOT_TLS:
        category, message = Category.TLS_NOT_TLS, "the server does not speak TLS on this port"
    elif reason in _OLD_VERSION:
        category = Category.TLS_VERSION_UNSUPPORTED
        message = "the server offers no TLS version from 1.2 on"
    else:
        category, message = (
            Category.TLS_HANDSHAKE_FAILED,
            _HANDSHAKE_FAULTS.get(reason, "the TLS handshake fails"),
        )
    return ProbeFailed(category, f"{message} ({reason.lower() or 'no reason'})", phase=Phase.TLS)
