"""The tables of changeable fields: every part of the product names the same fields."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

import pytest

from api.resources import customers, monitor_body
from checker.loop import monitor_registry
from domain.commands import CreateMonitor
from domain.fields import CUSTOMER_DEFAULTS, CUSTOMER_FIELDS, MONITOR_FIELDS, FieldSpecs
from domain.monitor import Monitor
from domain.organization import Customer
from projections.shapes import customer, monitor

if TYPE_CHECKING:
    from api.http.fields import Fields


@pytest.mark.parametrize(
    ("specs", "body", "apart"),
    [
        (MONITOR_FIELDS, monitor_body.FIELDS, {"config"}),
        (CUSTOMER_FIELDS, customers.FIELDS, set()),
    ],
)
def test_bodies_and_the_domain_name_the_same_fields_and_defaults(
    specs: FieldSpecs, body: Fields, apart: set[str]
) -> None:
    assert {key: (each.name, each.default, each.required) for key, each in body.items()} == {
        each.key: (each.name, each.default, each.is_required)
        for each in specs.values()
        if each.name not in apart
    }


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
