"""What one probe records while it runs: phases, timings, findings, and the lines of a trace.

The steps of a probe fill a `ProbeLog`, and the prober makes the outcome of it at the end. A
`Trace` is kept only for people who asked to see the dialogue. Does no I/O.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from domain.check import Finding, Phase, TlsFacts
from mail.protocols.redaction import Redactor

if TYPE_CHECKING:
    from collections.abc import Callable

    from mail.protocols.target import ProbeTarget


Side = Literal["client", "server", "note"]
"""Who said a line of a trace; a note tells of other events, such as a TLS handshake."""


@dataclass(frozen=True, slots=True)
class TraceLine:
    """One line of a trace, fit to be shown: printable, without secrets."""

    elapsed_ms: float
    side: Side
    text: str


@dataclass(slots=True)
class Trace:
    """The lines of one probe, in the order in which they were sent and received."""

    lines: list[TraceLine] = field(default_factory=list)

    def add(self, elapsed_ms: float, side: Side, text: str) -> None:
        """Append a line."""
        self.lines.append(TraceLine(elapsed_ms, side, text))


class ProbeLog:
    """What is known of a running probe. `clock` returns seconds and never goes back."""

    def __init__(
        self, target: ProbeTarget, clock: Callable[[], float], trace: Trace | None
    ) -> None:
        self.phase = Phase.DNS
        self.address: str | None = None
        self.tls: TlsFacts | None = None
        self.heard_anything = False
        self._clock = clock
        self._began = self._entered = clock()
        self._durations: dict[Phase, float] = {}
        self._warnings: list[Finding] = []
        self._trace = trace
        self._secrets = {(target.password or "").encode()}

    def enter(self, phase: Phase) -> None:
        """Begin a phase. The times of a phase that comes twice, such as EHLO, are added."""
        now = self._clock()
        self._durations[self.phase] = self._durations.get(self.phase, 0.0) + now - self._entered
        self.phase = phase
        self._entered = now

    def warn(self, code: str, message: str) -> None:
        """Record a finding that is not a failure."""
        self._warnings.append(Finding(code, message))

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """The findings so far."""
        return tuple(self._warnings)

    def timings_ms(self) -> dict[str, float]:
        """Return milliseconds by phase, and `total`; the running phase counts up to now."""
        self.enter(self.phase)
        timings = {phase.value: round(each * 1000, 3) for phase, each in self._durations.items()}
        timings["total"] = self._elapsed_ms()
        return timings

    def hide(self, secret: bytes) -> None:
        """Remember a secret that was sent, to mask it where the server echoes it."""
        self._secrets.add(secret)

    def clean(self, words: bytes) -> str:
        """Return a server's words fit to be stored and shown."""
        return Redactor(self._secrets).clean(words)

    @property
    def is_traced(self) -> bool:
        """Whether the probe keeps a trace."""
        return self._trace is not None

    def trace(self, side: Side, words: bytes) -> None:
        """Add a line to the trace, if the probe keeps one."""
        if self._trace is not None:
            self._trace.add(self._elapsed_ms(), side, self.clean(words))

    def _elapsed_ms(self) -> float:
        return round((self._clock() - self._began) * 1000, 3)
