"""Whatever is accepted survives log, view and GET, and sent back it changes nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.config_secrets import mask_secrets
from domain.kinds import KINDS as KINDS_BY_NAME
from domain.mail_config import parse_config
from tests.api.bodies import bodies, configs
from tests.api.world import PATHS

if TYPE_CHECKING:
    from domain.kinds import Kind
    from tests.api.world import World


KINDS: list[Kind] = ["smtp", "imap_pop"]
RELAXED = settings(
    deadline=None,
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@RELAXED
def test_an_accepted_body_survives_and_sent_back_changes_nothing(
    world: World, kind: Kind, data: st.DataObject
) -> None:
    body: dict[str, Any] = data.draw(bodies(kind))
    admin = world.admin
    customer = str(world.owners["own"].customer.id)

    created = admin.post(PATHS[kind], {"customerId": customer, **body})
    assert created.status_code == 201, created.text
    path = created.headers["location"]
    read = admin.get(path).json
    patched = admin.patch(path, read)

    config = parse_config(kind, body.get("config"))
    assert created.json["config"] == config
    assert json.dumps(read["config"]) == json.dumps(mask_secrets(config))
    assert {key: read[key] for key in read if key in created.json and "onfig" not in key} == {
        key: created.json[key] for key in created.json if "onfig" not in key
    }
    assert patched.json == {
        **created.json,
        "config": read["config"],
        KINDS_BY_NAME[kind].config_key: read["config"],
    }
    assert admin.get(path).json == read
    assert len(list(world.store.monitoring.events.get(UUID(read["publicId"])))) == 1


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@settings(deadline=None, max_examples=50)
def test_normalising_a_config_twice_is_normalising_it_once(kind: Kind, data: st.DataObject) -> None:
    once = parse_config(kind, data.draw(configs(kind)))

    assert json.dumps(parse_config(kind, once)) == json.dumps(once)


@pytest.mark.parametrize("kind", KINDS)
@given(
    junk=st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.dictionaries(
                st.one_of(
                    st.text(),
                    st.sampled_from(
                        ["name", "hostname", "port", "status", "config", "auth", "user"]
                    ),
                ),
                inner,
                max_size=5,
            ),
        ),
    )
)
@RELAXED
def test_no_body_is_answered_with_500(world: World, kind: Kind, junk: object) -> None:
    admin = world.admin
    path = f"{PATHS[kind]}/{world.monitor(kind).id}"

    assert admin.post(PATHS[kind], junk).status_code == 400
    assert admin.patch(path, junk).status_code in {200, 400}
