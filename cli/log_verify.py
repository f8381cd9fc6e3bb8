"""`postwatch log verify`: is every event still what it was, and where not?"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.exit_codes import ExitCode
from cli.failure import exit_on_failure
from cli.progress import progress
from cli.proven import proof_of
from cli.tables import print_json
from domain.proof.heads import VerifyingKey
from domain.proof.stored import verify
from domain.storage.engine import LOGS

if TYPE_CHECKING:
    from domain.proof.findings import Report

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("verify")
@click.argument("log", required=False, type=click.Choice(LOGS))
@click.option(
    "--heads",
    "published",
    type=_FILE,
    multiple=True,
    help="Heads that were kept elsewhere, one JSON object a line. Needs LOG.",
)
@click.option("--public-key", "public_key", help="Check signatures with this key (hexadecimal).")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def verify_log(
    log: str | None, published: tuple[Path, ...], public_key: str | None, *, as_json: bool
) -> None:
    """Compare LOG, or both logs, with the stored hashes and the signed tree heads.

    Ends with exit code 8 when anything was altered, removed, inserted or moved.
    """
    if published and log is None:
        raise click.UsageError("--heads belongs to one log: name it")
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


def _verify(log: str, published: tuple[Path, ...], key: VerifyingKey | None) -> Report:
    with proof_of(log) as proof:
        with progress(f"hashing new events of {log}") as grown:
            proof.grow(grown)
        with progress(f"verifying {log}") as verified:
            return verify(proof, key=key, published=published, progress=verified)


def _print(report: Report) -> None:
    archived = f", {report.archived} of them archived" if report.archived else ""
    covered = f"{report.events} events{archived} up to position {report.position}"
    if report.ok:
        print(f"{report.log}: {covered} and {report.heads} signed heads are as they were")
        return
    print(f"{report.log}: CHANGED: {report.found} found in {covered}")
    for finding in report.findings:
        print(f"  {finding.kind.value}: {finding.message}")
