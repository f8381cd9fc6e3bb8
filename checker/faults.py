"""The one place where errors of the network and of TLS become findings about a server.

What is not listed here is no finding: a full table of open files, a lack of memory or a
bug is ours, and goes up as it came.
"""

from __future__ import annotations

import errno
import ssl

import trio

from checker.failure import ProbeFailed
from domain.outcome import Category, Phase

_UNREACHABLE = frozenset(
    {
        errno.ENETUNREACH,
        errno.EHOSTUNREACH,
        errno.ENETDOWN,
        errno.EHOSTDOWN,
        errno.EADDRNOTAVAIL,  # no address of this family here
        errno.EAFNOSUPPORT,  # IPv6 is switched off here
        errno.EACCES,  # a firewall rule rejects the packet
        errno.EPERM,
        errno.EINVAL,  # an address that the kernel does not connect to
        errno.EPROTO,
        errno.ENONET,
    }
)

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


def from_connecting(error: OSError) -> ProbeFailed | None:
    """Return what a failed connect says about the server, None when it says nothing."""
    if error.errno == errno.ECONNREFUSED:
        return ProbeFailed(Category.CONNECT_REFUSED, "the connection is refused")
    if error.errno in {errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE}:
        return ProbeFailed(Category.CONNECTION_RESET, "the connection is reset")
    if error.errno == errno.ETIMEDOUT:
        return ProbeFailed(Category.TIMEOUT, "the server does not answer")
    if error.errno in _UNREACHABLE:
        return ProbeFailed(Category.CONNECT_UNREACHABLE, "there is no way to the server")
    return None


def from_stream(error: trio.BrokenResourceError) -> ProbeFailed | None:
    """Return what a broken stream says about the server, None when it says nothing.

    trio hides the reason in the cause: an `OSError` of the socket, or an `ssl.SSLError`.
    """
    cause = error.__cause__
    if isinstance(cause, trio.BrokenResourceError):
        return from_stream(cause)
    if isinstance(cause, ssl.SSLError):
        return _from_tls(cause)
    if isinstance(cause, OSError):
        if cause.errno == errno.EPIPE:
            return closed()
        return from_connecting(cause)
    return None


def closed() -> ProbeFailed:
    """The server ended the connection before it had said all."""
    return ProbeFailed(Category.CONNECTION_CLOSED, "the server closes the connection")


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
        category, message = Category.TLS_HANDSHAKE_FAILED, "the TLS handshake fails"
    return ProbeFailed(category, f"{message} ({reason.lower() or 'no reason'})", phase=Phase.TLS)
