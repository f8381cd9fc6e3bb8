"""An address that the network policy refused is known to operators, not to tenants."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, get_args

import pytest

from domain.actor import Role
from domain.check import Category
from mail.net.policy import NetworkPolicy
from mail.protocols.dialogue import ProbeFailed
from tests.api.test_organization import record, register
from tests.api.world import path_of

if TYPE_CHECKING:
    from tests.api.world import Persona, World

ADDRESS = "10.11.12.13"
HIDDEN = (
    "the name leads to an address that the network policy does not allow; the operator of this "
    "service can allow its network (POSTWATCH_ALLOWED_NETWORKS)"
)
READERS: tuple[Persona, ...] = (
    *("admin", "scoped_admin", "user", "scoped_user", "readonly", "scoped_readonly"),
    "supporter",
)


def refusal() -> str:
    """Return what a check records when the policy refuses the address."""
    with pytest.raises(ProbeFailed) as failed:
        NetworkPolicy().check([ip_address(ADDRESS)])
    return failed.value.message


def shown(world: World, persona: Persona, **outcome: Any) -> tuple[str, dict[str, Any]]:  # noqa: ANN401 - any outcome
    """Return the text of the history of a monitor with one check, and that check."""
    register(world, "de-nbg", "Nuremberg (DE)", "DE")
    monitor = world.monitor()
    record(world, monitor, 0, verdict="down", address=ADDRESS, **outcome)
    answer = world.caller(persona).get(f"{path_of(monitor)}/check-history")
    assert answer.status_code == 200
    return answer.text, answer.json["data"][0]


@pytest.mark.parametrize("persona", READERS)
def test_a_blocked_address_is_shown_to_an_operator_only(world: World, persona: Persona) -> None:
    message = refusal()
    assert ADDRESS in message
    blocked = {"category": Category.ADDRESS_BLOCKED.value, "phase": "dns", "message": message}

    text, check = shown(world, persona, **blocked)
    assert ADDRESS not in text
    assert check["errorMessage"] == check["diagnostics"]["message"] == HIDDEN
    assert check["diagnostics"]["address"] is None
    assert check["diagnostics"]["category"] == "address_blocked"

    _, check = shown(world, "operator", **blocked)
    assert check["errorMessage"] == check["diagnostics"]["message"] == message
    assert check["diagnostics"]["address"] == ADDRESS


def test_every_role_that_reads_monitors_is_tried() -> None:
    tried = {each.removeprefix("scoped_") for each in READERS}
    assert tried | {"operator", "metrics"} == set(get_args(Role))


def test_the_address_of_another_failure_is_shown_to_all(world: World) -> None:
    _, check = shown(world, "readonly", category="timeout")
    assert check["diagnostics"]["address"] == ADDRESS
