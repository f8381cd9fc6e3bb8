"""What a probe asks its caller before it acts: whether it may connect to an address, and log in.

The caller knows how many connections to an address are open, for whom, and which logins were
refused there; the probe knows the address only after it resolved the name. So the probe asks at
that moment, and does not wait: a probe without any address to connect to ends with
`AddressBusyError`, and the caller repeats it; one that may not log in ends before the login.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from typing_extensions import override

if TYPE_CHECKING:
    from mail.net.addresses import Address


class AddressBusyError(Exception):
    """The caller allows no connection to any address of the server now. Nothing was contacted."""

    def __init__(self, address: Address) -> None:
        """`address` is the first one that the probe asked for."""
        super().__init__(f"no connection to {address} is allowed now")
        self.address = address


class ProbeGuard(Protocol):
    """Answers the questions of one probe."""

    def may_connect(self, address: Address) -> bool:
        """Return whether the probe may open a connection to an address now."""

    def disconnected(self, address: Address) -> None:
        """Note that a connection to an address is closed, or did not come about."""

    def may_log_in(self, address: Address) -> bool:
        """Return whether the probe may send the target's credentials to an address now."""


class _OpenGuard(ProbeGuard):
    @override
    def may_connect(self, address: Address) -> bool:
        del address
        return True

    @override
    def disconnected(self, address: Address) -> None:
        del address

    @override
    def may_log_in(self, address: Address) -> bool:
        del address
        return True


OPEN_GUARD: Final[ProbeGuard] = _OpenGuard()
"""Allows everything: for a probe that is alone."""
