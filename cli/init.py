"""`postwatch init`: makes the store, and with it the first organization and admin."""

from __future__ import annotations

from dataclasses import dataclass

import click

from cli.failure import exit_on_failure
from cli.opening import created_store, tell_of_key_of_one_host
from cli.settings import Settings
from cli.tables import print_json
from domain.access_token import new_token
from projections.views import Views

ORGANIZATION = "My organization"
CUSTOMER = "My customer"


@dataclass(frozen=True, slots=True)
class FirstStart:
    """What a start made. `admin_token` is None unless a token was made just now."""

    is_first: bool
    admin_token: str | None


def set_up(settings: Settings) -> FirstStart:
    """Make the store, and what the first caller needs, unless they are there already.

    Raises StoreError and MasterKeyError.
    """
    token = settings.admin_token or new_token()
    with created_store(settings) as store:
        store.keys.signing_seed()  # The key is there from the first event on.
        is_first = store.monitoring.set_up(ORGANIZATION, CUSTOMER, token)
        with Views(store) as views:
            monitors = views.projector("monitors")
            # A missing view of a long log is made later, by the projections process.
            if monitors.is_current():
                monitors.catch_up()
    made = is_first and settings.admin_token is None
    return FirstStart(is_first, token if made else None)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def init(*, as_json: bool) -> None:
    """Make the store in the data folder, with a first organization, customer and admin token.

    With POSTWATCH_DATABASE_URL in the database, where `postwatch migrate` ran.
    `postwatch up` does this by itself. In a store that exists nothing is changed.
    """
    with exit_on_failure():
        settings = Settings.from_env()
        first = set_up(settings)
        tell_of_key_of_one_host(settings)
    if as_json:
        print_json(
            {
                "data": None if settings.database else str(settings.data),
                "database": settings.database.place if settings.database else None,
                "created": first.is_first,
                "adminToken": first.admin_token,
            }
        )
        return
    place = settings.database.place if settings.database else settings.data
    print(f"store: {place} ({'created' if first.is_first else 'already there'})")
    if first.admin_token:
        print(f"admin token: {first.admin_token}")
