"""The roots that certificates are judged against: a CA file, the system's, or certifi's.

Read once per process: loading a system's store costs twenty times as much as a probe.
"""

from __future__ import annotations

import ssl
from pathlib import Path

import certifi
from OpenSSL import crypto

# Where distributions keep their bundle, should OpenSSL have been built elsewhere.
_SYSTEM_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
)


def load_trust_store(ca_file: Path | None) -> crypto.X509Store:
    """Return the trust store from a PEM file, or the system's when there is none.

    A certificate in it is trusted whether it is a root or not, so an inner CA, or the one
    certificate of a server, can be listed alone.

    Raises:
        ValueError: The file cannot be read, or holds no certificate.
    """
    store = crypto.X509Store()
    store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)
    chosen = ca_file or _system_bundle()
    try:
        store.load_locations(str(chosen))
    except crypto.Error:
        reason = "it holds no PEM certificate" if chosen.is_file() else "there is no such file"
        raise ValueError(f"CA file {chosen}: {reason}") from None
    return store


def _system_bundle() -> Path:
    candidates = (ssl.get_default_verify_paths().cafile, *_SYSTEM_BUNDLES)
    found = (Path(each) for each in candidates if each and Path(each).is_file())
    return next(found, Path(certifi.where()))
