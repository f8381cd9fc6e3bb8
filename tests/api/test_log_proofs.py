"""Proofs about logs by the API: what they hold, who may read them, what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from store.proof.leaf import row_hash
from store.proof.merkle import includes, is_consistent
from store.proof.tree_heads import parse_head
from store.proving import log_proof

if TYPE_CHECKING:
    from store.proof.log_proof import LogProof
    from tests.api.world import Persona, World


LOG = "/api/logs/monitoring"


def signed(world: World) -> LogProof:
    """Return the proof of the world's audit log, with a head of everything."""
    proof = log_proof(world.store, "monitoring")
    proof.grow()
    proof.sign()
    return proof


def test_without_a_head_there_is_nothing_to_show(fresh_world: World) -> None:
    for path in ("/head", "/inclusion?position=1", "/consistency?first=1"):
        answer = fresh_world.operator.get(LOG + path)
        assert answer.status_code == 404
    assert fresh_world.operator.get(LOG + "/head").json["message"] == (
        "the log monitoring has no signed head yet"
    )


def test_the_newest_head_is_shown_and_its_signature_holds(world: World) -> None:
    proof = signed(world)

    answer = world.operator.get(LOG + "/head")

    assert answer.status_code == 200
    assert parse_head(answer.content) == proof.newest_head()
    assert proof.public_key().signed(parse_head(answer.content))


def test_an_event_is_proven_without_being_shown(world: World) -> None:
    proof = signed(world)

    shown = world.operator.get(LOG + "/inclusion", position=3).json

    leaf = row_hash(proof.rows.after(2, 1)[0])
    path = [bytes.fromhex(each) for each in shown["path"]]
    root = bytes.fromhex(shown["head"]["rootHash"])
    assert list(shown) == ["log", "position", "leafIndex", "leafHash", "path", "head"]
    assert shown["leafHash"] == leaf.hex()
    assert includes(leaf, shown["leafIndex"], shown["head"]["size"], path, root)


def test_consistency_is_proven_up_to_the_newest_head_or_a_size(world: World) -> None:
    head = signed(world).newest_head()
    assert head is not None

    for more, second in (({}, head.size), ({"second": 5}, 5)):
        shown = world.operator.get(LOG + "/consistency", first=3, **more).json
        first_root, second_root, *path = (
            bytes.fromhex(each)
            for each in (shown["firstRootHash"], shown["secondRootHash"], *shown["path"])
        )
        assert (shown["firstSize"], shown["secondSize"]) == (3, second)
        assert is_consistent(3, second, first_root, second_root, path)


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/api/logs/nonsense/head", 404, "there is no log nonsense"),
        (LOG + "/inclusion", 400, "Missing position"),
        (LOG + "/inclusion?position=0", 400, "Invalid position"),
        (LOG + "/inclusion?position=x", 400, "Invalid position"),
        (LOG + "/inclusion?position=99999", 404, "has no event at position 99999"),
        (LOG + "/consistency", 400, "Missing first"),
        (LOG + "/consistency?first=1&second=-1", 400, "Invalid second"),
        (LOG + "/consistency?first=1&second=99999", 404, "not 99999"),
        (LOG + "/consistency?first=5&second=4", 404, "no consistency proof from 5 to 4"),
    ],
)
def test_what_is_not_there_or_not_a_number_is_said(
    world: World, path: str, status: int, says: str
) -> None:
    signed(world)

    answer = world.operator.get(path)

    assert answer.status_code == status
    assert says in answer.json["message"]


@pytest.mark.parametrize(
    ("persona", "status"),
    [
        ("operator", 200),
        ("metrics", 403),
        ("admin", 403),
        ("supporter", 403),
        ("user", 403),
        ("readonly", 403),
        ("scoped_admin", 403),
        ("nobody", 401),
    ],
)
def test_who_may_read_them(world: World, persona: Persona, status: int) -> None:
    signed(world)

    for path in ("/head", "/inclusion?position=1", "/consistency?first=1"):
        assert world.caller(persona).get(LOG + path).status_code == status
