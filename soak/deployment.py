"""All parts of the service on a database, as processes of their own."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.mailservers.processes import free_ports
from tests.system.parts import Part, stopping
from tests.system.service import Client, postwatch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Deployment:
    """One API, one checker, and two projections processes, one of which stands by."""

    def __init__(self, folder: Path, **env: str) -> None:
        port = free_ports(1)[0]
        self.folder = folder
        self.env = {
            "POSTWATCH_DATA": str(folder / "data"),
            "POSTWATCH_BIND": f"127.0.0.1:{port}",
            "POSTWATCH_ALLOWED_NETWORKS": "127.0.0.0/8",
            **env,
        }
        migrated = postwatch("migrate", env=self.env)
        assert migrated.returncode == 0, migrated.stderr
        made = postwatch("init", "--json", env=self.env)
        assert made.returncode == 0, made.stderr
        self.client = Client(port, json.loads(made.stdout)["adminToken"])
        self.api = self.part("api", "api")
        self.checker = self.part("checker", "checker", "--location", "de-nbg")
        self.projections = [self.part(f"projections {n}", "projections", "run") for n in "12"]
        self.parts = [self.api, self.checker, *self.projections]

    def part(self, name: str, *command: str) -> Part:
        """Return a part that is not started yet."""
        return Part(command, self.env, self.folder / f"{name}.log")

    def start(self) -> None:
        """Start all parts."""
        self.api.start()
        self.checker.start()
        self.start_projections()
        self.api.wait_for("api: listening")
        self.checker.wait_for("checker ready")

    def start_projections(self) -> None:
        """Start the projections, of which the first are the active ones."""
        active, other = self.projections
        active.start("active: ")
        other.start("standing by: held by process")

    def messages(self) -> list[str]:
        """Return the messages of all parts but the lines of requests."""
        return [line for part in self.parts for line in part.messages()]

    def logs(self) -> str:
        """Return everything that was logged."""
        return "".join(part.log.read_text() for part in self.parts)


@contextmanager
def running(folder: Path, **env: str) -> Iterator[Deployment]:
    """Run all parts while the block runs."""
    fleet = Deployment(folder, **env)
    with stopping(fleet.parts):
        fleet.start()
        yield fleet
