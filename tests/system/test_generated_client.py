"""A client that a public generator makes from /openapi.json works against the service."""

from __future__ import annotations

import importlib
import subprocess
import sys
import urllib.request
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.system.service import Service


PACKAGE = "generated_postwatch_client"
CONFIG = "post_hooks: []\n"
"""The generator formats its work by tools from the path, which the test has no need of."""


@pytest.fixture
def generated(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Service]:
    """The service, and the client of its own document on the path."""
    document, config = tmp_path / "openapi.json", tmp_path / "config.yml"
    with urllib.request.urlopen(f"http://127.0.0.1:{service.port}/openapi.json") as answer:
        document.write_bytes(answer.read())
    config.write_text(CONFIG)
    folder = tmp_path / "client"
    folder.mkdir()
    result = subprocess.run(
        [
            *(Path(sys.executable).with_name("openapi-python-client"), "generate"),
            *("--path", document, "--config", config, "--meta", "none"),
            *("--output-path", folder / PACKAGE, "--fail-on-warning"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    monkeypatch.syspath_prepend(folder)
    yield service
    for name in [name for name in sys.modules if name.split(".")[0] == PACKAGE]:
        del sys.modules[name]


def part(name: str) -> Any:  # noqa: ANN401 - the generated code is not there when types are checked
    """Return a module of the generated client."""
    return importlib.import_module(f"{PACKAGE}.{name}")


@pytest.mark.thorough
@pytest.mark.system
def test_a_generated_client_creates_patches_lists_and_deletes(generated: Service) -> None:
    models, api = part("models"), "api.smtp_monitors"
    with part("client").AuthenticatedClient(
        base_url=f"http://127.0.0.1:{generated.port}", token=generated.token
    ) as client:
        config = models.SmtpConfigInput(require_tls=True)
        body = models.CreateSmtpMonitor(
            customer_id=1, name="Generated", hostname="127.0.0.1", port=25, smtp_config=config
        )
        made = part(f"{api}.create_smtp_monitor").sync(client=client, body=body)
        assert (made.name, made.check_interval, made.port) == ("Generated", 5, 25)
        assert made.smtp_config.to_dict() == {"requireTls": True}

        patch = models.UpdateSmtpMonitor(check_interval=0.5, port=None)
        changed = part(f"{api}.update_smtp_monitor").sync(made.public_id, client=client, body=patch)
        assert (changed.name, changed.check_interval, changed.port) == ("Generated", 0.5, None)

        listed = part(f"{api}.list_smtp_monitors").sync(client=client, search="generat")
        assert [(each.public_id, each.check_interval) for each in listed.items] == [
            (made.public_id, 0.5)
        ]

        deleted = part(f"{api}.delete_smtp_monitor").sync(made.public_id, client=client)
        assert deleted.success
        gone = part(f"{api}.get_smtp_monitor").sync_detailed(made.public_id, client=client)
        assert gone.status_code == HTTPStatus.NOT_FOUND
        assert gone.parsed.message == "Not found"


@pytest.mark.thorough
@pytest.mark.system
def test_a_generated_client_reads_what_is_wrong_with_a_body(generated: Service) -> None:
    models = part("models")
    with part("client").AuthenticatedClient(
        base_url=f"http://127.0.0.1:{generated.port}", token=generated.token
    ) as client:
        config = models.ImapPopConfigInput(user="somebody")
        body = models.CreateImapPopMonitor(
            customer_id=1, name=" ", hostname="https://mail.example.com", imap_pop_config=config
        )
        create = part("api.imappop_monitors.create_imap_pop_monitor")
        problems = create.sync(client=client, body=body).errors
    assert {(each.path, each.code) for each in problems} == {
        ("name", "required"),
        ("hostname", "scheme"),
        ("imapPopConfig.password", "required"),
    }
