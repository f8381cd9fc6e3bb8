"""What the commands of proof share: which log, and what proves it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from cli.opening import opened_store
from cli.settings import Settings
from domain.proof.stored import log_proof
from domain.storage.engine import LOGS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from domain.proof.log_proof import LogProof

LOG_ARGUMENT = click.argument("log", type=click.Choice(LOGS), default=LOGS[0])
"""LOG, the audit log unless another one is named."""

log_option = click.option(
    "--log", type=click.Choice(LOGS), default=LOGS[0], show_default=True, help="Which log."
)


@contextmanager
def proof_of(log: str) -> Iterator[LogProof]:
    """Open the store that the settings name; give what proves one of its logs."""
    settings = Settings.from_env()
    with opened_store(settings) as store:
        yield log_proof(store, log)
