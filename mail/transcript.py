"""The course of one probe: where it stands, how long each phase took, what was found.

Filled by the parts of a probe as they go, read once at its end. Does no I/O.

The dialogue of one probe, line by line, for a person who wants to see it.

Lines are clean and without secrets when they come here. Knows nothing of how they are shown.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from domain.check import Finding, Phase, TlsFacts
from mail.protocols.redaction import Redactor

if TYPE_CHECKING:
    from collections.abc import Callable

    from mail.protocols.target import ProbeTarget


class ProbeLog:
    """What is known of a running probe. `clock` gives seconds that only ever grow."""

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
        """Begin a phase; one that comes twice, such as EHLO, is counted together."""
        now = self._clock()
        self._durations[self.phase] = self._durations.get(self.phase, 0.0) + now - self._entered
        self.phase = phase
        self._entered = now

    def warn(self, code: str, message: str) -> None:
        """Keep a finding that is not a failure."""
        self._warnings.append(Finding(code, message))

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """The findings so far."""
        return tuple(self._warnings)

    def timings_ms(self) -> dict[str, float]:
        """Milliseconds by phase, and `total`; the running phase counts up to now."""
        self.enter(self.phase)
        timings = {phase.value: round(each * 1000, 3) for phase, each in self._durations.items()}
        timings["total"] = self._elapsed_ms()
        return timings

    def hide(self, secret: bytes) -> None:
        """Remember something that was sent and must not be shown when it is echoed."""
        self._secrets.add(secret)

    def clean(self, words: bytes) -> str:
        """Return a server's words fit to be stored and shown."""
        return Redactor(self._secrets).clean(words)

    @property
    def is_traced(self) -> bool:
        """Whether somebody wants to see the lines."""
        return self._trace is not None

    def show(self, side: Side, words: bytes) -> None:
        """Add a line to the trace, if there is one."""
        if self._trace is not None:
            self._trace.add(self._elapsed_ms(), side, self.clean(words))

    def _elapsed_ms(self) -> float:
        return round((self._clock() - self._began) * 1000, 3)


Side = Literal["client", "server", "note"]


@dataclass(frozen=True, slots=True)
class TraceLine:
    """One line; `note` is what happened beside the dialogue, such as a TLS handshake."""

    elapsed_ms: float
    side: Side
    text: str


@dataclass(slots=True)
class Trace:
    """Collects the lines of a probe in the order in which they happened."""

    lines: list[TraceLine] = field(default_factory=list)

    def add(self, elapsed_ms: float, side: Side, text: str) -> None:
        """Append a line."""
        self.lines.append(TraceLine(elapsed_ms, side, text))
