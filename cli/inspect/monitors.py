"""`postwatch monitor list`, `show` and `dialogue`, and `postwatch status`: what is known now."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final, get_args

import click
import orjson

from cli.terminal.arguments import parse_public_id
from cli.terminal.help import examples
from cli.terminal.output import camel_case, print_json, print_line, print_rows
from cli.terminal.session import OperatorSession, operator_session
from domain.kinds import KINDS
from domain.monitor_state import STATES, MonitorState
from domain.suggestions import unknown_name
from projections.readers.states import SORT_KEYS, SortKey, StateFilter
from projections.shapes.monitor_state import with_state
from service.errors import CommandError, ExitCode
from service.visible_text import visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from domain.kinds import Kind


VIEWS: Final = ("monitors", "checks", "states")
_EXAMPLE_ID: Final = "01935c5e-7a4b-7c39-9d2f-0123456789ab"
_PAGE: Final = 200
_NOT_WELL: Final[tuple[MonitorState, ...]] = ("down", "recovering", "suspicious", "unwatched")
_DOWN: Final = frozenset({"down", "recovering"})
_COLUMNS: Final = {
    "state": "State",
    "since": "Since",
    "name": "Name",
    "server": "Server",
    "type": "Type",
    "why": "Why",
    "public_id": "Public id",
}
_LOCATION_COLUMNS: Final = {
    "location": "Location",
    "verdict": "Verdict",
    "checked_at": "Checked",
    "category": "Category",
    "message": "Message",
    "server_reply": "Server's words",
}
_JSON: Final = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_ORGANIZATION: Final = click.option(
    "--organization", metavar="ID", help="Only its monitors, by number or public id."
)


@click.command("list", epilog=examples("postwatch monitor list --state down,suspicious --json"))
@click.option("--state", metavar="STATES", help=f"Only these, with commas: {', '.join(STATES)}.")
@click.option("--type", "kind", type=click.Choice(list(KINDS)), help="Only of this type.")
@click.option("--customer", metavar="ID", help="Only its monitors, by number or public id.")
@_ORGANIZATION
@click.option("--search", metavar="TEXT", help="A part of a name or a hostname.")
@click.option("--sort", type=click.Choice(SORT_KEYS), default="id", help="The order.")
@click.option("--reverse", is_flag=True, help="Turn the order round.")
@_JSON
def list_monitors(**options: Any) -> None:  # noqa: ANN401 - the options of the command
    """List monitors with their state, since when and why.

    With --json as GET /api/monitors shows them. The order is that of each organization.
    """
    with operator_session(*VIEWS) as opened:
        found = [item for each in _filters(opened, options) for item in _items(opened, each)]
    if options["as_json"]:
        print_json(found)
    else:
        print_rows([_row(each) for each in found], _COLUMNS, as_json=False)


@click.command(epilog=examples(f"postwatch monitor show {_EXAMPLE_ID}"))
@click.argument("public_id")
@_JSON
def show(public_id: str, *, as_json: bool) -> None:
    """Show the monitor PUBLIC_ID as the API does, and what each location says of it."""
    with operator_session(*VIEWS) as opened:
        key = str(parse_public_id(public_id))
        ref = opened.reader.monitor_ref(key)
        found = opened.reader.rendered_monitor(ref.kind, key) if ref else None
        if found is None:
            raise CommandError(
                ExitCode.FAILED, f"there is no monitor {public_id}; see `postwatch monitor list`"
            )
        shown = orjson.loads(with_state(found.body, opened.views.states.known(key)))
        locations = [_location(each) for each in opened.reader.last_checks(key)]
    if as_json:
        verdicts = [{camel_case(name): value for name, value in each.items()} for each in locations]
        print_json({**shown, "locations": verdicts})
        return
    rows = [{"key": name, "value": _text(value)} for name, value in shown.items()]
    print_rows(rows, {"key": "Key", "value": "Value"}, as_json=False)
    print_line("")
    print_rows(locations, _LOCATION_COLUMNS, as_json=False)


@click.command(epilog=examples(f"postwatch monitor dialogue {_EXAMPLE_ID}"))
@click.argument("public_id")
@_JSON
def dialogue(public_id: str, *, as_json: bool) -> None:
    """Show what was said in the last failed check of PUBLIC_ID, at each location.

    Passwords are masked. While a monitor goes on to fail in the same phase for the same reason,
    it is the dialogue of the first of these checks.
    """
    with operator_session("states") as opened:
        found = opened.views.states.dialogues(str(parse_public_id(public_id)))
    if as_json:
        print_json([{camel_case(name): value for name, value in each.items()} for each in found])
        return
    if not found:
        print_line("no failed check of this monitor has a dialogue")
    for each in found:
        print_line(f"{each['location']}, {each['at']}: {visible(each['message'])}")
        for line in each["dialogue"]:
            said = f"{line['side']}: {visible(line['text'])}"
            print_line(f"{line['elapsed_ms']:>10.1f} ms  {said}")


@click.command(epilog=examples("postwatch status", "postwatch status --json"))
@_ORGANIZATION
@_JSON
def status(organization: str | None, *, as_json: bool) -> None:
    """Say what is down, since when and why; then what is suspicious or not watched.

    Ends with exit code 11 while a monitor is down, else with 0.
    """
    with operator_session(*VIEWS) as opened:
        counts = dict.fromkeys(STATES, 0)
        found: list[dict[str, Any]] = []
        for each in _organizations(opened, organization):
            for state, number in opened.views.states.counts(each).by_state.items():
                counts[state] += number
            which = StateFilter(organization_id=each, states=_NOT_WELL, sort="state")
            found += _items(opened, which)
        is_decided = opened.store.incidents.tracked("checks") is not None
    found.sort(key=lambda each: (STATES.index(each["state"]), each["stateSince"]))
    _print_status(counts, found, as_json=as_json)
    if not is_decided:
        print_line(
            "nobody decides what is down: run `postwatch alerting` (a part of `postwatch up`)",
            error=True,
        )
    if any(counts[state] for state in STATES if state in _DOWN):
        sys.exit(ExitCode.MONITOR_DOWN)


def _print_status(
    counts: dict[MonitorState, int], found: Sequence[dict[str, Any]], *, as_json: bool
) -> None:
    if as_json:
        print_json({"byState": counts, "monitors": found})
        return
    told = ", ".join(f"{number} {state}" for state, number in counts.items() if number)
    print_line(told or "there are no monitors")
    if found:
        print_line("")
        print_rows([_row(each) for each in found], _COLUMNS, as_json=False)


def _filters(opened: OperatorSession, options: dict[str, Any]) -> Iterator[StateFilter]:
    customer = opened.customer(options["customer"]) if options["customer"] else None
    wanted = customer["organization_id"] if customer else options["organization"]
    kind: Kind | None = KINDS[options["kind"]].name if options["kind"] else None
    for organization in _organizations(opened, wanted):
        yield StateFilter(
            organization_id=organization,
            customer_id=customer["public_id"] if customer else None,
            kind=kind,
            search=options["search"],
            states=_states(options["state"]),
            sort=_sort_key(options["sort"]),
            is_descending=options["reverse"],
        )


def _organizations(opened: OperatorSession, identifier: str | None) -> list[str]:
    if identifier is not None:
        return [opened.organization(identifier)["public_id"]]
    return [each["public_id"] for each in opened.reader.organizations()]


def _items(opened: OperatorSession, which: StateFilter) -> Iterator[dict[str, Any]]:
    page = 1
    while found := orjson.loads(opened.views.states.monitors(which, page, _PAGE).items):
        yield from found
        page += 1


def _states(text: str | None) -> Sequence[MonitorState] | None:
    if text is None:
        return None
    for name in text.split(","):
        if name not in STATES:
            known = ", ".join(STATES)
            what = unknown_name(name, STATES, "state")
            raise CommandError(ExitCode.USAGE, f"--state: {name!r} {what}; known are {known}")
    return [each for each in get_args(MonitorState) if each in text.split(",")]


def _sort_key(text: str) -> SortKey:
    return next(each for each in SORT_KEYS if each == text)


def _row(item: dict[str, Any]) -> dict[str, Any]:
    error = item["lastError"] or {}
    why = " — ".join(filter(None, (error.get("message"), error.get("serverReply"))))
    port = f":{item['port']}" if item["port"] else ""
    return {
        "state": item["state"],
        "since": item["stateSince"],
        "name": item["name"],
        "server": f"{item['hostname']}{port}",
        "type": item["monitorType"],
        "why": why or None,
        "public_id": item["publicId"],
    }


def _location(check: dict[str, Any]) -> dict[str, Any]:
    outcome = check["outcome"]
    return {
        "location": check["location"],
        "verdict": outcome["verdict"],
        "checked_at": check["checked_at"],
        "category": outcome["category"],
        "message": outcome.get("message"),
        "server_reply": outcome.get("server_reply"),
    }


def _text(value: Any) -> str | None:  # noqa: ANN401 - any JSON
    return value if isinstance(value, str | None) else orjson.dumps(value).decode()
