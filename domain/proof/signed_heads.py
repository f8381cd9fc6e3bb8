"""Reading signed heads back with suspicion: which of them bear the right signature."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.proof.findings import Finding, Kind
from domain.proof.heads import TreeHead, VerifyingKey, parse_head
from domain.proof.merkle import ProofError

if TYPE_CHECKING:
    from collections.abc import Iterable


class HeadsRead:
    """The heads that were right, and what is wrong with the others."""

    def __init__(self, log: str, key: VerifyingKey) -> None:
        self.heads: list[TreeHead] = []
        self.findings: list[Finding] = []
        self._log = log
        self._key = key

    def read(self, lines: Iterable[tuple[int, bytes]], source: str) -> None:
        """Read the heads of one file, oldest first; `source` names it in findings."""
        size = 0
        for number, line in lines:
            try:
                head = parse_head(line)
            except ProofError as error:
                self._find(source, number, str(error))
                continue
            wrong = self._wrong_with(head, size)
            if wrong:
                self._find(source, number, wrong)
            else:
                self.heads.append(head)
                size = head.size

    def _wrong_with(self, head: TreeHead, size: int) -> str | None:
        if head.log != self._log:
            return f"this head is of the log {head.log}"
        if head.key_id != self._key.key_id:
            return f"this head was signed by key {head.key_id}, not {self._key.key_id}"
        if not self._key.signed(head):
            return "the signature does not fit: the head was changed"
        if head.size < size:
            return f"this head has fewer events ({head.size}) than the one before it ({size})"
        return None

    def _find(self, source: str, number: int, message: str) -> None:
        text = f"{source}, line {number}: {message}"
        self.findings.append(Finding(Kind.HEAD, text, line=number))
