"""What one probe records while it runs: phases, timings, findings, and the lines of a trace.

The steps of a probe fill a `ProbeLog`, and the prober makes the outcome of it at the end. A
`Trace` keeps the dialogue, for people who asked to see it and for failed checks. Does no I/O.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, fields, is_dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

from domain.check import Finding, LoginFacts, Phase, TlsFacts
from mail.protocols.redaction import Redactor

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from mail.protocols.target import ProbeTarget


_MOST_HEARD_BYTES: Final = 4096
"""How much of an unfinished reply is kept as evidence."""

_Facts = TypeVar("_Facts")
_RawLine = tuple[float, "Side", bytes]

Side = Literal["client", "server", "note"]
"""Who said a line of a trace; a note tells of other events, such as a TLS handshake."""


@dataclass(frozen=True, slots=True)
class TraceLine:
    """One line of a trace, fit to be shown: printable, without secrets."""

    elapsed_ms: float
    side: Side
    text: str


class Trace:
    """The lines of one probe, in the order in which they were sent and received.

    They are kept as they came, and cleaned for those who read them: few traces are read. A
    secret that was sent later is masked in earlier lines, too. Of a long dialogue the first and
    the last lines are kept, `most_lines` in all.
    """

    def __init__(self, most_lines: int | None = None) -> None:
        self._first_lines = None if most_lines is None else most_lines // 4
        self._first: list[_RawLine] = []
        self._last: deque[_RawLine] = deque(
            maxlen=None if most_lines is None else most_lines - most_lines // 4
        )
        self._left_out = 0
        self._secrets: Collection[bytes] = ()

    def begin(self, secrets: Collection[bytes]) -> None:
        """Forget an earlier probe. `secrets` are masked, also those that are added to it later."""
        self._first.clear()
        self._last.clear()
        self._left_out = 0
        self._secrets = secrets

    def add(self, elapsed_ms: float, side: Side, words: bytes) -> None:
        """Append a line."""
        line = (elapsed_ms, side, words[:_MOST_HEARD_BYTES])
        if self._first_lines is None or len(self._first) < self._first_lines:
            self._first.append(line)
            return
        if len(self._last) == self._last.maxlen:
            self._left_out += 1
        self._last.append(line)

    @property
    def lines(self) -> list[TraceLine]:
        """The lines, fit to be shown. A note tells how many are left out."""
        redactor = Redactor(self._secrets)
        first, last = (
            [TraceLine(elapsed, side, redactor.clean(words)) for elapsed, side, words in lines]
            for lines in (self._first, self._last)
        )
        if self._left_out:
            note = f"{self._left_out} lines left out"
            first.append(TraceLine(last[0].elapsed_ms, "note", note))
        return first + last


class ProbeLog:
    """What is known of a running probe. `clock` returns seconds and never goes back."""

    def __init__(
        self, target: ProbeTarget, clock: Callable[[], float], trace: Trace | None
    ) -> None:
        self.phase = Phase.DNS
        self.address: str | None = None
        self.tls: TlsFacts | None = None
        self.login: LoginFacts | None = None
        self.heard_anything = False
        self._clock = clock
        self._began = self._entered = clock()
        self._ended: float | None = None
        self._heard: list[bytes] = []
        self._heard_bytes = 0
        self._durations: dict[Phase, float] = {}
        self._warnings: list[Finding] = []
        self._secrets = set(target.secrets)
        self._trace = trace
        if trace is not None:
            trace.begin(self._secrets)

    def enter(self, phase: Phase) -> None:
        """Begin a phase. The times of a phase that comes twice, such as EHLO, are added."""
        now = self._clock()
        self._durations[self.phase] = self._durations.get(self.phase, 0.0) + now - self._entered
        self.phase = phase
        self._entered = now

    def end(self) -> None:
        """Stop the times: what follows, such as a farewell, is no part of the finding."""
        self.enter(self.phase)
        self._ended = self._entered

    def warn(self, code: str, message: str, quoted: bytes = b"") -> None:
        """Record a finding that is not a failure; `quoted` words of the server end its text."""
        finding = Finding(code, self.message(message, quoted))
        if finding not in self._warnings:
            self._warnings.append(finding)

    def message(self, text: str, quoted: bytes) -> str:
        """Return a text of ours with words of the server behind it, cleaned."""
        return f"{text}: {self.clean(quoted)}" if quoted else text

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """The findings so far."""
        return tuple(self._warnings)

    def timings_ms(self) -> dict[str, float]:
        """Return milliseconds by phase, and `total`; the running phase counts up to now."""
        if self._ended is None:
            self.enter(self.phase)
        timings = {phase.value: round(each * 1000, 3) for phase, each in self._durations.items()}
        timings["total"] = self._elapsed_ms()
        return timings

    def hear(self, words: bytes) -> None:
        """Remember a line of the reply that is being received."""
        self.heard_anything = True
        if self._heard_bytes < _MOST_HEARD_BYTES:
            self._heard.append(words)
            self._heard_bytes += len(words)

    def expect_reply(self) -> None:
        """Forget the last reply: a command has been sent."""
        self._heard.clear()
        self._heard_bytes = 0

    @property
    def unfinished_reply(self) -> bytes | None:
        """What came of a reply that has not ended, or None when nothing came."""
        return b" / ".join(self._heard) if self._heard else None

    def hide(self, secret: bytes) -> None:
        """Remember a secret that was sent, to mask it where the server echoes it."""
        self._secrets.add(secret)

    def clean(self, words: bytes) -> str:
        """Return a server's words fit to be stored and shown."""
        return Redactor(self._secrets).clean(words)

    def clean_facts(self, facts: _Facts) -> _Facts:
        """Return facts of a certificate with secrets masked: a server chooses their texts."""
        redactor = Redactor(self._secrets)
        texts = "\n".join(_texts(facts))
        if not redactor.knows_secrets or redactor.is_clean(texts):
            return facts
        cleaned: _Facts = _cleaned(facts, redactor)
        return cleaned

    @property
    def is_traced(self) -> bool:
        """Whether the probe keeps a trace."""
        return self._trace is not None

    def trace(self, side: Side, words: bytes) -> None:
        """Add a line to the trace, if the probe keeps one."""
        if self._trace is not None:
            self._trace.add(self._elapsed_ms(), side, words)

    def _elapsed_ms(self) -> float:
        now = self._clock() if self._ended is None else self._ended
        return round((now - self._began) * 1000, 3)


def _texts(value: object) -> Iterator[str]:
    """Return the texts in a dataclass, its tuples and the dataclasses in it."""
    if isinstance(value, str) and not isinstance(value, Enum):
        yield value
    elif isinstance(value, tuple):
        for each in value:
            yield from _texts(each)
    elif is_dataclass(value):
        for each in fields(value):
            yield from _texts(getattr(value, each.name))


def _cleaned(value: Any, redactor: Redactor) -> Any:  # noqa: ANN401 (any dataclass)
    """Return the value with all of its texts cleaned."""
    if isinstance(value, str) and not isinstance(value, Enum):
        return redactor.clean(value.encode())
    if isinstance(value, tuple):
        return tuple(_cleaned(each, redactor) for each in value)
    if is_dataclass(value) and not isinstance(value, type):
        names = [each.name for each in fields(value)]
        return replace(value, **{each: _cleaned(getattr(value, each), redactor) for each in names})
    return value
