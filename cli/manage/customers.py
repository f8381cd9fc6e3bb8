"""`postwatch customer`: whose mail servers are watched.

`postwatch organization`: who runs monitors.
"""

from __future__ import annotations

from uuid import UUID

import click

from cli.terminal.arguments import parsed
from cli.terminal.output import print_json, print_rows
from cli.terminal.session import session
from domain.commands import CreateCustomer
from domain.values import parse_email, parse_name


@click.group()
def customer() -> None:
    """Create and list customers."""


@customer.command()
@click.argument("name")
@click.option("--organization", help="Number or public id; not needed when there is only one.")
@click.option("--email", help="Where the customer is reached.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def create(name: str, organization: str | None, email: str | None, *, as_json: bool) -> None:
    """Create a customer called NAME."""
    with session("monitors") as opened:
        owner = opened.organization(organization)
        command = CreateCustomer(
            UUID(owner["public_id"]),
            parsed("NAME", parse_name, name),
            parsed("--email", parse_email, email),
        )
        made = opened.store.monitoring.create_customer(command, opened.actor)
        opened.catch_up()
        if as_json:
            print_json({"number": made.number, "public_id": str(made.id), "name": made.name})
        else:
            print(f"customer {made.number} ({made.id}) {made.name}")


@customer.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def list_customers(*, as_json: bool) -> None:
    """List customers by number."""
    with session("monitors") as opened:
        numbers = {each["public_id"]: each["number"] for each in opened.reader.organizations()}
        rows = [
            {**each, "organization": numbers[each["organization_id"]]}
            for each in opened.reader.customers()
        ]
        columns = {
            "number": "Number",
            "public_id": "Public id",
            "organization": "Organization",
            "name": "Name",
            "email": "Email",
            "created_at": "Created",
        }
        print_rows(rows, columns, as_json=as_json)


@click.group()
def organization() -> None:
    """Create and list organizations."""


@organization.command("create")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def create_organization(name: str, *, as_json: bool) -> None:
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
