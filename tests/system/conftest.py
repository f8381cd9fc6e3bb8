"""Everything in this folder starts real processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.mailservers.certificates import CertificateShop
from tests.system.service import Service

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def certificates() -> CertificateShop:
    """Certificates, good and bad, of one CA."""
    return CertificateShop()


@pytest.fixture
def service(tmp_path: Path, certificates: CertificateShop) -> Iterator[Service]:
    """A running service that trusts the test CA."""
    ca_file = tmp_path / "ca.pem"
    ca_file.write_bytes(certificates.ca_pem)
    with Service(tmp_path / "data", POSTWATCH_CA_FILE=str(ca_file)) as running:
        yield running
