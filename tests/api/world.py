"""Everything an API test needs around it: owners, tokens of every persona, callers."""

from __future__ import annotations

import asyncio
import json
import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

from falcon.testing import ASGIConductor, Result

from api.app import create_app
from domain.clock import iso_milliseconds, utc_now
from domain.commands import CreateCustomer, IssueToken
from projections.catalog import Views
from tests.domain.given import CREATE_IMAP, CREATE_SMTP, TESTER, Owners, make_owners
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from api.app import App, Options
    from domain.actor import Role
    from domain.monitor import Monitor
    from store.store import Store
    from tests.places import Place


Persona = Literal[
    "admin",
    "user",
    "scoped_admin",
    "scoped_user",
    "readonly",
    "scoped_readonly",
    "supporter",
    "operator",
    "metrics",
    "stranger",
    "expired",
    "revoked",
    "unknown",
    "nobody",
]
Whose = Literal["own", "other", "foreign"]
"""A monitor of the customer in scope, of another customer, of another organization."""

SMTP = "/api/smtp-monitors"
IMAP = "/api/imap-pop-monitors"
PATHS = {"smtp": SMTP, "imap_pop": IMAP}
COMMANDS = {"smtp": CREATE_SMTP, "imap_pop": CREATE_IMAP}
LONG_AGO = "2020-01-01T00:00:00.000Z"
JSON = {"Content-Type": "application/json"}


class Caller:
    """A client of the API with one token, or none."""

    def __init__(self, app: App, token: str | None) -> None:
        self._app = app
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}

    def get(self, path: str, **query: str | int) -> Result:
        """Ask for something."""
        return self._ask("GET", path, params=query)

    def post(self, path: str, body: object) -> Result:
        """Create something."""
        return self.send("POST", path, json.dumps(body))

    def patch(self, path: str, body: object) -> Result:
        """Change something."""
        return self.send("PATCH", path, json.dumps(body))

    def delete(self, path: str) -> Result:
        """Delete something."""
        return self._ask("DELETE", path)

    def send(
        self, method: str, path: str, body: str | bytes, headers: Mapping[str, str] = JSON
    ) -> Result:
        """Send a body as it is."""
        return self._ask(method, path, body=body, headers=dict(headers))

    def _ask(self, method: str, path: str, **more: Any) -> Result:  # noqa: ANN401 - as Falcon's own
        """Ask on an event loop of its own, as many threads do at once."""

        async def ask() -> Result:
            async with ASGIConductor(self._app, headers=self._headers) as conductor:
                answer: Result = await conductor.simulate_request(method, path, **more)
            return answer

        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run(ask())
        # A test asks from within the answer to another request.
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(asyncio.run, ask()).result()


@dataclass(frozen=True, slots=True)
class World:
    """An app on a data folder with two organizations, and tokens of every persona."""

    place: Place
    store: Store
    views: Views
    app: App
    owners: Mapping[Whose, Owners]
    tokens: Mapping[Persona, str | None]

    def caller(self, persona: Persona) -> Caller:
        """Return a client with the persona's token."""
        return Caller(self.app, self.tokens[persona])

    @property
    def admin(self) -> Caller:
        """The client that may do everything in its organization."""
        return self.caller("admin")

    @property
    def operator(self) -> Caller:
        """The client that may read everything of the installation."""
        return self.caller("operator")

    def monitor(self, kind: str = "smtp", whose: Whose = "own", **fields: Any) -> Monitor:  # noqa: ANN401 - any field
        """Store a monitor behind the API's back, and show it."""
        command = self.owners[whose].create(COMMANDS[kind], **fields)
        monitor = self.store.monitoring.create_monitor(command, TESTER)
        self.views.projector("monitors").catch_up()
        return monitor

    def body(self, kind: str = "smtp", whose: Whose = "own", **keys: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
        """Return the smallest body that creates a monitor, with keys added."""
        customer = str(self.owners[whose].customer.id)
        name = COMMANDS[kind].name
        return {"customerId": customer, "name": name, "hostname": "mail.example.com", **keys}

    def history(self, public_id: str) -> list[Any]:
        """Return every event of a monitor."""
        return list(self.store.monitoring.events.get(UUID(public_id)))

    def close(self) -> None:
        """Close the files."""
        self.views.close()
        self.store.close()


@contextmanager
def another_worker(world: World, options: Options | None = None) -> Iterator[World]:
    """Open the world's store once more, as another worker or a later start does."""
    with world.place.open() as store, Views(store) as views:
        app = create_app(store, views, options)
        yield World(world.place, store, views, app, world.owners, world.tokens)


STATE_KEYS = ("state", "stateSince", "lastError", "openIncidentId")
_STATE = re.compile(rb',"state":"[a-z]+","stateSince":.*?,"openIncidentId":(?:null|"[^"]*")')


def without_state(answer: bytes) -> bytes:
    """Return an answer without what is known now: the past does not have that."""
    return _STATE.sub(b"", answer)


def path_of(monitor: Monitor) -> str:
    """Return a monitor's URL."""
    return f"{PATHS[monitor.kind]}/{monitor.id}"


def later_than(shown: str) -> None:
    """Wait until the clock is past the millisecond shown."""
    wait_until(lambda: iso_milliseconds(utc_now()) > shown)


def make_world(place: Place) -> World:
    """Make a store with everyone in it."""
    store = place.create()
    own = make_owners(store)
    command = CreateCustomer(own.organization.id, "Second Customer", None)
    other = Owners(own.organization, store.monitoring.create_customer(command, TESTER))
    owners: dict[Whose, Owners] = {
        "own": own,
        "other": other,
        "foreign": make_owners(store, "Foreign"),
    }
    views = Views(store)
    projector = views.projector("monitors")
    tokens = _issue_tokens(store, owners)
    projector.catch_up()
    return World(place, store, views, create_app(store, views), owners, tokens)


def _issue_tokens(store: Store, owners: Mapping[Whose, Owners]) -> dict[Persona, str | None]:
    tokens: dict[Persona, str | None] = {"nobody": None, "unknown": _token("unknown")}

    def issue(
        persona: Persona,
        role: Role,
        *,
        whose: Whose = "own",
        scoped: bool = False,
        expires_at: str | None = None,
    ) -> None:
        organization, customer = owners[whose].organization.id, owners[whose].customer.id
        tokens[persona] = token = _token(persona)
        command = IssueToken(
            organization, customer if scoped else None, persona, role, token, expires_at
        )
        issued = store.monitoring.issue_token(command, TESTER)
        # The first use is an event: recorded here, it is none of the test that comes first.
        store.monitoring.use_token(issued.id, TESTER)
        if persona == "revoked":
            store.monitoring.revoke_token(issued.id, TESTER)

    issue("admin", "admin")
    issue("user", "user")
    issue("scoped_admin", "admin", scoped=True)
    issue("scoped_user", "user", scoped=True)
    issue("readonly", "readonly")
    issue("scoped_readonly", "readonly", scoped=True)
    issue("supporter", "supporter")
    issue("operator", "operator")
    issue("metrics", "metrics")
    issue("stranger", "admin", whose="foreign")
    issue("expired", "admin", expires_at=LONG_AGO)
    issue("revoked", "admin")
    return tokens


def _token(persona: str) -> str:
    return f"wsm_{persona}".ljust(40, "x")
