"""`postwatch check HOST`: what a mail server offers on each of the usual ports, in one table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import trio
from rich.table import Table
from rich.text import Text

from cli.terminal.output import console, print_json
from domain.check import Category, Phase
from mail.protocols.target import ProbeTarget
from service.visible_text import visible

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from domain.check import Outcome
    from domain.kinds import TlsMode
    from mail.prober import Prober
    from mail.protocols.target import ProtocolName

    Port = tuple[int, ProtocolName, TlsMode]


PORTS: Final[Sequence[Port]] = (
    (25, "smtp", "auto"),
    (465, "smtp", "implicit"),
    (587, "smtp", "auto"),
    (143, "imap", "auto"),
    (993, "imap", "implicit"),
    (110, "pop3", "auto"),
    (995, "pop3", "implicit"),
    (4190, "managesieve", "auto"),
)
"""The ports of mail (IANA), in the order of the table."""

_HEADINGS: Final = ("Port", "Protocol", "TLS", "Certificate", "Time", "Verdict")


@dataclass(frozen=True, slots=True)
class PortFound:
    """What was found on a port."""

    port: int
    protocol: ProtocolName
    tls: TlsMode
    outcome: Outcome

    @property
    def is_open(self) -> bool:
        """Whether something took the connection."""
        return self.outcome.phase not in {Phase.DNS, Phase.CONNECT}

    def as_json(self) -> dict[str, Any]:
        """Return JSON-native values: the outcome as `postwatch check PROTOCOL` prints it."""
        return {"protocol": self.protocol, "tls_mode": self.tls, **self.outcome.as_json()}


async def probe_ports(
    prober: Prober,
    host: str,
    ports: Sequence[Port] = PORTS,
    *,
    timeout_seconds: float,
    verify_certificate: bool = True,
) -> list[PortFound]:
    """Probe all ports at the same time, without a login; return what was found on each."""
    found: dict[int, PortFound] = {}

    async def probe(port: int, protocol: ProtocolName, tls: TlsMode) -> None:
        target = ProbeTarget(
            protocol=protocol,
            hostname=host,
            port=port,
            tls=tls,
            timeout_seconds=timeout_seconds,
            verify_certificate=verify_certificate,
        )
        found[port] = PortFound(port, protocol, tls, await prober.probe(target))

    async with trio.open_nursery() as nursery:
        for each in ports:
            nursery.start_soon(probe, *each)
    return [found[port] for port, *_ in ports]


def print_ports(
    host: str, found: Sequence[PortFound], urgent: Collection[str], *, as_json: bool
) -> None:
    """Print one table, below a line that says how many ports answer.

    `urgent` are the codes of warnings that need action.
    """
    if as_json:
        print_json([each.as_json() for each in found])
        return
    out = console()
    out.print(Text(_summary(host, found)), soft_wrap=True)
    out.print()
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in _HEADINGS:
        is_verdict = heading == _HEADINGS[-1]
        table.add_column(heading, no_wrap=not is_verdict, overflow="fold")
    for each in found:
        table.add_row(*(Text(cell) for cell in _cells(each, urgent)))
    out.print(table)


def _summary(host: str, found: Sequence[PortFound]) -> str:
    lost = [each for each in found if each.outcome.phase is Phase.DNS]
    if lost:
        return visible(f"DOWN: {host}: {lost[0].outcome.message}")
    answering = [each for each in found if each.is_open]
    down = [str(each.port) for each in answering if not each.outcome.is_up]
    if not answering:
        return visible(f"DOWN: {host} answers on none of {len(found)} ports")
    answers = f"{host} answers on {len(answering)} of {len(found)} ports"
    if down:
        return visible(f"DOWN: {answers}, and cannot be used on {', '.join(down)}")
    return visible(f"UP: {answers}, and can be used on each")


def _cells(found: PortFound, urgent: Collection[str]) -> tuple[str, ...]:
    outcome, facts = found.outcome, found.outcome.tls
    if not found.is_open:
        return str(found.port), found.protocol, "", "", "", visible(_closed(outcome))
    begins = "from the first byte" if found.tls == "implicit" else "STARTTLS"
    certificate = ""
    if facts is not None:
        is_good = facts.verdict is Category.OK
        certificate = f"{facts.days_left} days left" if is_good else facts.verdict.value
    return (
        str(found.port),
        found.protocol,
        f"{facts.version}, {begins}" if facts is not None else "none",
        certificate,
        f"{outcome.timings_ms['total']:.0f} ms",
        visible(_verdict(outcome, urgent)),
    )


def _closed(outcome: Outcome) -> str:
    if outcome.category is Category.CONNECT_REFUSED:
        return "closed"
    return "no answer" if outcome.category is Category.TIMEOUT else outcome.message


def _verdict(outcome: Outcome, urgent: Collection[str]) -> str:
    if not outcome.is_up:
        return f"down, {outcome.category.value}: {outcome.message}"
    codes = [each.code for each in outcome.warnings]
    act = [code for code in codes if code in urgent]
    note = [code for code in codes if code not in urgent]
    parts = ["up", *(f"act on {code}" for code in act), *(f"note {code}" for code in note)]
    return ", ".join(parts)
