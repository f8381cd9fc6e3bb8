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
PER_OPERATION = "5"
NOT_CHECKED = "positive_data_acceptance"
"""A schema cannot say that a customer exists, that two keys agree, or what ISO 3166 lists."""


@pytest.mark.thorough
@pytest.mark.system
@pytest.mark.timeout(300)
def test_no_answer_is_outside_the_document(service: Service, tmp_path: Path) -> None:
    before = service.part("api")
    result = subprocess.run(
        [
            *(Path(sys.executable).with_name("schemathesis"), "run"),
            f"http://127.0.0.1:{service.port}/openapi.json",
            *("--header", f"Authorization: Bearer {service.token}"),
            *("--exclude-checks", NOT_CHECKED),
            *("--seed", SEED, "--max-examples", PER_OPERATION),
            *("--continue-on-failure", "--no-shrink", "--no-color"),
        ],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "SCHEMATHESIS_HOOKS": "tests.system.schemathesis_hooks",
        },
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert not [line for line in service.messages() if " 500 " in line]
    # It ran for longer than an idle thread of the supervisor lives: the parts must outlive it.
    assert service.part("api") == before
