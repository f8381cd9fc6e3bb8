"""The store that the settings name: in a data folder, or in a database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.store import create_store, open_store

if TYPE_CHECKING:
    from cli.settings import Settings
    from domain.store import Store


def opened_store(settings: Settings) -> Store:
    """Open it. Raises StoreError when there is none, MasterKeyError."""
    return open_store(settings.data, *settings.master_keys, database=settings.database)


def created_store(settings: Settings) -> Store:
    """Open it, made if it is not there yet. Raises StoreError, MasterKeyError."""
    return create_store(settings.data, *settings.master_keys, database=settings.database)
