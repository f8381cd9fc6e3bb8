"""The state machine that runs every operation on a store, in any order, and on its model.

Besides the commands these are catch-ups, interrupted rebuilds, restarts, new master keys,
backups and exports that replace the store, and older logs that are restored by hand under views
that include more events.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from projections.catalog import PROJECTIONS
from projections.core.table import ViewUnavailableError
from soak.commands import hands
from soak.model import VIEWS
from soak.travel import Travel
from store.keys.master_keys import read_key_file
from store.keys.rotation import rotate
from store.transfer.backup import make_backup, restore_backup
from store.transfer.export import export_lines
from store.transfer.restore_log import ImportKey, import_lines

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from soak.model import Model


PARTS: Final = ("logs", "keys", "proof")
"""What belongs together when files are put back by hand. Views are not among it."""

views = st.sampled_from([each.name for each in PROJECTIONS])


class BrokenOffError(Exception):
    """A rebuild was killed."""


class StoreMachine(Travel):
    """The operations, as rules of Hypothesis; see the docstring of the module."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: tuple[Path, Model] | None = None

    @rule(hand=hands, view=views)
    def catch_up(self, hand: int, view: str) -> None:
        self.hands[hand].views.projector(view).catch_up()
        if view in VIEWS:
            self.catch_up_and_compare(view, hand)

    @rule(hand=hands, view=views)
    def catch_up_by_one_batch(self, hand: int, view: str) -> None:
        projector = self.hands[hand].views.projector(view)
        if projector.is_current():
            projector.step()
        else:
            with pytest.raises(ViewUnavailableError):
                projector.step()

    @rule(hand=hands, view=views)
    def rebuild(self, hand: int, view: str) -> None:
        projector = self.hands[hand].views.projector(view)
        projector.catch_up()
        before = self.hands[hand].shown(view)
        projector.rebuild()
        assert self.hands[hand].shown(view) == before

    @rule(hand=hands, view=views, batches=st.integers(1, 3))
    def break_off_a_rebuild(self, hand: int, view: str, batches: int) -> None:
        left = batches

        def progress(*_: int) -> None:
            nonlocal left
            left -= 1
            if left <= 0:
                raise BrokenOffError

        try:
            self.hands[hand].views.projector(view).rebuild(progress)
        except BrokenOffError:
            return

    @rule()
    def restart(self) -> None:
        self.close()
        self.open()

    @rule()
    def open_secrets_and_prove(self) -> None:
        self.compare_secrets_and_proofs()

    @rule(hand=hands)
    def rotate_the_master_key(self, hand: int) -> None:
        store = self.hands[hand].store
        rotate(store.keys.store, store.master_keys)

    @rule(hand=hands)
    def move_to_a_backup(self, hand: int) -> None:
        """Go on with the store that a backup holds."""
        backup = self.fresh_path()
        make_backup(self.hands[hand].store, backup)
        self._move_to(lambda root, key: restore_backup(backup, root, key))

    @rule(hand=hands)
    def move_to_an_export(self, hand: int) -> None:
        """Go on with the store that an export makes."""
        path = self.fresh_path()
        path.write_bytes(b"".join(export_lines(self.hands[hand].store)))

        def read(root: Path, key: ImportKey) -> None:
            with path.open("rb") as file:
                import_lines(file, root, key)

        self._move_to(read)

    @rule()
    def copy_the_files(self) -> None:
        """Copy logs and keys while nothing runs, as a careful operator does."""
        self.close()
        copy = self.fresh_path()
        for part in PARTS:
            if (self.root / part).exists():
                shutil.copytree(self.root / part, copy / part)
        self.kept = (copy, self.model.copy())
        self.open()

    @precondition(lambda self: self.kept is not None)
    @rule()
    def put_the_files_back(self) -> None:
        """Put the copy back and leave the views, as a careless operator does."""
        assert self.kept is not None
        copy, model = self.kept
        self.close()
        for part in PARTS:
            shutil.rmtree(self.root / part, ignore_errors=True)
            if (copy / part).exists():
                shutil.copytree(copy / part, self.root / part)
        self.model = model.copy()
        self.open()

    def _move_to(self, make: Callable[[Path, ImportKey], object]) -> None:
        key = read_key_file(self.root / "keys" / "master.key")
        root = self.fresh_path()
        make(root, ImportKey(key, is_kept=True))
        self.close()
        self.root = root
        self.open()
