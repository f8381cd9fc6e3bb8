"""The tables of changeable fields: every part of the product names the same fields."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

import pytest
from pydantic_core import PydanticUndefined

from api.resources import customers, monitor_body
from checker.loop import monitor_registry
from domain.commands import CreateMonitor
from domain.fields import CUSTOMER_DEFAULTS, CUSTOMER_FIELDS, MONITOR_FIELDS, FieldSpecs
from domain.kinds import KINDS
from domain.monitor import Monitor
from domain.organization import Customer
from projections.shapes import customer, monitor

if TYPE_CHECKING:
    from api.http.fields import RequestBody


@pytest.mark.parametrize(
    ("specs", "body", "apart"),
    [
        (MONITOR_FIELDS, monitor_body.CreateMonitorBody, {"customer_id"}),
        (CUSTOMER_FIELDS, customers.CreateCustomerBody, set()),
    ],
)
def test_bodies_and_the_domain_name_the_same_fields_and_defaults(
    specs: FieldSpecs, body: type[RequestBody], apart: set[str]
) -> None:
    assert {
        (name, each.alias, each.is_required(), each.get_default())
        for name, each in body.model_fields.items()
        if name not in apart
    } == {
        (
            each.name,
            each.key,
            each.is_required,
            PydanticUndefined if each.is_required else each.default,
        )
        for each in specs.values()
    }


@pytest.mark.parametrize(
    ("create", "update"),
    [
        (customers.CreateCustomerBody, customers.UpdateCustomerBody),
        *((monitor_body.CREATE_BODIES[each], monitor_body.UPDATE_BODIES[each]) for each in KINDS),
    ],
)
def test_a_patch_takes_what_a_create_takes_and_needs_nothing(
    create: type[RequestBody], update: type[RequestBody]
) -> None:
    assert {each.alias for each in update.model_fields.values()} == {
        each.alias for each in create.model_fields.values()
    }
    assert not any(each.is_required() for each in update.model_fields.values())
    assert update.READ_ONLY == create.READ_ONLY


def test_a_command_and_the_first_event_of_a_monitor_have_every_field() -> None:
    assert set(MONITOR_FIELDS) <= {each.name for each in fields(CreateMonitor)}
    assert set(MONITOR_FIELDS) <= set(Monitor.Created.__annotations__)


def test_the_first_event_of_a_customer_has_every_field_or_leaves_it_at_its_default() -> None:
    known = {*Customer.Created.__annotations__, *CUSTOMER_DEFAULTS}
    assert set(CUSTOMER_FIELDS) <= known


def test_the_checker_reads_the_fields_that_concern_it() -> None:
    assert set(monitor_registry._CHANGES) == {
        name for name, each in MONITOR_FIELDS.items() if each.concerns_checker
    }


def test_shapes_show_every_field_that_they_may_show() -> None:
    for form in ("written", "read", "listed"):
        for kind in ("smtp", "imap_pop"):
            assert {each.key for each in MONITOR_FIELDS.values()} <= set(monitor.KEYS[kind, form])
    for keys in (customer.CUSTOMER_KEYS["created"], customer.CUSTOMER_KEYS["read"]):
        shown = {*keys, "packageType"}
        assert {each.key for each in CUSTOMER_FIELDS.values()} <= shown
