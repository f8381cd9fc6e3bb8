"""Mailbox names as IMAP4rev1 writes them: modified UTF-7 (RFC 3501 section 5.1.3)."""

from __future__ import annotations

import re
from base64 import b64encode

_SHIFTED = re.compile(r"&|[^\x20-\x7e]+")


def encode_mailbox(name: str) -> bytes:
    """Return a mailbox name in modified UTF-7; printable ASCII stays as it is."""
    return _SHIFTED.sub(_shift, name).encode("ascii")


def _shift(run: re.Match[str]) -> str:
    if run[0] == "&":
        return "&-"
    encoded = b64encode(run[0].encode("utf-16-be", "surrogatepass")).decode("ascii")
    return f"&{encoded.rstrip('=').replace('/', ',')}-"
