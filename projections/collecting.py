"""How often Python looks for objects that only hold one another, in a process that folds.

Folding makes hundreds of objects an event and no such rings. With Python's own settings the
looking took up to a third of the time of a rebuild.
"""

from __future__ import annotations

import gc
from typing import Final

_NEW_OBJECTS: Final = 100_000
"""A batch in the making has fewer."""


def collect_seldom() -> None:
    """Let Python look seldom from now on, and never again at what is there by now."""
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS)
