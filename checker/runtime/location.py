"""The location that a checker checks from, and the monitors that it may check there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from domain.actor import Actor


@dataclass(frozen=True, slots=True)
class Location:
    """Where checkers run. `code`, such as `de-nbg`, names it in the log for ever.

    `country` is a code of ISO 3166-1, such as `DE`; None when the operator names none.
    """

    code: str
    name: str
    country: str | None = None

    @property
    def actor(self) -> Actor:
        """The actor that the checks of this location are recorded for."""
        return {"type": "checker", "id": self.code}

    def may_check(self, country_codes: Collection[str]) -> bool:
        """Return whether a monitor that is restricted to these countries is checked from here.

        No countries mean no restriction. A location without a country meets no restriction.
        """
        return not country_codes or self.country in country_codes

    def __str__(self) -> str:
        return f"{self.code} ({self.name}, {self.country or 'no country'})"
