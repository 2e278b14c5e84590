"""What is promised about the package: versions, wheels, and the pin of picows."""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
from importlib.metadata import requires, version
from pathlib import Path

import pytest

import rlfast
from rlfast._core import buildinfo

ROOT = Path(__file__).parent.parent


def test_the_version_is_the_same_everywhere() -> None:
    assert rlfast.__version__ == version("rlfast")
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert newest is not None
    assert newest[1] == rlfast.__version__


def test_picows_is_pinned_to_the_minor_version_that_was_built_against() -> None:
    pin = f"picows=={buildinfo.PICOWS_VERSION}.*"
    assert pin in (requires("rlfast") or [])
    build_system = (ROOT / "pyproject.toml").read_text(encoding="utf-8").split("[project]")[0]
    assert f'"{pin}"' in build_system


def test_the_readme_has_the_two_commands_that_ci_runs() -> None:
    commands = re.findall(
        r"^    (python3 -m venv .*)$", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE
    )
    assert [command.split(" && ")[-1] for command in commands] == [
        ".venv/bin/rlfast demo",
        ".venv/bin/pytest",
    ]


PYTHONS = ["cp310", "cp311", "cp312", "cp313", "cp314", "cp314t"]
PLATFORMS = {
    "linux": ["manylinux_x86_64", "musllinux_x86_64", "manylinux_aarch64", "musllinux_aarch64"],
    "macos": ["macosx_x86_64", "macosx_arm64"],
    "windows": ["win_amd64"],
}


@pytest.mark.skipif(sys.version_info < (3, 11), reason="cibuildwheel 3 itself needs Python 3.11")
@pytest.mark.parametrize("platform", PLATFORMS)
def test_wheels_are_built_for_what_is_promised(platform: str) -> None:
    command = [sys.executable, "-m", "cibuildwheel", "--config-file", "cibuildwheel.toml"]
    result = subprocess.run(
        [*command, "--platform", platform, "--print-build-identifiers"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    expected = {f"{python}-{target}" for python in PYTHONS for target in PLATFORMS[platform]}
    assert set(result.stdout.split()) == expected


def test_the_smoke_test_of_the_wheels_runs_here(tmp_path: Path) -> None:
    config = (ROOT / "cibuildwheel.toml").read_text(encoding="utf-8")
    script = re.search(r'^test-command = "python \{project\}/(\S+)"$', config, re.MULTILINE)
    assert script is not None
    result = subprocess.run(
        [sys.executable, str(ROOT / script[1])], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 0, result.stderr
    assert f"rlfast {rlfast.__version__}" in result.stdout


SOURCES = [ROOT / "setup.py", *(ROOT / "src" / "rlfast" / "_core").glob("*.p[yx][xd]")]


def test_no_module_declares_that_it_runs_without_the_gil() -> None:
    """Nothing proves it: a declaration would switch the GIL off in a free-threaded Python."""
    assert len(SOURCES) > 10
    assert [path.name for path in SOURCES if "freethreading_compatible" in path.read_text("utf-8")] == []


@pytest.mark.skipif(not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="this Python always has the GIL")
@pytest.mark.parametrize("module", [path.stem for path in SOURCES if path.suffix == ".pyx"])
def test_a_free_threaded_python_switches_the_gil_on_for_each(module: str) -> None:
    program = f"import sys, rlfast._core.{module}; assert sys._is_gil_enabled()"
    subprocess.run([sys.executable, "-W", "ignore", "-X", "gil=auto", "-c", program], check=True, timeout=60)


def test_everything_is_built_for_the_oldest_python_that_is_promised() -> None:
    settings = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert 'requires-python = ">=3.10"' in settings
    assert 'target-version = "py310"' in settings  # the linter's
    assert 'python_version = "3.10"' in settings  # the type checker's
