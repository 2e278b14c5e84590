"""Which event loop the tests run on: ``pytest --loop uvloop``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import pytest

LOOPS = ("asyncio", "uvloop")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--loop", choices=LOOPS, default="asyncio", help="event loop of all async tests")


def new_event_loop(name: str) -> Callable[[], asyncio.AbstractEventLoop]:
    """The function that makes an event loop."""
    if name == "asyncio":
        return asyncio.new_event_loop
    import uvloop

    return uvloop.new_event_loop


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    name: str = config.getoption("--loop")
    return {name: new_event_loop(name)}


def pytest_report_header(config: pytest.Config) -> str:
    return f"event loop: {config.getoption('--loop')}"
