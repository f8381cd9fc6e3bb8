"""`postwatch token`: the access tokens of the API."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final
from uuid import UUID

import click

from cli.terminal.arguments import parse_argument
from cli.terminal.help import examples
from cli.terminal.output import print_json, print_line, print_rows
from cli.terminal.session import operator_session
from domain.access_token import new_token
from domain.actor import INSTALLATION_ROLES, ROLES
from domain.clock import iso_milliseconds, utc_now
from domain.commands import IssueToken
from domain.values import parse_name
from service.errors import CommandError, ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from domain.actor import Role
    from projections.core.table import Record


MAX_DAYS: Final = 365
"""Longest lifetime of a token that expires."""


@click.group()
def token() -> None:
    """Create, list and revoke the tokens that callers of the API send."""


@token.command(
    epilog=examples(
        "postwatch token create --name deployment --role user",
        "postwatch token create --name reports --role readonly --customer 1 --expires-in-days 90",
        "postwatch token create --name prometheus --role metrics",
    )
)
@click.option("--name", required=True, help="Purpose of the token, as `token list` shows it.")
@click.option(
    "--role",
    type=click.Choice(ROLES),
    default="user",
    show_default=True,
    help="Permissions of its bearer: docs/api.md.",
)
@click.option(
    "--organization",
    metavar="NUMBER|ID",
    help="Owner: number or public id. Not needed when there is only one organization.",
)
@click.option(
    "--customer",
    metavar="NUMBER|ID",
    help="Limit the token to this customer: number or public id.",
)
@click.option(
    "--expires-in-days",
    type=click.IntRange(1, MAX_DAYS),
    metavar="DAYS",
    help=f"Lifetime in days, 1 to {MAX_DAYS}. Default: the token does not expire.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def create(
    name: str,
    role: Role,
    organization: str | None,
    customer: str | None,
    expires_in_days: int | None,
    *,
    as_json: bool,
) -> None:
    """Create a token and print it. It cannot be shown again: only a hash is stored."""
    if customer is not None and role in INSTALLATION_ROLES:
        raise click.BadParameter(
            f"a token of the role {role} is for the whole installation", param_hint="--customer"
        )
    with operator_session("monitors") as opened:
        scope = None if customer is None else opened.customer(customer)
        owner = scope["organization_id"] if scope else None
        secret = new_token()
        command = IssueToken(
            organization_id=UUID(opened.organization(organization or owner)["public_id"]),
            customer_id=UUID(scope["public_id"]) if scope else None,
            name=parse_argument("--name", parse_name, name),
            role=role,
            token=secret,
            expires_at=_expiry(expires_in_days),
        )
        made = opened.store.monitoring.issue_token(command, opened.actor)
        opened.catch_up()
        if as_json:
            print_json({"number": made.number, "publicId": str(made.id), "token": secret})
        else:
            print_line(secret)


@token.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def list_tokens(*, as_json: bool) -> None:
    """List tokens by number, also revoked ones. The tokens themselves are not stored."""
    with operator_session("monitors") as opened:
        organizations = {
            each["public_id"]: each["number"] for each in opened.reader.organizations()
        }
        customers = {each["public_id"]: each["number"] for each in opened.reader.customers()}
        rows = [
            {
                **each,
                "organization": organizations[each["organization_id"]],
                "customer": customers.get(each["customer_id"]),
            }
            for each in opened.reader.tokens()
        ]
        columns = {
            "number": "Number",
            "hint": "Token",
            "name": "Name",
            "role": "Role",
            "organization": "Organization",
            "customer": "Customer",
            "expires_at": "Expires",
            "revoked_at": "Revoked",
            "created_at": "Created",
            "public_id": "Public id",
        }
        print_rows(rows, columns, as_json=as_json)


@token.command(epilog=examples("postwatch token revoke 3"))
@click.argument("identifier")
def revoke(identifier: str) -> None:
    """Revoke the token IDENTIFIER, a number or public id: the API refuses it from now on."""
    with operator_session("monitors") as opened:
        record = _find(opened.reader.tokens(), identifier)
        opened.store.monitoring.revoke_token(UUID(record["public_id"]), opened.actor)
        opened.catch_up()
        print_line(f"token {record['number']} ({record['name']}) is revoked")


def _find(tokens: Sequence[Record], identifier: str) -> Record:
    for each in tokens:
        if identifier in (str(each["number"]), each["public_id"]):
            return each
    raise CommandError(
        ExitCode.FAILED, f"there is no token {identifier}; see `postwatch token list`"
    )


def _expiry(days: int | None) -> str | None:
    return None if days is None else iso_milliseconds(utc_now() + timedelta(days=days))
