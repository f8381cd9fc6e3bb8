"""Paragraphs at the end of a command's `--help`."""

from __future__ import annotations


def examples(*lines: str) -> str:
    """Return the paragraph of examples, one command a line."""
    return _as_it_is("Examples:" if len(lines) > 1 else "Example:", lines)


def exit_codes(*lines: str) -> str:
    """Return the paragraph of exit codes, each line a number and its meaning."""
    return "\n\n" + _as_it_is("Exit codes:", lines)


def _as_it_is(heading: str, lines: tuple[str, ...]) -> str:
    # click wraps each paragraph, except one that begins with a backspace.
    return "\n".join(["\b", heading, *(f"  {line}" for line in lines)])
