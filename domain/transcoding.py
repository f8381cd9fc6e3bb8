"""Event state to bytes and back, with orjson.

Only the top-level `timestamp` is anything but plain JSON. The default transcoder of
the event store gives a meaning to dictionaries of a certain form, so a request body
could make a log unreadable; here a dictionary is always just a dictionary.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import orjson
from eventsourcing.persistence import Transcoder


class OrjsonTranscoder(Transcoder):
    """Encodes event state whose values are JSON-native, but for `timestamp`."""

    def encode(self, obj: Any) -> bytes:  # noqa: ANN401 - the signature is the library's
        """Return the bytes of an event's state. Raises TypeError on values that are not JSON."""
        return orjson.dumps(obj)

    def decode(self, data: bytes) -> Any:  # noqa: ANN401 - the signature is the library's
        """Return the state as it was encoded."""
        state = orjson.loads(data)
        state["timestamp"] = datetime.fromisoformat(state["timestamp"])
        return state
