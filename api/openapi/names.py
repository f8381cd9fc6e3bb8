"""How the document calls the components, operations and tags of a kind of monitors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from domain.kinds import MonitorKind
    from projections.shapes.monitor import ShapeForm


_FORM_NAMES: Final[Mapping[ShapeForm, str]] = {"written": "Written", "read": "", "listed": "Item"}


def monitor(kind: MonitorKind, form: ShapeForm = "read") -> str:
    """Return the component of a monitor in one of its forms, such as `SmtpMonitorItem`."""
    return _capitalized(kind.resource) + _FORM_NAMES[form]


def page(kind: MonitorKind) -> str:
    """Return the component of a page of monitors."""
    return monitor(kind) + "List"


def body(action: str, kind: MonitorKind) -> str:
    """Return the component of the body of a create or an update."""
    return action + monitor(kind)


def config(kind: MonitorKind) -> str:
    """Return the component of a config as it is shown."""
    return _capitalized(kind.config_key)


def sent_config(kind: MonitorKind) -> str:
    """Return the component of a config as it is sent."""
    return config(kind) + "Input"


def check(kind: MonitorKind) -> str:
    """Return the component of a check."""
    return monitor(kind).removesuffix("Monitor") + "Check"


def check_history(kind: MonitorKind) -> str:
    """Return the component of the newest checks of a monitor."""
    return check(kind) + "History"


def tag(kind: MonitorKind) -> str:
    """Return the tag under which the operations of a kind are listed."""
    return f"{kind.label}s"


def example(kind: MonitorKind) -> str:
    """Return the name of a kind in the names of examples."""
    return f"{kind.name}_monitor"


def _capitalized(key: str) -> str:
    return key[0].upper() + key[1:]
