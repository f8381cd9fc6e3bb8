"""`postwatch log`: signed tree heads, proofs and verification of the logs (docs/proof.md)."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
import orjson

from cli.terminal.help import examples, exit_codes
from cli.terminal.lazy_group import LazyGroup
from cli.terminal.output import print_json, print_line, print_rows
from cli.terminal.progress import progress
from service.errors import CommandError, ExitCode, exit_on_failure
from service.opening import open_from_settings
from service.settings import Settings
from store.ports.engine import LOGS
from store.proof.leaf import leaf_bytes
from store.proof.merkle import leaf_hash
from store.proof.tree_heads import VerifyingKey
from store.proving import log_proof, verify

if TYPE_CHECKING:
    from collections.abc import Iterator

    from domain.event_mapper import Row
    from store.proof.log_proof import LogProof
    from store.proof.verification import LogReport


_SECTIONS: Final = {
    "Prove": {
        "verify": ("cli.inspect.log:verify_log", "Compare every event with its stored hash."),
        "head": ("cli.inspect.log:head", "Show or sign heads of a log's hash tree."),
        "prove": ("cli.inspect.log:prove", "Print proofs that others can check."),
        "public-key": ("cli.inspect.log:public_key", "Print the key that verifies heads."),
    },
    "Transfer": {
        "export": ("cli.transfer.export_import:export", "Write the store as lines of JSON."),
        "import": ("cli.transfer.export_import:import_command", "Create a store from an export."),
    },
}


@click.group(cls=LazyGroup, sections=_SECTIONS)
def log() -> None:
    """Verify, prove, export and import the logs: monitoring (the audit log) and checks."""


LOG_ARGUMENT = click.argument("log", type=click.Choice(LOGS), default=LOGS[0])
"""LOG is the audit log by default."""

log_option = click.option(
    "--log", type=click.Choice(LOGS), default=LOGS[0], show_default=True, help="The log."
)


@contextmanager
def proof_of(log: str) -> Iterator[LogProof]:
    """Open the store that the settings name; give the proof of one of its logs."""
    settings = Settings.from_env()
    with open_from_settings(settings) as store:
        yield log_proof(store, log)


@click.command(
    epilog=examples("postwatch log head --now", "postwatch log head checks --count 10 --ndjson")
)
@LOG_ARGUMENT
@click.option("--now", is_flag=True, help="Sign a head of the whole log first.")
@click.option(
    "--count",
    type=click.IntRange(1, 1000),
    default=1,
    show_default=True,
    help="Number of heads.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
@click.option(
    "--ndjson",
    is_flag=True,
    help="Print one JSON object a line, to keep elsewhere and give to `log verify --heads`.",
)
def head(log: str, count: int, *, now: bool, as_json: bool, ndjson: bool) -> None:
    """Show the newest signed heads of the hash tree of LOG, newest first.

    A head commits to every event up to its position. With --ndjson the oldest is first.
    """
    with exit_on_failure(), proof_of(log) as proof:
        if now:
            proof.grow()
            proof.sign()
        rows = [each.as_json() for each in proof.heads.newest(count)]
    if ndjson:
        for row in reversed(rows):
            print_line(orjson.dumps(row).decode())
        return
    columns = {
        "log": "Log",
        "size": "Events",
        "position": "Position",
        "time": "Signed",
        "rootHash": "Root",
        "keyId": "Key",
        "signature": "Signature",
    }
    if not as_json:
        del columns["signature"]
    print_rows(rows, columns, as_json=as_json)


@click.command("public-key", epilog=examples("postwatch log public-key --pem > postwatch.pem"))
@click.option("--pem", is_flag=True, help="Print PEM, as OpenSSL reads it.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def public_key(*, pem: bool, as_json: bool) -> None:
    """Print the public key (Ed25519) that verifies the signed heads of this store."""
    with exit_on_failure(), proof_of("monitoring") as proof:
        key = proof.public_key()
    if as_json:
        shown = {"keyId": key.key_id, "publicKey": key.raw.hex(), "pem": key.pem()}
        print_json({"algorithm": "Ed25519", **shown})
    else:
        print(key.pem() if pem else key.raw.hex(), end="" if pem else "\n")


@click.group()
def prove() -> None:
    """Print a proof, as JSON, that others can check without Postwatch (docs/proof.md)."""


@prove.command(epilog=examples("postwatch log prove inclusion 1200"))
@click.argument("position", type=click.IntRange(min=1, max=2**63 - 1))
@log_option
def inclusion(position: int, log: str) -> None:
    """Prove that the event at POSITION is in the tree of the newest signed head.

    Signs a head first when none covers the position. The output contains the event.
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


@prove.command(epilog=examples("postwatch log prove consistency 1000 1200"))
@click.argument("old_size", type=click.IntRange(min=1))
@click.argument("new_size", type=click.IntRange(min=1), required=False)
@log_option
def consistency(old_size: int, new_size: int | None, log: str) -> None:
    """Prove that the log of NEW_SIZE events begins with the log of OLD_SIZE events, unchanged.

    NEW_SIZE is by default the size of the newest signed head.
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


_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(
    "verify",
    epilog=examples("postwatch log verify", "postwatch log verify monitoring --heads kept.ndjson")
    + exit_codes(
        "0  every event is unchanged", "8  events were altered, removed, inserted or moved"
    ),
)
@click.argument("log", required=False, type=click.Choice(LOGS))
@click.option(
    "--heads",
    "published",
    type=_FILE,
    multiple=True,
    help="Signed heads that were kept elsewhere (`log head --ndjson`). Needs LOG; repeatable.",
)
@click.option(
    "--public-key",
    "public_key",
    metavar="HEX",
    help="Key that verifies the signatures. Default: the key of the store.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def verify_log(
    log: str | None, published: tuple[Path, ...], public_key: str | None, *, as_json: bool
) -> None:
    """Compare every event of LOG, or of all logs, with its hash and the signed heads.

    Archived checks are compared as well. Nothing is changed.
    """
    if published and log is None:
        raise click.UsageError(
            "--heads belongs to one log: name it (`postwatch log verify monitoring --heads ...`)"
        )
    with exit_on_failure():
        key = VerifyingKey.from_hex(public_key) if public_key else None
        reports = [_verify(each, published, key) for each in ([log] if log else LOGS)]
    if as_json:
        print_json([report.as_json() for report in reports])
    else:
        for report in reports:
            _print(report)
    if not all(report.ok for report in reports):
        sys.exit(ExitCode.TAMPERED)


def _verify(log: str, published: tuple[Path, ...], key: VerifyingKey | None) -> LogReport:
    with proof_of(log) as proof:
        with progress(f"hashing new events of {log}") as grown:
            proof.grow(grown)
        with progress(f"verifying {log}") as verified:
            return verify(proof, key=key, published=published, progress=verified)


def _print(report: LogReport) -> None:
    archived = f", {report.archived} of them archived" if report.archived else ""
    covered = f"{report.events} events{archived} up to position {report.position}"
    if report.ok:
        print_line(f"{report.log}: {covered} and {report.heads} signed heads are as they were")
        return
    print_line(f"{report.log}: CHANGED: {report.found} found in {covered}")
    for finding in report.findings:
        print_line(f"  {finding.kind.value}: {finding.message}")
