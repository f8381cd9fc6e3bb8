"""Makes a server's words fit to be stored and shown: printable, without secrets, cut.

The words may come from an attacker: they may hold terminal escapes, a megabyte of text, or the
password that the probe sent, in clear or encoded. Secrets are found by plain search in decoded
views of the text. Regular expressions that begin with a repetition would need quadratic time,
and a server could stop the whole process for seconds. Knows no protocol.
"""

from __future__ import annotations

import re
from base64 import b64encode
from bisect import bisect_left
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


MAX_TEXT: Final = 500

_REACH: Final = 7
"""How many characters a byte of a secret takes at most: `%40`, and a soft line break, `= / `."""

_MASK: Final = "***"
_BASE64: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=_-")

# A fragment of base64 shorter than this matches too much that is no secret.
_MIN_BASE64_CORE: Final = 4

# A server may break its lines within a secret. The dialogues join lines with ` / `.
_GAP: Final = re.compile(r" / |\s")
_AS_IT_IS: Final = re.compile(r" / |\s|(?P<plain>\S)")
# Percent-encoding (RFC 3986 2.1) and quoted-printable with its soft line breaks (RFC 2045 6.7).
_DECODED: Final = re.compile(
    r"=? / |\s|%(?P<percent>[0-9a-f]{2})|=(?P<quoted>[0-9a-f]{2})|(?P<plain>\S)", re.IGNORECASE
)


class Redactor:
    """Cleans text for people; knows the secrets of one probe."""

    def __init__(self, secrets: Iterable[bytes] = ()) -> None:
        known = set(filter(None, secrets))
        self._forms = {form for secret in known for form in _forms(secret) if form}
        self._cores = {core.lower() for secret in known for core in _base64_cores(secret)}
        # A secret that begins in the shown text ends within this many characters.
        self._window = MAX_TEXT + _REACH * max(map(len, self._forms), default=0)

    @property
    def knows_secrets(self) -> bool:
        """Whether there is anything to mask."""
        return bool(self._forms)

    def is_clean(self, text: str) -> bool:
        """Return whether a text, of any length, holds none of the secrets."""
        return not self._secrets_in(text)

    def clean(self, words: bytes) -> str:
        """Return a server's words as one line of text.

        The order matters: a control character inside an echoed password would hide it
        from the search, and a cut in its middle would leave half of it.
        """
        text = _printable(words)
        shown, end = "", 0
        for start, stop in self._secrets_in(text[: self._window]):
            if start >= MAX_TEXT:
                break
            if stop > end:
                shown += text[end:start] + _MASK if start >= end else ""
                end = stop
        shown += text[end : max(end, MAX_TEXT)]
        is_whole = max(end, MAX_TEXT) >= len(text)
        return shown if is_whole and len(shown) <= MAX_TEXT else shown[: MAX_TEXT - 1] + "…"

    def _secrets_in(self, text: str) -> list[tuple[int, int]]:
        """Return the start and end of each secret in the text, in order; two may overlap."""
        if not self._forms:
            return []
        found: list[tuple[int, int]] = []
        for pattern in (_AS_IT_IS, _DECODED):
            view = _DecodedText.of(text, pattern)
            for form in self._forms:
                found += view.places_of(form)
            for core in self._cores:
                found += view.runs_around(core, text)
        return sorted(found)


@dataclass(slots=True)
class _DecodedText:
    """The text as searchable bytes in lower case, with the place of each byte in the text."""

    data: bytearray = field(default_factory=bytearray)
    starts: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, text: str, pattern: re.Pattern[str]) -> _DecodedText:
        view = cls()
        for token in pattern.finditer(text):
            if token.lastgroup is None:
                continue
            value = token[token.lastgroup]
            is_plain = token.lastgroup == "plain"
            data = value.lower().encode() if is_plain else bytes.fromhex(value).lower().strip()
            view.data += data
            view.starts += [token.start()] * len(data)
            view.ends += [token.end()] * len(data)
        return view

    def places_of(self, form: bytes) -> Iterator[tuple[int, int]]:
        hit = self.data.find(form)
        while hit >= 0:
            yield self.starts[hit], self.ends[hit + len(form) - 1]
            hit = self.data.find(form, hit + 1)

    def runs_around(self, core: bytes, text: str) -> Iterator[tuple[int, int]]:
        """Return the whole run of base64 around each hit: it encodes neighbours together."""
        hit = self.data.find(core)
        while hit >= 0:
            start, end = self.starts[hit], self.ends[hit + len(core) - 1]
            while start > 0 and text[start - 1] in _BASE64:
                start -= 1
            while end < len(text) and text[end] in _BASE64:
                end += 1
            yield start, end
            hit = self.data.find(core, max(hit + 1, bisect_left(self.starts, end)))


def _printable(words: bytes) -> str:
    """Return text without characters that move the cursor, hide text or turn its direction."""
    text = words.decode("utf-8", "replace")
    return text if text.isprintable() else "".join(filter(str.isprintable, text))


def _forms(secret: bytes) -> Iterator[bytes]:
    """Return the forms in which a server may echo a secret, as they are in a view."""
    # Servers echo in UTF-8 or Latin-1, with the escapes of IMAP, or with + for a blank.
    latin = secret.decode("utf-8", "replace").encode("latin-1", "replace")
    escaped = secret.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    for form in (secret, latin, escaped, secret.replace(b" ", b"+")):
        # The searched text was made printable, so the form is made printable too.
        yield _GAP.sub("", _printable(form)).lower().encode()
    for raw in (secret, latin):
        yield b"".join(raw.lower().split())


def _base64_cores(secret: bytes) -> Iterator[bytes]:
    """Return what base64 of a secret has in common wherever the secret begins in its text."""
    for offset in range(3):
        encoded = b64encode(b"\0" * offset + secret).rstrip(b"=")
        # The first and the last characters mix bits of the neighbours, so they vary.
        core = encoded[(offset * 8 + 5) // 6 : (offset + len(secret)) * 8 // 6]
        if len(core) >= _MIN_BASE64_CORE:
            yield core
            yield core.replace(b"+", b"-").replace(b"/", b"_")
