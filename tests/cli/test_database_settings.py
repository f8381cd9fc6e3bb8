"""Which database the settings name, and that nobody is shown its password."""

from __future__ import annotations

import pytest

from cli.failure import CommandError
from cli.settings import Settings

PASSWORD = "p@ss/canary"
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
