"""Makes a server's words fit to be stored and shown: cleaned, without secrets, cut.

The words are an attacker's: they may hold terminal escapes, a megabyte, or the password
that we just sent, in clear or in base64. Knows nothing of protocols.
"""

from __future__ import annotations

import re
from base64 import b64encode
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_TEXT = 500
_MASK = "***"
_BASE64_CHARACTERS = "[A-Za-z0-9+/=_-]*"

# A fragment of base64 shorter than this matches too much that is no secret.
_MIN_BASE64_CORE = 4


class Redactor:
    """Cleans text for people; knows the secrets of one probe."""

    def __init__(self, secrets: Iterable[bytes] = ()) -> None:
        alternatives = [each for secret in _longest_first(secrets) for each in _patterns(secret)]
        # Case is ignored because servers like to echo in upper case.
        self._secrets = re.compile("|".join(alternatives), re.IGNORECASE) if alternatives else None

    def clean(self, words: bytes) -> str:
        """Return a server's words as one line of text.

        The order matters: a control character inside an echoed password would hide it
        from the search, and a cut in its middle would leave half of it.
        """
        text = _printable(words)
        if self._secrets is not None:
            text = self._secrets.sub(_MASK, text)
        return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"


def _printable(words: bytes) -> str:
    """Drop what moves the cursor, hides text or turns its direction (Unicode Cc, Cf, …)."""
    return "".join(filter(str.isprintable, words.decode("utf-8", "replace")))


def _longest_first(secrets: Iterable[bytes]) -> list[bytes]:
    return sorted(set(filter(None, secrets)), key=len, reverse=True)


def _patterns(secret: bytes) -> Iterator[str]:
    for core in _base64_cores(secret):
        yield _BASE64_CHARACTERS + re.escape(core) + _BASE64_CHARACTERS
    # A server may echo in the old encoding of its mailboxes, or with the escapes of IMAP.
    latin = secret.decode("utf-8", "replace").encode("latin-1", "replace")
    for form in (secret, latin, secret.replace(b"\\", b"\\\\").replace(b'"', b'\\"')):
        # The text that is searched was made printable, so must be what is searched for.
        if shown := _printable(form):
            yield re.escape(shown)


def _base64_cores(secret: bytes) -> Iterator[str]:
    """The part of base64 that shows a secret wherever it begins within the encoded text."""
    for offset in range(3):
        encoded = b64encode(b"\0" * offset + secret).decode("ascii").rstrip("=")
        # The first and the last characters mix bits of the neighbours, so they vary.
        core = encoded[(offset * 8 + 5) // 6 : (offset + len(secret)) * 8 // 6]
        if len(core) >= _MIN_BASE64_CORE:
            yield core
            yield core.replace("+", "-").replace("/", "_")
