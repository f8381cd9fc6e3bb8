"""`postwatch log head` and `public-key`: what others keep in order to check the log later."""

from __future__ import annotations

import click
import orjson

from cli.failure import exit_on_failure
from cli.proven import LOG_ARGUMENT, proof_of
from cli.tables import print_json, print_rows


@click.command()
@LOG_ARGUMENT
@click.option("--now", is_flag=True, help="First sign a head of all that the log holds now.")
@click.option("--count", type=click.IntRange(1, 1000), default=1, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
@click.option("--ndjson", is_flag=True, help="Print one JSON object a line, to be kept elsewhere.")
def head(log: str, count: int, *, now: bool, as_json: bool, ndjson: bool) -> None:
    """Show the newest signed tree heads of LOG, newest first; with --ndjson oldest first."""
    with exit_on_failure(), proof_of(log) as proof:
        if now:
            proof.grow()
            proof.sign()
        rows = [each.as_json() for each in proof.heads.newest(count)]
    if ndjson:
        for row in reversed(rows):
            print(orjson.dumps(row).decode())
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


@click.command("public-key")
@click.option("--pem", is_flag=True, help="Print PEM, as OpenSSL reads it.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def public_key(*, pem: bool, as_json: bool) -> None:
    """Print the public key that this store's tree heads are checked with."""
    with exit_on_failure(), proof_of("monitoring") as proof:
        key = proof.public_key()
    if as_json:
        shown = {"keyId": key.key_id, "publicKey": key.raw.hex(), "pem": key.pem()}
        print_json({"algorithm": "Ed25519", **shown})
    else:
        print(key.pem() if pem else key.raw.hex(), end="" if pem else "\n")
