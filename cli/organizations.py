"""`postwatch organization`: who runs monitors."""

from __future__ import annotations

import click

from cli.arguments import parsed
from cli.session import session
from cli.tables import print_json, print_rows
from domain.values import parse_name


@click.group()
def organization() -> None:
    """Create and list organizations."""


@organization.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def create(name: str, *, as_json: bool) -> None:
    """Create an organization called NAME."""
    with session("monitors") as opened:
        made = opened.store.monitoring.create_organization(
            parsed("NAME", parse_name, name), opened.actor
        )
        opened.catch_up()
        if as_json:
            print_json({"number": made.number, "public_id": str(made.id), "name": made.name})
        else:
            print(f"organization {made.number} ({made.id}) {made.name}")


@organization.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def list_organizations(*, as_json: bool) -> None:
    """List organizations by number."""
    columns = {"number": "Number", "public_id": "Public id", "name": "Name"}
    with session("monitors") as opened:
        print_rows(
            opened.reader.organizations(), {**columns, "created_at": "Created"}, as_json=as_json
        )
