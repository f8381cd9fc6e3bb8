"""Schemathesis, which knows only the OpenAPI document, tests the running service."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.system.service import ROOT

if TYPE_CHECKING:
    from tests.system.service import Service


SEED = "20261121"
EXAMPLES = os.environ.get("POSTWATCH_TESTS_SCHEMATHESIS_EXAMPLES", "5")
"""How many requests an operation gets in the phase of arbitrary ones."""

NOT_CHECKED = "positive_data_acceptance"
"""A schema cannot say that a customer exists, that two keys agree, or what ISO 3166 lists."""

CONFIG = """
# PATCH of it is documented elsewhere and absent: it answers 501, and this phase expects 405.
[[operations]]
include-path = "/api/organization"
phases.coverage.enabled = false
"""


def run(service: Service, token: str, folder: Path, *options: str) -> None:
    """Run schemathesis with a token; fail with what it says unless it finds nothing."""
    folder.joinpath("schemathesis.toml").write_text(CONFIG)
    result = subprocess.run(
        [
            *(Path(sys.executable).with_name("schemathesis"), "run"),
            f"http://127.0.0.1:{service.port}/openapi.json",
            *("--header", f"Authorization: Bearer {token}"),
            *("--seed", SEED, "--max-examples", EXAMPLES),
            *("--continue-on-failure", "--no-shrink", "--no-color"),
            *options,
        ],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "SCHEMATHESIS_HOOKS": "tests.system.schemathesis_hooks",
        },
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )
    print(result.stdout.partition(" SUMMARY ")[2])  # noqa: T201 - `pytest -rP` shows how many cases
    assert result.returncode == 0, result.stdout + result.stderr
    assert not [line for line in service.messages() if " 500 " in line]


@pytest.mark.thorough
@pytest.mark.system
@pytest.mark.timeout(1300)
def test_no_answer_is_outside_the_document(service: Service, tmp_path: Path) -> None:
    before = service.part("api")

    run(service, service.token, tmp_path, "--exclude-checks", NOT_CHECKED)

    # It ran for longer than an idle thread of the supervisor lives: the parts must outlive it.
    assert service.part("api") == before


@pytest.mark.thorough
@pytest.mark.system
@pytest.mark.timeout(1300)
@pytest.mark.parametrize(
    "role", ["operator", "user", "readonly", "supporter", "metrics", "customer"]
)
def test_no_role_is_answered_with_a_server_error(
    service: Service, tmp_path: Path, role: str
) -> None:
    if role == "customer":
        body = {"name": "Scoped", "customerId": 1}
        token = service.client("POST", "/api/customer/tokens", body).body["token"]
    else:
        token = service.token_of(role)
    phases = "examples,fuzzing"

    run(service, token, tmp_path, "--phases", phases, "--checks", "not_a_server_error")
