from __future__ import annotations

from collections.abc import Iterator

import pytest

from .helpers import simulator


@pytest.fixture(scope="module")
def base_url() -> Iterator[str]:
    with simulator("--rate", "20000") as url:
        yield url


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RLFAST_TOKEN", "RLFAST_BASE_URL", "RLFAST_TENANT"):
        monkeypatch.delenv(name, raising=False)
