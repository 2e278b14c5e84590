"""The types that a user's checker sees, and the help that an interpreter shows."""

from __future__ import annotations

import pydoc
import subprocess
import sys
from pathlib import Path

import pytest

import rlfast

ROOT = Path(__file__).parent.parent
FILES = [ROOT / "tests" / "user_code.py", *(ROOT / "examples").rglob("*.py")]
# pyarrow has no types of its own, and who has not installed its stubs is told so.
MYPY = [
    "mypy",
    "--strict",
    "--no-incremental",
    "--follow-imports=silent",
    "--disable-error-code=import-untyped",
]


@pytest.mark.parametrize("checker", [MYPY, ["pyright"]], ids=lambda c: c[0])
def test_a_users_code_is_checked(checker: list[str]) -> None:
    """`connect` and its like have typed keywords, and infer the type of what is read."""
    pytest.importorskip(checker[0], reason=f"{checker[0]} is not installed")
    result = subprocess.run(
        [sys.executable, "-m", *checker, *FILES], capture_output=True, text=True, timeout=110
    )
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("what", "said"),
    [
        (rlfast.WebSocketConnection.next_message, "None when the stream is over"),
        (rlfast.connect, "on_gap: called with each `Gap`"),
        (rlfast.WebSocketConnection.batches, "max_rows"),
    ],
)
def test_help_shows_the_documentation(what: object, said: str) -> None:
    assert said in pydoc.plain(pydoc.render_doc(what))
