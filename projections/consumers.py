"""Who reads the `checks` log, and how far: no later check may leave it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from projections.catalog import Views
    from store.store import Store


_LOG: Final = "checks"


class Consumer(NamedTuple):
    """A view, or alerting, and the position up to which it has read the log."""

    name: str
    position: int


def slowest_consumer(store: Store, views: Views) -> Consumer:
    """Return the consumer that has read the least.

    Alerting counts once it has begun: it makes no incident of what was before. The Merkle
    tree is not among them: who archives compares with it, and stops at its end.
    """
    return min(_consumers(store, views), key=lambda each: each.position)


def _consumers(store: Store, views: Views) -> Iterator[Consumer]:
    for name, projector in views.projectors.items():
        position = projector.position_in(_LOG)
        if position is not None:
            yield Consumer(f"the view {name}", position)
    decided = store.incidents.tracked(_LOG)
    if decided is not None:
        yield Consumer("alerting", decided)
