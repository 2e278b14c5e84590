"""The examples of feeds: their modules, and the command lines that they tell."""

from __future__ import annotations

import importlib
import re
import shlex
from pathlib import Path
from types import ModuleType
from typing import Any

FOLDER = Path(__file__).parents[2] / "examples" / "feeds"
FEEDS = sorted(path.stem for path in FOLDER.glob("*.py"))


def example(feed: str) -> ModuleType:
    return importlib.import_module(f"examples.feeds.{feed}")


def command_line(feed: str) -> list[str]:
    """What the example says to type, behind ``rlfast``."""
    found = re.search(r"^    rlfast (.*?)\Z", example(feed).__doc__ or "", re.MULTILINE | re.DOTALL)
    assert found is not None, feed
    return shlex.split(found[1].replace("\\\n", ""))


def option(feed: str, name: str) -> str | None:
    arguments = command_line(feed)
    return arguments[arguments.index(name) + 1] if name in arguments else None


def type_of(feed: str) -> Any:
    return getattr(example(feed), (option(feed, "--types") or "").partition(":")[2])
