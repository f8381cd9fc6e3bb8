"""Interface of locks that one process holds at a time, and that end with it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from domain.errors import DomainError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager


@dataclass(frozen=True, slots=True)
class LockHolder:
    """The process that holds a lock.

    `pid` None: it is just starting and its id is not known yet. `host` None: on this host.
    """

    pid: int | None
    since: str | None
    host: str | None = None

    def __str__(self) -> str:
        if self.pid is None:
            return "held by a process that is just starting"
        where = f" on {self.host}" if self.host else ""
        return f"held by process {self.pid}{where} since {self.since}"


class LockHeldError(DomainError):
    """Another process, or another thread of this one, holds the lock; the text says who."""

    def __init__(self, holder: LockHolder) -> None:
        self.holder = holder
        super().__init__(str(holder))


class LockHandle:
    """A lock that is held. A long-running holder checks now and then whether it is lost."""

    @property
    def is_lost(self) -> bool:
        """Whether another process may hold it by now. The lock of a file is never lost."""
        return False


def uncontested_lock() -> AbstractContextManager[LockHandle]:
    """Return a lock for where no other process competes."""
    return nullcontext(LockHandle())


class LockLostError(DomainError):
    """The lock was lost during the work: another process holds it, and continues the work."""


class Locks(ABC):
    """Locks by name, each of which ends with the process that holds it.

    `place` names, for people, the data folder or database whose processes compete.
    `spans_hosts`: processes of other hosts compete too.
    """

    place: str
    spans_hosts: bool

    @abstractmethod
    def hold(
        self, name: str, *, wait_seconds: float = 0, shared: bool = False
    ) -> AbstractContextManager[LockHandle]:
        """Hold a lock while the block runs: alone, or together with others that share it.

        Waits up to `wait_seconds` for a holder that is just ending. Raises LockHeldError, an
        error of STORE_UNAVAILABLE, and StoreError when the lock cannot be made.
        """

    @abstractmethod
    def holder(self, name: str) -> LockHolder | None:
        """Return who holds a lock now; None when no process does.

        Those that share it may count as none.
        """
