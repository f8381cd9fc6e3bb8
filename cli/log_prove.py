"""`postwatch log prove`: proofs as JSON, to be checked without Postwatch (docs/proof.md)."""

from __future__ import annotations

import click

from cli.exit_codes import ExitCode
from cli.failure import CommandError, exit_on_failure
from cli.proven import log_option, proof_of
from cli.tables import print_json
from domain.proof.leaf import Row, leaf_bytes
from domain.proof.merkle import leaf_hash


@click.group()
def prove() -> None:
    """Prove that an event is in the log, or that a log only grew; prints JSON."""


@prove.command()
@click.argument("position", type=click.IntRange(min=1, max=2**63 - 1))
@log_option
def inclusion(position: int, log: str) -> None:
    """Prove that the event at POSITION is in the tree of the newest signed head.

    Signs a head first when none covers it yet. The event itself is part of the output.
    """
    with exit_on_failure(), proof_of(log) as proof:
        newest = proof.newest_head()
        if newest is None or newest.position < position:
            proof.grow()
            proof.sign()
        found = proof.inclusion(position)
        rows = proof.rows.after(position - 1, 1, through=position)
        if not rows:
            raise CommandError(ExitCode.TAMPERED, f"the event at position {position} is gone")
        if leaf_hash(leaf_bytes(rows[0])) != found.leaf_hash:
            raise CommandError(
                ExitCode.TAMPERED,
                f"the event at position {position} is not the one in the tree; see "
                f"`postwatch log verify {log}`",
            )
        print_json({**found.as_json(), "event": _event(rows[0])})


@prove.command()
@click.argument("old_size", type=click.IntRange(min=1))
@click.argument("new_size", type=click.IntRange(min=1), required=False)
@log_option
def consistency(old_size: int, new_size: int | None, log: str) -> None:
    """Prove that the log of NEW_SIZE events begins with the log of OLD_SIZE, unchanged.

    NEW_SIZE is that of the newest signed head unless it is given.
    """
    with exit_on_failure(), proof_of(log) as proof:
        if proof.newest_head() is None:
            proof.grow()
            proof.sign()
        print_json(proof.consistency(old_size, new_size))


def _event(row: Row) -> dict[str, object]:
    return {
        "position": row.position,
        "originatorId": row.originator_id.decode(),
        "version": int(row.version),
        "topic": row.topic.decode(),
        "state": row.state.decode(),
    }
