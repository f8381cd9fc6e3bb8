"""The errors of the domain: why a command is refused, or a store or log cannot be used.

They know no HTTP status and no exit code: the API and the commands translate them.
"""

from __future__ import annotations

from dataclasses import dataclass

from eventsourcing.persistence import IntegrityError


class DomainError(Exception):
    """Base of everything that a command refuses."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with one field: where, a stable code, and a sentence.

    The sentence never repeats the value, which may be a secret.
    """

    path: str
    code: str
    message: str


class InvalidInputError(DomainError):
    """Some fields are wrong; every problem is named at once."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        super().__init__("; ".join(f"{each.path}: {each.message}" for each in problems))


class InvalidValueError(DomainError):
    """A single value is wrong. The caller adds the path of the field and builds a `Problem`."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        self.message = message
        super().__init__(message)


class NotFoundError(DomainError):
    """What a command names does not exist, or is not visible to the caller."""


class ConflictError(DomainError):
    """Another change came first, or the state does not allow the command."""


class RetiredError(ConflictError):
    """A location is retired. A checker whose settings name it restores it when it starts."""


class StaleVersionError(DomainError):
    """The monitor is not at the version that the caller expected; nothing was changed."""


class SecretUnreadableError(DomainError):
    """A sealed secret cannot be opened: its key was destroyed, or the sealed text was moved."""


class MasterKeyError(DomainError):
    """The master key is missing, malformed, or not the one that wraps the store's keys."""


class StoreError(DomainError):
    """The store cannot be opened or used; the text says where and what to do."""


class ArchiveError(StoreError):
    """An archive of old checks cannot be read or made; the text says which, and where."""


class ChangedLogError(DomainError):
    """A log differs from what its Merkle tree proves: it was changed; the text says where."""


class TransferError(DomainError):
    """An export or a backup cannot be used: damaged, cut off, or of a newer version.

    The text says where. It never repeats the damaged content.
    """


class KeyStoreUnavailableError(DomainError):
    """The key store accepts no change now: it is locked, full or unreachable."""


class LostEventsError(IntegrityError):
    """A new event would follow one that the log no longer has: a server lost it.

    A cached copy of the stream is wrong from then on and must be read again.
    """
