"""Where a checker stands, and which monitors are checked from there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from domain.actor import Actor


@dataclass(frozen=True, slots=True)
class Location:
    """A place of checkers: `code` such as `de-nbg` names it in the log for ever."""

    code: str
    name: str
    country: str | None = None

    @property
    def actor(self) -> Actor:
        """Who the checks of this place are recorded by."""
        return {"type": "checker", "id": self.code}

    def may_check(self, country_codes: Collection[str]) -> bool:
        """Return whether a monitor that is bound to these countries is checked from here.

        No countries is no restriction. A place without a country fits no restriction.
        """
        return not country_codes or self.country in country_codes

    def __str__(self) -> str:
        return f"{self.code} ({self.name}, {self.country or 'no country'})"
