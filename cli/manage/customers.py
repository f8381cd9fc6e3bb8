"""`postwatch organization` and `postwatch customer`: the owners of monitors."""

from __future__ import annotations

from uuid import UUID

import click

from cli.terminal.arguments import parse_argument
from cli.terminal.help import examples
from cli.terminal.output import print_json, print_line, print_rows
from cli.terminal.session import operator_session
from domain.commands import CreateCustomer
from domain.values import parse_email, parse_name


@click.group()
def customer() -> None:
    """Create and list customers, whose mail servers are watched."""


@customer.command(
    epilog=examples('postwatch customer create "Example Ltd" --email admin@example.com')
)
@click.argument("name")
@click.option(
    "--organization",
    metavar="NUMBER|ID",
    help="Owner: number or public id. Not needed when there is only one organization.",
)
@click.option("--email", metavar="ADDRESS", help="Contact address of the customer.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def create(name: str, organization: str | None, email: str | None, *, as_json: bool) -> None:
    """Create a customer called NAME and print its number and public id."""
    with operator_session("monitors") as opened:
        owner = opened.organization(organization)
        command = CreateCustomer(
            UUID(owner["public_id"]),
            parse_argument("NAME", parse_name, name),
            parse_argument("--email", parse_email, email),
        )
        made = opened.store.monitoring.create_customer(command, opened.actor)
        opened.catch_up()
        if as_json:
            print_json({"number": made.number, "publicId": str(made.id), "name": made.name})
        else:
            print_line(f"customer {made.number} ({made.id}) {made.name}")


@customer.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def list_customers(*, as_json: bool) -> None:
    """List customers by number."""
    with operator_session("monitors") as opened:
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
    """Create and list organizations, the owners of customers and tokens."""


@organization.command("create", epilog=examples('postwatch organization create "Example Hosting"'))
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def create_organization(name: str, *, as_json: bool) -> None:
    """Create an organization called NAME and print its number and public id."""
    with operator_session("monitors") as opened:
        made = opened.store.monitoring.create_organization(
            parse_argument("NAME", parse_name, name), opened.actor
        )
        opened.catch_up()
        if as_json:
            print_json({"number": made.number, "publicId": str(made.id), "name": made.name})
        else:
            print_line(f"organization {made.number} ({made.id}) {made.name}")


@organization.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def list_organizations(*, as_json: bool) -> None:
    """List organizations by number."""
    columns = {"number": "Number", "public_id": "Public id", "name": "Name"}
    with operator_session("monitors") as opened:
        print_rows(
            opened.reader.organizations(), {**columns, "created_at": "Created"}, as_json=as_json
        )
