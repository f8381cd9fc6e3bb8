"""The certificate of the API, read again when its files change."""

from __future__ import annotations

import logging
import ssl
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pathlib import Path

    from service.settings import Settings


log = logging.getLogger("postwatch.api")


class Certificate:
    """Certificate and key of the API. New connections get the newest pair that fits."""

    def __init__(self, certificate: Path, key: Path) -> None:
        """Read both files. Raises OSError or ssl.SSLError when they cannot be used."""
        self._files = (certificate, key)
        self._seen = self._stamp()
        self.context = self._load()

    @classmethod
    def of(cls, settings: Settings) -> Self | None:
        """Return the certificate that the settings name, None without TLS."""
        if settings.tls_cert is None or settings.tls_key is None:
            return None
        return cls(settings.tls_cert, settings.tls_key)

    def reload_if_changed(self) -> None:
        """Read the files again if they have changed; a pair that does not fit is not used."""
        stamp = self._stamp()
        if stamp == self._seen:
            return
        self._seen = stamp
        try:
            self._load()  # A context keeps half of a pair that does not fit: try it first.
            self.context.load_cert_chain(*self._files)
        except (OSError, ssl.SSLError) as error:
            reason = error.strerror or type(error).__name__
            log.error("the certificate is not replaced, the old one stays: %s", reason)  # noqa: TRY400 - one line says all
            return
        log.info("the certificate was read again: %s", self._files[0])

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION
        context.set_alpn_protocols(["http/1.1"])
        context.load_cert_chain(*self._files)
        return context

    def _stamp(self) -> tuple[tuple[int, int, int], ...]:
        """Return what changes when a file is written or replaced."""
        found = []
        for path in self._files:
            try:
                stat = path.stat()
            except OSError:
                found.append((0, 0, 0))
            else:
                found.append((stat.st_mtime_ns, stat.st_ino, stat.st_size))
        return tuple(found)
