"""Folders of a data set that nothing is in any more, after a kill or a change that took their last file."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from rlfast.capture._files import DEAD_LETTERS, GAPS, is_type_folder
from rlfast.capture._wal import JOURNAL

__all__ = ["remove_empty_folders"]


def remove_empty_folders(out: Path) -> None:
    """Remove them, under a lock that the caller holds. Never raises; what stays is harmless."""
    with suppress(OSError):
        for top in sorted(out.iterdir()):
            if top.name in (DEAD_LETTERS, GAPS, JOURNAL) or is_type_folder(top.name):
                for folder, _, files in os.walk(top, topdown=False):
                    if not files:
                        with suppress(OSError):  # There are other folders in it.
                            os.rmdir(folder)
