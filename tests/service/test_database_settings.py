"""Which database the settings name; no message shows its password."""

from __future__ import annotations

import pytest
from psycopg.conninfo import conninfo_to_dict

from service.errors import CommandError, ExitCode
from service.settings import Settings
from store.ports.engine import Database

PASSWORD = "p@ss/canary"
PASSWORDS = ("canary", "can#ary", "can?ary", "can:ary", "can@ary")
URL = "postgresql://watch:canary@db.example.com:5433/mail"


def test_without_a_url_the_store_is_in_the_data_folder() -> None:
    assert Settings.from_env({}).database is None
    assert Settings.from_env({"POSTGRES_DBNAME": "mail"}).database is None


def test_the_url_may_stand_in_a_file(tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("secrets") / "url"
    file.write_text(URL + "\n")

    found = Settings.from_env({"POSTWATCH_DATABASE_URL_FILE": str(file)}).database

    assert found is not None
    assert found.url == URL
    assert found.place == "the database db.example.com:5433/mail"
    assert "canary" not in repr(found)


def test_the_event_stores_own_variables_do_the_same() -> None:
    found = Settings.from_env(
        {
            "PERSISTENCE_MODULE": "eventsourcing.postgres",
            "POSTGRES_DBNAME": "mail",
            "POSTGRES_HOST": "db.example.com",
            "POSTGRES_PORT": "5433",
            "POSTGRES_USER": "watch",
            "POSTGRES_PASSWORD": PASSWORD,
        }
    ).database

    assert found is not None
    assert found.url == "postgresql://watch:p%40ss%2Fcanary@db.example.com:5433/mail"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://watch:can/ary@db.example.com/mail",
        "postgresql://watch:17/canary@db.example.com/mail",
        "postgresql://watch:17/4?canary@db.example.com/mail",
        "postgresql://watch:can@ary@db.example.com/mail",
        "postgresql://watch:can%ary@db.example.com/mail",
        "postgresql://watch:can ary@db.example.com/mail",
        "postgresql://watch:canary",
        "postgresql://watch@db.example.com/mail?password=can@ary&sslmode",
    ],
)
def test_a_url_that_would_be_cut_in_its_password_is_refused_unseen(url: str) -> None:
    with pytest.raises(CommandError) as refused:
        Settings.from_env({"POSTWATCH_DATABASE_URL": url})

    assert refused.value.code == ExitCode.SETTINGS_WRONG
    assert "%40 for @, %2F for /" in str(refused.value)
    assert not any(part in str(refused.value) for part in ("can", "ary", "17/"))
    assert Database(url).place == "the database of POSTWATCH_DATABASE_URL"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://watch:can#ary@db.example.com/mail", "db.example.com/mail"),
        ("postgresql://watch:can?ary@db.example.com/mail", "db.example.com/mail"),
        ("postgresql://watch:can:ary@[2001:db8::1]:5433/mail", "[2001:db8::1]:5433/mail"),
        ("postgres://watch:canary@db1:5433,db2/mail?sslmode=require", "db1:5433,db2/mail"),
        ("postgresql://db.example.com/mail?user=watch&password=can@ary", "db.example.com/mail"),
        ("postgresql://%2Frun%2Fpostgresql/mail", "%2Frun%2Fpostgresql/mail"),
        ("postgresql:///mail?host=/run/postgresql", "mail"),
        ("postgresql://", ""),
    ],
)
def test_what_libpq_can_read_is_shown_without_the_password(url: str, shown: str) -> None:
    found = Settings.from_env({"POSTWATCH_DATABASE_URL": url}).database

    assert found is not None
    assert conninfo_to_dict(found.url).get("password") in (None, *PASSWORDS)
    assert found.place == f"the database {shown}".rstrip()


def test_the_library_may_name_the_folder_of_a_socket() -> None:
    found = Settings.from_env(
        {
            "PERSISTENCE_MODULE": "eventsourcing.postgres",
            "POSTGRES_DBNAME": "mail",
            "POSTGRES_HOST": "/run/postgresql",
        }
    ).database

    assert found is not None
    assert conninfo_to_dict(found.url) == {"host": "/run/postgresql", "dbname": "mail"}


@pytest.mark.parametrize(
    ("env", "named"),
    [
        ({"POSTWATCH_DATABASE_URL": "mysql://watch:canary@db"}, "POSTWATCH_DATABASE_URL"),
        ({"POSTWATCH_READ_DATABASE_URL": "canary"}, "POSTWATCH_READ_DATABASE_URL"),
        ({"PERSISTENCE_MODULE": "eventsourcing.postgres"}, "POSTGRES_DBNAME"),
    ],
)
def test_what_names_no_database_is_refused_by_name(env: dict[str, str], named: str) -> None:
    with pytest.raises(CommandError) as refused:
        Settings.from_env(env)

    assert f"{named}: must" in str(refused.value)
    assert "canary" not in str(refused.value)
