"""Whatever is wrong with a database: one line that says what, where, and what to do."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg
import pytest
from click.testing import CliRunner

from cli.main import main
from service.errors import ExitCode
from tests.mailservers.processes import free_ports
from tests.places import POSTGRES
from tests.postgres_server import postgres_server
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.postgres_server import PostgresServer


PASSWORD = "canary"
HBA = """
host all postwatch 127.0.0.1/32 trust
host all secret 127.0.0.1/32 scram-sha-256
host all nobody 127.0.0.1/32 trust
host all closed 127.0.0.1/32 trust
"""

pytestmark = list(POSTGRES.marks)


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A server with rules of its own about who may come in."""
    with postgres_server() as running:
        with psycopg.connect(running.url(), autocommit=True) as connection:
            connection.execute("CREATE ROLE secret LOGIN PASSWORD 'something else'")
            connection.execute("CREATE ROLE closed")
            for name in ("mail", "shut", "still"):
                connection.execute(f"CREATE DATABASE {name}")
            connection.execute("REVOKE CONNECT ON DATABASE shut FROM public")
            connection.execute("ALTER DATABASE still SET default_transaction_read_only = on")
            (running.folder / "pg_hba.conf").write_text(HBA)
            connection.execute("SELECT pg_reload_conf()")

        def rules_hold() -> bool:
            try:
                psycopg.connect(running.url().replace("postwatch@", "closed@")).close()
            except psycopg.OperationalError as error:
                return "not permitted" in str(error)
            return False

        wait_until(rules_hold, what="the server's own rules")
        yield running


@dataclass(frozen=True)
class Case:
    """A URL, and what is said about it."""

    url: Callable[[int], str]
    what: str
    advice: str


def at(user: str, database: str) -> Callable[[int], str]:
    return lambda port: f"postgresql://{user}:{PASSWORD}@127.0.0.1:{port}/{database}"


CASES = {
    "wrong password": Case(
        at("secret", "mail"),
        'refuses the login: password authentication failed for user "secret"',
        "correct user, password and database in POSTWATCH_DATABASE_URL",
    ),
    "no such role": Case(
        at("nobody", "mail"),
        'refuses the login: role "nobody" does not exist',
        "make the role",
    ),
    "may not log in": Case(
        at("closed", "mail"),
        'refuses the login: role "closed" is not permitted to log in',
        "let the role and this host in",
    ),
    "no rule": Case(
        at("stranger", "mail"),
        "refuses the login: no pg_hba.conf entry",
        "let the role and this host in",
    ),
    "no such database": Case(
        at("postwatch", "nowhere"),
        'does not exist: database "nowhere" does not exist',
        "CREATE DATABASE",
    ),
    "may not connect": Case(
        lambda port: f"postgresql://secret:something%20else@127.0.0.1:{port}/shut",
        'refuses the login: permission denied for database "shut"',
        "CONNECT",
    ),
    "no schema": Case(at("postwatch", "mail"), "holds no Postwatch store yet", "postwatch migrate"),
    "read-only": Case(
        at("postwatch", "still"),
        "cannot be written to: session is read-only",
        "name the primary in POSTWATCH_DATABASE_URL",
    ),
    "nobody listens": Case(
        lambda _: f"postgresql://postwatch:{PASSWORD}@127.0.0.1:{free_ports(1)[0]}/mail",
        "does not answer: Connection refused",
        "see that the server runs",
    ),
    "no such host": Case(
        lambda _: f"postgresql://postwatch:{PASSWORD}@nowhere.invalid/mail",
        "does not answer: failed to resolve host",
        "see that the server runs",
    ),
    "two hosts": Case(
        lambda port: (
            f"postgresql://postwatch:{PASSWORD}@127.0.0.1:{free_ports(1)[0]},127.0.0.1:{port}/still"
        ),
        "session is read-only",
        "promote the standby",
    ),
    "no encryption": Case(
        lambda port: at("postwatch", "mail")(port) + "?sslmode=require",
        "cannot be reached by an encrypted connection: server does not support SSL",
        "sslmode",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_every_failure_says_what_where_and_what_to_do(
    name: str, server: PostgresServer, tmp_path: Path
) -> None:
    case, started = CASES[name], time.monotonic()
    url = case.url(server.port)

    refused = CliRunner().invoke(
        main,
        ["token", "list"],
        env={"POSTWATCH_DATABASE_URL": url, "POSTWATCH_DATA": str(tmp_path)},
    )

    assert refused.exit_code == ExitCode.STORE_UNUSABLE
    (line,) = refused.stderr.splitlines()
    assert line.startswith("postwatch: the database ")
    assert url.rpartition("@")[2].partition("?")[0] in line
    assert case.what in line
    assert case.advice in line
    assert PASSWORD not in refused.output
    assert time.monotonic() - started < 40
