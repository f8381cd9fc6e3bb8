"""The certificates and the prober that the tests of this folder share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mail.prober import Prober
from tests.mail.fault_cases import SHOP

if TYPE_CHECKING:
    from pathlib import Path

    from tests.mailservers.certificates import CertificateShop


@pytest.fixture(scope="session")
def certificates() -> CertificateShop:
    """The certificates of all test servers."""
    return SHOP


@pytest.fixture(scope="session")
def ca_file(certificates: CertificateShop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trust store that knows the test CA."""
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    path.write_bytes(certificates.ca_pem)
    return path


@pytest.fixture(scope="session")
def prober(ca_file: Path) -> Prober:
    """A prober that may go to loopback and trusts the test CA."""
    return Prober.from_settings(("127.0.0.0/8", "::1/128"), ("127.0.0.1:9",), ca_file)
