"""What callers are (contract Q-24). What each may do is the API's table."""

from __future__ import annotations

from typing import Final, Literal, get_args

Role = Literal["admin", "user", "readonly", "supporter"]
"""`supporter` is the global supporter: reads every organization and writes nothing."""

ROLES: Final[tuple[Role, ...]] = get_args(Role)
