"""Diagnoses of errors of a PostgreSQL server, in words for people: what, where, what to do.

An error of a statement is recognized by its SQLSTATE. A refused connection has none, only
libpq's text about each host that was tried, which quotes the server. Such text is shown only
where it is known to quote the server or the network: libpq also repeats wrong options of the
URL, which may hold a password.
"""

from __future__ import annotations

import re
from typing import Final

import psycopg

from store.ports.errors import DatabaseRefusedError, DatabaseUnavailableError, Diagnosis

_LOGIN: Final = "correct user, password and database in POSTWATCH_DATABASE_URL"
_ROLE: Final = "name the role that ran `postwatch migrate` in POSTWATCH_DATABASE_URL"

NO_ANSWER: Final = Diagnosis(
    "does not answer", "see that the server runs and can be reached from here on this address"
)
_BROKEN: Final = Diagnosis(
    "has broken the connection", "Postwatch tries again; see the server's log"
)
_SILENT: Final = Diagnosis(
    "takes too long to answer",
    "see whether the server is frozen, or waits for a synchronous standby that is away",
    is_slow=True,
)
_LOCKED: Final = Diagnosis(
    "accepts no writes now",
    "see pg_stat_activity for a session that holds a lock or waits for a standby",
    is_slow=True,
)
_STARTING: Final = Diagnosis("is starting or stopping", "Postwatch tries again")
_CROWDED: Final = Diagnosis(
    "has no connection left", "raise max_connections, or end what holds so many connections"
)
_READ_ONLY: Final = Diagnosis(
    "cannot be written to",
    "name the primary in POSTWATCH_DATABASE_URL, promote the standby, or set "
    "default_transaction_read_only off",
)
_FULL: Final = Diagnosis(
    "has no room left on its disk", "make room on the disk of the server", is_disk_full=True
)
_NO_ROLE: Final = Diagnosis("refuses the login", f"make the role, or {_LOGIN}", passes=False)
_PASSWORD: Final = Diagnosis("refuses the login", _LOGIN, passes=False)
_NO_DATABASE: Final = Diagnosis(
    "does not exist",
    "make it (CREATE DATABASE) and run `postwatch migrate`, or name another one in "
    "POSTWATCH_DATABASE_URL",
    passes=False,
)
_NO_ENTRY: Final = Diagnosis(
    "refuses the login", "let the role and this host in: pg_hba.conf, CONNECT, LOGIN", passes=False
)
_TLS: Final = Diagnosis(
    "cannot be reached by an encrypted connection",
    "correct sslmode and sslrootcert in POSTWATCH_DATABASE_URL",
    passes=False,
)
_SETTINGS: Final = Diagnosis(
    "cannot be reached by this URL", "see the options of POSTWATCH_DATABASE_URL", passes=False
)
_DENIED: Final = Diagnosis("denies its tables to this role", _ROLE, passes=False)
_NO_TABLE: Final = Diagnosis("lacks a table", "run `postwatch migrate`", passes=False)
_SHARED: Final = Diagnosis(
    "is reached through a pool that shares sessions between transactions",
    "let the pool keep them (pool_mode = session), or name the server itself in "
    "POSTWATCH_DATABASE_URL",
    passes=False,
)
_ODD: Final = Diagnosis("refuses the statement", "see the server's log", passes=False)
_NOT_NOW: Final = Diagnosis("cannot do that now", "see the server's log")

_BY_WORDS: Final = (
    (re.compile(r"password authentication failed|no password supplied|authentication"), _PASSWORD),
    (re.compile(r"role .* does not exist"), _NO_ROLE),
    (re.compile(r"database .* does not exist"), _NO_DATABASE),
    (re.compile(r"pg_hba\.conf|not permitted to log in|permission denied for database"), _NO_ENTRY),
    (re.compile(r"SSL|certificate"), _TLS),
    (re.compile(r"session is read-only|server is in hot standby mode"), _READ_ONLY),
    (re.compile(r"too many (clients|connections)|connection slots"), _CROWDED),
    (re.compile(r"the database system is "), _STARTING),
)
"""What libpq's text about any of the hosts matches, tried in this order."""

_BY_STATE: Final = {
    "53100": _FULL,
    "53300": _CROWDED,
    "55P03": _LOCKED,
    "25006": _READ_ONLY,
    "57P01": _BROKEN,
    "57P02": _BROKEN,
    "57P03": _STARTING,
    "57P05": _BROKEN,
    # This process was frozen in a transaction, and the server ended the session.
    "25P03": _BROKEN,
    # A statement that another client of the pooler has prepared, or that is on another session.
    "42P05": _SHARED,
    "26000": _SHARED,
    "42501": _DENIED,
    "3F000": _NO_TABLE,
    "42P01": _NO_TABLE,
}
_HOST: Final = re.compile(r"^- host: '?(?P<host>[^',]*)'?, port: '?(?P<port>[^',]*)'?, .*?: ")
_WORDS: Final = re.compile(
    r"connection to server .*? failed: (?:[A-Z]+:  )?(?P<words>.*)"
    r"|(?P<time>connection timeout expired)"
    r"|(?P<name>failed to resolve host)"
)
_UNAVAILABLE: Final = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.errors.ReadOnlySqlTransaction,
    psycopg.errors.IdleInTransactionSessionTimeout,
)


class SilentError(psycopg.OperationalError):
    """The server did not answer in time. The statement may have been executed, or may be yet."""


class InDoubtError(psycopg.OperationalError):
    """A commit may be lost with the primary, because its wait for a standby was cancelled."""


def diagnose(
    error: psycopg.Error, place: str
) -> DatabaseUnavailableError | DatabaseRefusedError | None:
    """Return the error to raise instead; None when this one is about a statement and its data."""
    if isinstance(error, psycopg.errors.ConnectionException) or error.sqlstate is None:
        return _of_connection(error, place) if isinstance(error, _UNAVAILABLE) else None
    words = error.diag.message_primary or str(error).partition("\n")[0]
    if isinstance(error, _UNAVAILABLE):
        diagnosis = _BY_STATE.get(error.sqlstate, _NOT_NOW)
        return DatabaseUnavailableError(f"{place} {diagnosis.what}: {words}", diagnosis)
    if isinstance(error, psycopg.ProgrammingError):
        diagnosis = _BY_STATE.get(error.sqlstate, _ODD)
        return DatabaseRefusedError(f"{place} {diagnosis.what}: {words}", diagnosis)
    return None


def _of_connection(error: psycopg.Error, place: str) -> DatabaseUnavailableError:
    if isinstance(error, SilentError | InDoubtError):
        return DatabaseUnavailableError(f"{place} {_SILENT.what}: {error}", _SILENT)
    words = list(_words_of(str(error)))
    if not words:
        diagnosis = _SETTINGS if str(error).startswith("connection is bad") else _BROKEN
        return DatabaseUnavailableError(f"{place} {diagnosis.what}", diagnosis)
    diagnosis = next(
        (each for pattern, each in _BY_WORDS if any(map(pattern.search, words))), NO_ANSWER
    )
    return DatabaseUnavailableError(f"{place} {diagnosis.what}: {'; '.join(words)}", diagnosis)


def _words_of(text: str) -> list[str]:
    """Return what libpq's text says about each host that was tried, or about the only one."""
    lines = text.splitlines()
    hosts = [line for line in lines if _HOST.match(line)]
    found = []
    for line in hosts or lines[:1]:
        host, words = _HOST.match(line), _WORDS.search(line)
        if words is not None:
            said = words["words"] or words["time"] or words["name"]
            found.append(f"{host['host']}:{host['port']}: {said}" if host else said)
    return found
