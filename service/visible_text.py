"""Text of tenants and mail servers, made safe for a terminal.

A name, or the reply of a server, may contain escape sequences that move the cursor, change the
title or answer for the operator, and Unicode's bidirectional controls, which show a text in
another order than it has (Unicode Technical Report 36, 3.1).
"""

from __future__ import annotations

import re
from typing import Final

_CONTROLS: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""C0, DEL, C1, line and paragraph separators, bidirectional controls, lone surrogates."""


def visible(text: str) -> str:
    r"""Return a text with each control character as an escape, such as `\u001b`.

    A line break is one too: otherwise a name could look like a line of its own.
    """
    return _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def visible_lines(text: str) -> str:
    """Return the same of a text of several lines, whose line breaks stay."""
    return "\n".join(map(visible, text.split("\n")))
