"""The report of `postwatch check PROTOCOL HOST`: an outcome as lines for people, or as JSON.

Texts of a server are printed literally, never as markup.
"""

from __future__ import annotations

import sys
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from rich.table import Table
from rich.text import Text

from cli.terminal.output import console
from domain.check import Category
from domain.clock import utc_now
from mail.net.certificates import duration_words
from service.visible_text import visible

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from domain.check import LoginFacts, Outcome, TlsFacts
    from mail.protocols.target import ProbeTarget
    from mail.transcript import Trace

    TableRow = tuple[str, Text]


_BAR_CHARACTERS: Final = 24
_MARKS: Final[Mapping[str, str]] = {"client": ">", "server": "<", "note": "*"}
_SIDE_STYLES: Final[Mapping[str, str]] = {"client": "cyan", "server": "", "note": "dim"}


def as_json(outcome: Outcome, trace: Trace | None) -> dict[str, Any]:
    """Return an outcome as JSON-native values, with its trace if there is one.

    Programs read these keys: they stay as they are, unlike the camelCase of other commands.
    """
    found = outcome.as_json()
    if trace is not None:
        found["trace"] = [
            {"elapsed_ms": line.elapsed_ms, "side": line.side, "text": line.text}
            for line in trace.lines
        ]
    return found


def print_report(
    target: ProbeTarget, outcome: Outcome, trace: Trace | None, urgent: Collection[str]
) -> None:
    """Print the verdict line and the table below it.

    `urgent` are the codes of warnings that need action.
    """
    out = console()
    sections = _sections(outcome, trace, with_bars=out.is_terminal)
    with out.capture() as captured:
        out.print(_verdict_line(target, outcome, urgent), soft_wrap=True)
        out.print()
        out.print(_table(sections))
    text = captured.get()
    if not out.is_terminal:
        # Without the blanks that fill the cells of a table: in a file or a mail they are noise.
        text = "".join(f"{line.rstrip()}\n" for line in text.splitlines())
    sys.stdout.write(text)


def _verdict_line(target: ProbeTarget, outcome: Outcome, urgent: Collection[str]) -> Text:
    host = f"[{target.hostname}]" if ":" in target.hostname else target.hostname
    server = visible(f"{target.protocol} {host}:{target.port}")
    total = f"{outcome.timings_ms['total']:.1f} ms"
    if not outcome.is_up:
        where = f" ({outcome.phase})" if outcome.phase else ""
        reason = visible(f"{outcome.category}{where}: {outcome.message}")
        return Text.assemble(("DOWN", "bold red"), f": {server} {reason}, {total}")
    facts = [total, *(_tls_in_short(outcome.tls) if outcome.tls else ("no TLS",))]
    codes = [each.code for each in outcome.warnings]
    to_act_on = ", ".join(code for code in codes if code in urgent)
    to_note = ", ".join(code for code in codes if code not in urgent)
    return Text.assemble(
        ("UP", "bold yellow" if to_act_on else "bold green"),
        f": {server} can be used, {', '.join(facts)}",
        f"; act on: {to_act_on}" if to_act_on else "",
        f"; note: {to_note}" if to_note else "",
    )


def _tls_in_short(facts: TlsFacts) -> tuple[str, ...]:
    if facts.verdict is not Category.OK:
        return facts.version, "certificate not verified"
    return facts.version, f"certificate valid for {_days(facts.days_left)}"


def _sections(
    outcome: Outcome, trace: Trace | None, *, with_bars: bool
) -> Mapping[str, list[TableRow]]:
    sections = {
        "phases": list(_phases(outcome, with_bars=with_bars)),
        "tls": list(_tls(outcome.tls)) if outcome.tls else [],
        "login": list(_login(outcome.login)) if outcome.login else [],
        "warnings": [(each.code, Text(visible(each.message))) for each in outcome.warnings],
        "server": list(_server(outcome)),
    }
    if trace is not None:
        sections["trace"] = [
            (
                f"{line.elapsed_ms:.1f} ms",
                Text(f"{_MARKS[line.side]} {visible(line.text)}", _SIDE_STYLES[line.side]),
            )
            for line in trace.lines
        ]
    return sections


def _table(sections: Mapping[str, list[TableRow]]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for title, rows in sections.items():
        for number, (name, value) in enumerate(rows):
            table.add_row(title if number == 0 else "", Text(name), value)
    return table


def _phases(outcome: Outcome, *, with_bars: bool) -> Iterator[TableRow]:
    timings = dict(outcome.timings_ms)
    total = timings.pop("total")
    failed = outcome.phase.value if outcome.phase else None
    for phase, milliseconds in timings.items():
        value = Text(f"{milliseconds:8.1f} ms")
        if with_bars and total > 0:
            value.append(f"  {'━' * round(_BAR_CHARACTERS * milliseconds / total)}", "blue")
        if phase == failed:
            value.append("  failed here", "red")
        yield phase, value
    if failed is not None and failed not in timings:
        yield failed, Text(f"{'-':>8}     failed here", "red")
    yield "total", Text(f"{total:8.1f} ms", "bold")


def _tls(facts: TlsFacts) -> Iterator[TableRow]:
    is_good = facts.verdict is Category.OK
    yield "version", Text(facts.version)
    yield "cipher", Text(facts.cipher)
    yield "subject", Text(visible(facts.subject))
    yield "issuer", Text(visible(facts.issuer))
    yield "names", Text(visible(", ".join(facts.names)) or "none")
    yield "expires", Text(f"{facts.not_after[:16].replace('T', ' ')} UTC, {_left(facts.not_after)}")
    chain = "ok" if is_good else f"{facts.verdict}: {facts.verify_message} ({facts.verify_code})"
    yield "chain", Text(visible(chain), "green" if is_good else "red")


def _login(facts: LoginFacts) -> Iterator[TableRow]:
    yield "offered", Text(visible(", ".join(facts.offered)) or "nothing")
    if facts.refused:
        yield "refused", Text(visible(", ".join(facts.refused)))
    yield "used", Text(visible(facts.used or "nothing"))


def _left(not_after: str) -> str:
    seconds = (datetime.fromisoformat(not_after) - utc_now()).total_seconds()
    return f"{duration_words(seconds)} left" if seconds >= 0 else f"{duration_words(-seconds)} ago"


def _days(number: int) -> str:
    return "1 day" if number == 1 else f"{number} days"


def _server(outcome: Outcome) -> Iterator[TableRow]:
    if outcome.address is not None:
        yield "address", Text(visible(outcome.address))
    if outcome.server_reply is not None:
        yield "said", Text(visible(outcome.server_reply))
    if not outcome.is_up:
        yield "see", Text(f"docs/checks.md#{outcome.category.value}")
