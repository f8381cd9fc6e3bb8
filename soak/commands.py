"""The commands of people and checkers on a store, as rules of the state machine (`machine`)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from checker.recording.check_log import CheckLog
from checker.runtime.location import Location
from domain.check import check_log_id
from domain.checks import PerformedCheck
from domain.clock import iso_milliseconds
from domain.commands import CreateCustomer, IssueToken, UpdateCustomer, UpdateMonitor
from domain.errors import ConflictError, InvalidInputError, NotFoundError, StaleVersionError
from domain.location import location_id
from soak.model import CUSTOMER_FIELDS, MASK, Row
from soak.played import Played, refused
from tests.domain.given import CREATE_IMAP, CREATE_SMTP, TESTER

if TYPE_CHECKING:
    from domain.kinds import Config, Kind


hands = st.integers(0, 1)
picks = st.integers(0, 99)
names = st.sampled_from(["Mail", "Post", "Poštář", "日本", "%s 100 %", 'a"b'])
codes = st.sampled_from(["de-nbg", "fi-hel"])
logins = st.sampled_from(
    [None, ("one", "canary-1"), ("one", "canary-2"), ("two", "canary-1"), ("one", MASK)]
)
changes_of_monitors = st.fixed_dictionaries(
    {},
    optional={
        "name": names,
        "port": st.sampled_from([None, 25, 587]),
        "status": st.sampled_from(["active", "pause"]),
        "allowed_check_country_codes": st.sampled_from([None, ["DE"], ["DE", "FI"]]),
    },
)
_MONITOR_FIELDS = (
    *("name", "hostname", "port", "status", "check_interval", "timeout_seconds"),
    *("notification_email", "notification_phone_number", "allowed_check_country_codes"),
)


class Commands(Played):
    """Organizations, customers, tokens, locations, monitors and checks come, change and go."""

    def __init__(self) -> None:
        super().__init__()
        self.create_organization(hand=0, name="First")
        self.create_customer(hand=0, pick=0, name="First", status=None)

    @rule(hand=hands, name=names)
    def create_organization(self, hand: int, name: str) -> None:
        made = self.monitoring(hand).create_organization(name, TESTER)
        row = {"public_id": str(made.id), "name": name, "created_at": self.iso}
        self._made("OrganizationCreated", "organization", "organizations", row)

    @rule(hand=hands, pick=picks, name=names, status=st.sampled_from([None, "active", "paused"]))
    def create_customer(self, hand: int, pick: int, name: str, status: str | None) -> None:
        owner = self.pick("organizations", pick)["public_id"]
        details = {} if status is None else {"status": status}
        command = CreateCustomer(UUID(owner), name, "a@example.com", details)
        made = self.monitoring(hand).create_customer(command, TESTER)
        row = {"public_id": str(made.id), "organization_id": owner, "name": name}
        row |= {"email": "a@example.com", **CUSTOMER_FIELDS, **details}
        row |= {"created_at": self.iso, "updated_at": self.iso}
        self._made("CustomerCreated", "customer", "customers", row)

    @rule(hand=hands, pick=picks, name=names, email=st.sampled_from([None, "b@example.com"]))
    def update_customer(self, hand: int, pick: int, name: str, email: str | None) -> None:
        public_id = self.pick("customers", pick)["public_id"]
        changes = {"name": name, "email": email}
        command = UpdateCustomer(UUID(public_id), changes)
        self.monitoring(hand).update_customer(command, TESTER)
        self.model.change("CustomerUpdated", "customers", public_id, changes, self.iso)

    @rule(hand=hands, pick=picks, name=names, is_scoped=st.booleans())
    def issue_token(self, hand: int, pick: int, name: str, is_scoped: bool) -> None:  # noqa: FBT001 - drawn
        customer = self.pick("customers", pick)
        owner, scope = customer["organization_id"], customer["public_id"] if is_scoped else None
        token = f"wsm_{len(self.model.rows['tokens']):040}"
        command = IssueToken(UUID(owner), UUID(scope) if scope else None, name, "user", token)
        made = self.monitoring(hand).issue_token(command, TESTER)
        row: Row = {"public_id": str(made.id), "organization_id": owner, "customer_id": scope}
        row |= {"name": name, "role": "user", "token_hash": made.token_hash, "hint": "wsm_0000..."}
        row |= {"expires_at": None, "created_at": self.iso}
        row |= {"revoked_at": None, "last_used_at": None}
        self._made("TokenIssued", "access_token", "tokens", row)

    @precondition(lambda self: self.model.rows["tokens"])
    @rule(hand=hands, pick=picks)
    def revoke_token(self, hand: int, pick: int) -> None:
        token = self.pick("tokens", pick)
        public_id, revoke = token["public_id"], self.monitoring(hand).revoke_token
        if token["revoked_at"] is not None:
            refused(ConflictError, revoke, UUID(public_id), TESTER)
            return
        revoke(UUID(public_id), TESTER)
        self.model.change("TokenRevoked", "tokens", public_id, {"revoked_at": self.iso}, self.iso)

    @precondition(lambda self: self.model.rows["tokens"])
    @rule(hand=hands, pick=picks, minutes=st.sampled_from([0, 20, 90]))
    def use_token(self, hand: int, pick: int, minutes: int) -> None:
        """Use a token; the log notes that at most once an hour."""
        token = self.pick("tokens", pick)
        self.now += timedelta(minutes=minutes)
        self.monitoring(hand).use_token(UUID(token["public_id"]), TESTER)
        an_hour_ago = iso_milliseconds(self.now - timedelta(hours=1))
        if token["last_used_at"] is None or token["last_used_at"] <= an_hour_ago:
            changes = {"last_used_at": self.iso}
            self.model.change("TokenUsed", "tokens", token["public_id"], changes, self.iso)

    @rule(
        hand=hands,
        pick=picks,
        kind=st.sampled_from(["smtp", "imap_pop"]),
        name=names,
        login=logins,
        key=st.sampled_from([None, "key-1", "key-2"]),
    )
    def create_monitor(  # noqa: PLR0917 - drawn
        self,
        hand: int,
        pick: int,
        kind: Kind,
        name: str,
        login: tuple[str, str] | None,
        key: str | None,
    ) -> None:
        """Create a monitor, sometimes with a client's own key that was used before."""
        customer, config = self.pick("customers", pick), _config(kind, login)
        plain = CREATE_IMAP if kind == "imap_pop" else CREATE_SMTP
        command = replace(
            plain,
            organization_id=UUID(customer["organization_id"]),
            customer_id=UUID(customer["public_id"]),
            name=name,
            config=config,
        )
        monitoring = self.monitoring(hand)
        asked = repr((kind, customer["public_id"], name, login))
        repeat = monitoring.idempotency_key("tester", key, asked.encode()) if key else None
        create = monitoring.create_monitor
        if login is not None and login[1] == MASK:
            refused(InvalidInputError, create, command, TESTER)
            return
        stream = str(repeat.stream) if repeat else ""
        if stream in self.model.requests:
            self._repeat(lambda: create(command, TESTER, repeat=repeat).id, stream, asked)
            return
        made = create(command, TESTER, repeat=repeat)
        if stream:
            self.model.requests[stream] = (asked, str(made.id))
        row = {field: getattr(command, field) for field in _MONITOR_FIELDS}
        row |= {"public_id": str(made.id), "kind": kind, "config": config, "version": 1}
        row |= {"organization_id": customer["organization_id"]}
        row |= {"customer_id": customer["public_id"]}
        row |= {"created_at": self.iso, "updated_at": self.iso}
        self._made("MonitorCreated", kind, "monitors", row, stream)

    @precondition(lambda self: self.model.rows["monitors"])
    @rule(
        hand=hands,
        pick=picks,
        changes=changes_of_monitors,
        login=st.one_of(st.just("unchanged"), logins),
        version=st.sampled_from(["any", "right", "stale"]),
    )
    def update_monitor(
        self,
        hand: int,
        pick: int,
        changes: Row,
        login: tuple[str, str] | Literal["unchanged"] | None,
        version: str,
    ) -> None:
        """Change a monitor; the mask keeps its password, and needs one to keep."""
        row = self.pick("monitors", pick)
        public_id, changes, stored = row["public_id"], dict(changes), _password(row["config"])
        expected = {"any": None, "right": row["version"], "stale": row["version"] - 1}[version]
        update = self.monitoring(hand).update_monitor
        masked_user = login[0] if isinstance(login, tuple) and login[1] == MASK else None
        if not isinstance(login, str):
            changes["config"] = _config(row["kind"], login)
        command = UpdateMonitor(UUID(public_id), dict(changes), expected)
        if version == "stale":
            refused(StaleVersionError, update, command, TESTER)
        elif masked_user and stored is None:
            refused(InvalidInputError, update, command, TESTER)
        else:
            update(command, TESTER)
            if masked_user:
                changes["config"] = _config(row["kind"], (masked_user, stored))
            self.model.change("MonitorUpdated", "monitors", public_id, changes, self.iso)

    @precondition(lambda self: self.model.rows["monitors"])
    @rule(hand=hands, pick=picks)
    def delete_monitor(self, hand: int, pick: int) -> None:
        public_id = self.pick("monitors", pick)["public_id"]
        self.monitoring(hand).delete_monitor(UUID(public_id), TESTER)
        self.model.delete(public_id)

    @precondition(lambda self: self.model.deleted)
    @rule(hand=hands, pick=picks)
    def touch_a_deleted_monitor(self, hand: int, pick: int) -> None:
        deleted = sorted(self.model.deleted)
        monitor_id = UUID(deleted[pick % len(deleted)])
        monitoring = self.monitoring(hand)
        refused(NotFoundError, monitoring.delete_monitor, monitor_id, TESTER)
        command = UpdateMonitor(monitor_id, {"name": "back again"})
        refused(NotFoundError, monitoring.update_monitor, command, TESTER)

    @rule(hand=hands, code=codes, name=names, country=st.sampled_from([None, "DE"]))
    def register_location(self, hand: int, code: str, name: str, country: str | None) -> None:
        self.monitoring(hand).register_location(code, name, country, TESTER)
        public_id, fields = str(location_id(code)), {"name": name, "country": country}
        if public_id in self.model.rows["locations"]:
            back = {"retired_at": None}
            self.model.change("LocationRestored", "locations", public_id, back, self.iso)
            self.model.change("LocationUpdated", "locations", public_id, fields, self.iso)
            return
        row = {"code": code, **fields, "created_at": self.iso, "retired_at": None}
        self._made("LocationRegistered", "location", "locations", row, public_id=public_id)

    @rule(hand=hands, code=codes)
    def retire_location(self, hand: int, code: str) -> None:
        """Retire a location that is there and in use; anything else is refused."""
        public_id, retire = str(location_id(code)), self.monitoring(hand).retire_location
        row = self.model.rows["locations"].get(public_id)
        if row is None:
            refused(NotFoundError, retire, code, TESTER)
        elif row["retired_at"] is not None:
            refused(ConflictError, retire, code, TESTER)
        else:
            retire(code, TESTER)
            gone = {"retired_at": self.iso}
            self.model.change("LocationRetired", "locations", public_id, gone, self.iso)

    @precondition(lambda self: self.model.rows["monitors"])
    @rule(hand=hands, chosen=st.lists(picks, min_size=1, max_size=4), code=codes)
    def record_checks(self, hand: int, chosen: list[int], code: str) -> None:
        """Record a batch, in which a monitor may stand more than once."""
        batch = []
        for number in chosen:
            row = self.pick("monitors", number)
            self.now += timedelta(seconds=1)
            outcome = {"verdict": "up", "category": "ok", "number": number}
            check = PerformedCheck(
                monitor_id=UUID(row["public_id"]),
                monitor_version=row["version"],
                kind=row["kind"],
                due_at=self.iso,
                started_at=self.iso,
                finished_at=self.now,
                outcome=outcome,
            )
            batch.append((check, {"checked_at": self.iso}))
        location = Location(code, code, None)
        CheckLog(self.hands[hand].store.checks, location).append([each for each, _ in batch])
        for check, times in batch:
            stream = str(check_log_id(check.monitor_id, code))
            row = {"monitor_id": str(check.monitor_id), "monitor_version": check.monitor_version}
            row |= {"location": code, "due_at": check.due_at, "started_at": check.started_at}
            self.model.check(stream, {**row, **times, "outcome": check.outcome})

    def _made(  # noqa: PLR0917 - of one caller each
        self,
        topic: str,
        sort: str,
        table: str,
        row: Row,
        request: str = "",
        public_id: str | None = None,
    ) -> None:
        row = {"number": self.model.next_number(sort), **row}
        self.model.create(topic, sort, table, public_id or row["public_id"], row, request=request)

    def _repeat(self, again: Any, stream: str, asked: str) -> None:  # noqa: ANN401 - a command
        """Send a request again under its key: the same makes nothing, another is refused."""
        before, made = self.model.requests[stream]
        if before == asked:
            assert str(again()) == made
        else:
            refused(ConflictError, again)


def _config(kind: Kind, login: tuple[str, str | None] | None) -> Config:
    """Return a config with a login, or without one."""
    if kind == "smtp":
        auth = {"auth": {"user": login[0], "pass": login[1]}} if login else {}
        return {"secure": False, **auth}
    fields = {"user": login[0], "password": login[1]} if login else {}
    return {"protocol": "imap", "tls": True, **fields}


def _password(config: Config) -> str | None:
    return config.get("auth", config).get("pass") or config.get("password")
