"""A resource file as data: its routes, what the document says of them, and their schemas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from api.http.fields import Schema
    from api.openapi.operations import DocumentedOperation
    from api.resources.parts import Parts


class Route(NamedTuple):
    """A URL and the object that answers it, by its methods `on_<method>[_<suffix>]`."""

    path: str
    responder: object
    suffix: str | None = None


class Tag(NamedTuple):
    """A heading of the document, under which operations are listed."""

    name: str
    description: str


SERVICE: Final = Tag("Service", "The service itself.")
"""The heading of several resource files."""


def no_schemas() -> Schema:
    """Return no schemas: those of other resources are enough."""
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """What a file of `api.resources` declares. `api.catalog` lists all of them.

    `routes` makes the objects that answer, `operations` describes each method of each route;
    a test holds both together. `schemas` are the components that this resource adds.
    """

    routes: Callable[[Parts], Iterable[Route]]
    operations: Callable[[], Iterable[DocumentedOperation]]
    schemas: Callable[[], Schema] = no_schemas
    tags: tuple[Tag, ...] = ()
