"""The queries on the `states` view, written for SQLite as those of `queries`."""

from __future__ import annotations

from abc import abstractmethod
from itertools import product
from typing import TYPE_CHECKING, Any, ClassVar, Final, get_args

import orjson
from typing_extensions import override

from domain.incident import IncidentType
from domain.kinds import KINDS
from domain.monitor_state import STATES
from projections.core.table import ViewUnavailableError
from projections.readers.monitors import Page
from projections.readers.states import StateCounts, StateReader, WatchedMonitor
from projections.storage.derived import count_key
from projections.storage.queries import LAST_CHECKED, TAIL, with_tail

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from domain.kinds import Kind
    from domain.monitor_state import MonitorState
    from projections.core.table import Record
    from projections.readers.states import SortKey, StateFilter
    from projections.storage.queries import Bound


# Statements are put together from the constants of this module; values are bound.
# ruff: noqa: S608

_ORDER: Final[Mapping[SortKey, tuple[str, ...]]] = {
    "id": ("number", "kind"),
    "name": ("name", "number", "kind"),
    "state": ("state", "number", "kind"),
    "stateSince": ("since", "number", "kind"),
}
"""The columns of each order: always a whole one, so that pages do not overlap."""

_FILLERS: Final = f"""
    (SELECT number FROM organizations WHERE key = m.organization_id),
    c.number,
    c.listed_name,
    {LAST_CHECKED}
"""
_ITEM: Final = f"printf(m.item, {_FILLERS})"
_DOCUMENTED: Final = {
    "item": f"printf({with_tail('n.listed')}, {_FILLERS}, m.known)",
    "more": "JOIN monitors n ON n.key = m.key",
    "view": "monitors",
}
"""The same in the shape of a kind, from the `monitors` view."""

_WATCHED: Final = """
SELECT key, kind, state, record FROM states WHERE state IS NOT NULL
ORDER BY state, number, kind LIMIT :limit
"""
_LAST_CHECKS: Final = """
SELECT monitor_id, record FROM last_checks WHERE monitor_id IN ({marks})
ORDER BY monitor_id, location
"""
_KEYS_AT_ONCE: Final = 500
_DIALOGUES: Final = "SELECT record FROM dialogues WHERE monitor_id = :monitor_id ORDER BY key"
_KNOWN: Final = "SELECT known FROM states WHERE key = :key"
_SOUGHT: Final = """(
    key IN (SELECT key FROM monitors WHERE instr(search, :part) > 0)
    OR customer_id IN (SELECT key FROM customers WHERE instr(search, :part) > 0)
)"""


class StateQueries(StateReader):
    """Reads the `states`, `monitors` and `checks` views. An engine adds selecting."""

    PAGE: ClassVar[str]
    """The statement of a page: the `{item}` of rows `{where}` in the `{order}`, joined with
    `{more}`, and the `{position}` of a view."""

    @override
    def monitors(self, which: StateFilter, page: int, per_page: int) -> Page:
        return self._page(which, (page, per_page), {"item": _ITEM, "more": "", "view": "states"})

    @override
    def listed(self, which: StateFilter, page: int, per_page: int) -> Page:
        return self._page(which, (page, per_page), _DOCUMENTED)

    @override
    def known(self, monitor_id: str) -> str | None:
        try:
            rows = self._select(_KNOWN, {"key": monitor_id})
        except ViewUnavailableError:
            return None
        return rows[0][0] if rows else None

    def _page(self, which: StateFilter, pages: tuple[int, int], parts: Mapping[str, str]) -> Page:
        page, per_page = pages
        where, bound = _conditions(which)
        direction = " DESC" if which.is_descending else ""
        order = ", ".join(f"{each}{direction}" for each in _ORDER[which.sort])
        statement = self.PAGE.format(
            **parts, position=self._position(parts["view"]), where=where, order=order
        )
        bound |= {"limit": per_page, "offset": (page - 1) * per_page, "tail": TAIL}
        ((items, position),) = self._select(statement, bound)
        total = self._total(which, where, bound)
        return Page(f"[{items or ''}]".encode(), total, position)

    @override
    def counts(self, organization_id: str, customer_id: str | None = None) -> StateCounts:
        owner = _owner(organization_id, customer_id)
        found = self._counted("states", _keys(owner, STATES, KINDS))
        by_state = dict.fromkeys(STATES, 0)
        by_kind: dict[Kind, int] = {each.name: 0 for each in KINDS.values()}
        for (state, kind), number in found.items():
            by_state[state] += number
            by_kind[kind] += number
        types: tuple[IncidentType, ...] = get_args(IncidentType)
        keys = {_open_key(owner, each): each for each in types}
        opened = dict.fromkeys(types, 0) | self._counted("monitor_incidents", keys)
        return StateCounts(by_state, by_kind, opened)

    @override
    def totals(self) -> Mapping[MonitorState, int]:
        keys = {
            count_key({"state": number}, ("state",)): state for number, state in enumerate(STATES)
        }
        return dict.fromkeys(STATES, 0) | self._counted("states", keys)

    @override
    def watched(self, limit: int) -> Sequence[WatchedMonitor]:
        found = self._select(_WATCHED, {"limit": limit})
        checks: dict[str, list[Record]] = {key: [] for key, *_ in found}
        for some in batches(list(checks), _KEYS_AT_ONCE):
            bound = {f"key{number}": key for number, key in enumerate(some)}
            marks = ", ".join(f":{each}" for each in bound)
            for key, record in self._select(_LAST_CHECKS.format(marks=marks), bound):
                checks[key].append(orjson.loads(record))
        return [
            WatchedMonitor(
                key, kind, orjson.loads(record)["monitor"]["name"], STATES[state], checks[key]
            )
            for key, kind, state, record in found
        ]

    @override
    def dialogues(self, monitor_id: str) -> Sequence[Record]:
        found = self._select(_DIALOGUES, {"monitor_id": monitor_id})
        return [orjson.loads(record) for (record,) in found]

    def _total(self, which: StateFilter, where: str, bound: Bound) -> int:
        if which.search:
            statement = f"SELECT count(*) FROM states WHERE {where}"
            ((total,),) = self._select(statement, bound)
            return int(total)
        owner = _owner(which.organization_id, which.customer_id)
        kinds = KINDS if which.kind is None else (which.kind,)
        keys = _keys(owner, STATES if which.states is None else which.states, kinds)
        return sum(self._counted("states", keys).values())

    def _counted(self, table: str, keys: Mapping[str, Any]) -> dict[Any, int]:
        """Return the kept counts that exist, by what their keys stand for."""
        bound = {f"key{number}": key for number, key in enumerate(keys)}
        marks = ", ".join(f":{each}" for each in bound)
        statement = f"SELECT counted, number FROM {table}_counts WHERE counted IN ({marks})"
        return {keys[key]: number for key, number in self._select(statement, bound)}

    @staticmethod
    @abstractmethod
    def _position(view: str) -> str:
        """Return the position of a view, as a part of a statement."""

    @abstractmethod
    def _select(self, statement: str, bound: Bound) -> list[Any]:
        """Return the rows of a query."""


def batches(keys: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """Yield keys in lists of a size."""
    for start in range(0, len(keys), size):
        yield keys[start : start + size]


def _owner(organization_id: str, customer_id: str | None) -> dict[str, str]:
    """Return the column and value that say whose monitors are meant."""
    if customer_id is None:
        return {"organization_id": organization_id}
    return {"customer_id": customer_id}


def _conditions(which: StateFilter) -> tuple[str, dict[str, Any]]:
    bound: dict[str, Any] = {**_owner(which.organization_id, which.customer_id)}
    if which.kind is not None:
        bound["kind"] = str(which.kind)
    conditions = [f"{each} = :{each}" for each in bound]
    if which.states is not None:
        states = {f"state{n}": STATES.index(each) for n, each in enumerate(which.states)}
        conditions.append(f"state IN ({', '.join(f':{each}' for each in states)})")
        bound |= states
    if which.search:
        bound["part"] = which.search.casefold()
        conditions.append(_SOUGHT)
    return " AND ".join(conditions), bound


def _keys(
    owner: Mapping[str, str], states: Iterable[Any], kinds: Iterable[Any]
) -> dict[str, tuple[Any, Any]]:
    """Return the keys of the counts of states and kinds, with what they stand for."""
    column = next(iter(owner))
    return {
        count_key(
            {**owner, "state": STATES.index(state), "kind": str(kind)}, (column, "state", "kind")
        ): (state, kind)
        for state, kind in product(states, kinds)
    }


def _open_key(owner: Mapping[str, str], incident_type: str) -> str:
    column = next(iter(owner))
    values = {**owner, "type": incident_type, "is_open": 1}
    return count_key(values, (column, "type", "is_open"))
