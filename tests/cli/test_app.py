"""The program as a whole: help, wrong usage, missing packages, errors."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rlfast import ConnectionOptions, __version__
from rlfast.cli import main

from .helpers import RLFAST, assert_one_line, environment, run


@pytest.mark.parametrize("command", ["demo", "capture", "infer", "inspect", "simulate", "bench"])
def test_every_command_teaches_by_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "Examples" in out
    assert f"rlfast {command}" in out.partition("Examples")[2]


def test_help_names_the_default_of_the_library(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["capture", "--help"]) == 0
    text = capsys.readouterr().out
    (line,) = (line for line in text.splitlines() if "--idle-timeout" in line)
    at = text.index(line)
    assert f"{ConnectionOptions().idle_timeout:g}s)]" in text[at : at + 4 * len(line)]


def test_without_a_command_there_is_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    out, _ = capsys.readouterr()
    for command in ("demo", "capture", "inspect", "simulate", "Exit codes"):
        assert command in out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"rlfast {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nonsense"], "nonsense"),
        (["--nonsense"], "--nonsense"),
        (["capture"], "exactly one of URL, --agent, --cycle and --session, not none"),
        (["capture", "ws://h", "--agent", "a"], "not URL and --agent"),
        (["capture", "--cycle", "a", "--session", "b"], "not --cycle and --session"),
        (["capture", "--agent", "a"], "--agent needs --base-url and --tenant"),
        (["capture", "--session", "a", "--tenant", "t"], "--session needs --base-url and --tenant"),
        (["capture", "ws://h", "--rotate-bytes", "big"], "'big' is not a size"),
        (["capture", "ws://h", "--rotate-interval", "0s"], "'0s' is not a time"),
        (["capture", "ws://h", "--rotate-rows", "0"], "--rotate-rows"),
        (["capture", "ws://h", "--duration", "soon"], "'soon' is not a time"),
        (["capture", "ws://h", "--max-events", "0"], "--max-events"),
        (["capture", "ws://h", "--max-events", "many"], "--max-events"),
        (["capture", "ws://h", "--compression", "gzip"], "gzip"),
        (["capture", "ws://h", "--uuid", "hex"], "hex"),
        (["capture", "ws://h", "--timestamps", "ms"], "ms"),
        (["capture", "ws://h", "--token-env", "NO_SUCH_VARIABLE"], "NO_SUCH_VARIABLE is not set"),
        (["capture", "ws://h", "--types", "events"], "write module:Name"),
        (["capture", "ws://h", "--types", "no_such_module:Event"], "cannot import no_such_module"),
        (
            ["capture", "ws://h", "--types", "rlfast.reasoning_layer._events:Nothing"],
            "rlfast.reasoning_layer._events has no Nothing",
        ),
        (
            ["capture", "ws://h", "--types", "json:loads"],
            "--types 'json:loads': type must be a type that msgspec",
        ),
        (["inspect"], "DIR"),
        (["bench"], "exactly one of URL, --agent, --cycle and --session, not none"),
        (["bench", "ws://h", "--types", "m:T", "--untyped"], "--types or --untyped, not both"),
        (["bench", "ws://h", "--events", "0"], "--events"),
        (["bench", "ws://h", "--duration", "never"], "'never' is not a time"),
        (["demo", "--seconds", "-1"], "'-1' is not a time"),
        (["simulate", "--rate", "0"], "rate must be a positive number"),
        (["simulate", "--port", "70000"], "--port"),
        (["simulate", "--require-token"], "RLFAST_TOKEN is not set"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert_one_line(err, message, "; see: rlfast")


@pytest.mark.parametrize(
    "arguments",
    [
        ["capture", "ws://127.0.0.1:1/x", "--out", "s3://bucket/x"],
        ["demo", "--out", "s3://bucket/x"],
        ["inspect", "s3://bucket/x"],
        ["recover", "s3://bucket/x"],
        ["dead-letters", "s3://bucket/x"],
        ["redrive", "s3://bucket/x"],
        ["compact", "s3://bucket/x"],
        ["bench", "ws://127.0.0.1:1/x", "--json", "s3://bucket/x"],
        ["bench", "ws://127.0.0.1:1/x", "--png", "s3://bucket/x"],
    ],
)
def test_every_path_refuses_a_url(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert "the path is a URL (s3://…), and rlfast writes to local folders only" in err
    assert (out, err.count("\n")) == ("", 1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("package", ["typer", "rich"])
def test_without_the_extra_the_command_says_what_to_install(package: str) -> None:
    code = (
        f"import sys; sys.modules[{package!r}] = None; from rlfast.cli import main; sys.exit(main(['demo']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert_one_line(done.stderr, f"{package} is not installed; run: pip install 'rlfast[capture]'")


@pytest.mark.parametrize("arguments", [["inspect", "."], ["capture", "ws://127.0.0.1:1/"]])
def test_without_pyarrow_the_command_says_what_to_install(arguments: list[str], tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['pyarrow'] = None; from rlfast.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=environment(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert_one_line(done.stderr, "pyarrow is not installed; run: pip install 'rlfast[capture]'")


def test_help_does_not_load_pyarrow() -> None:
    code = (
        "import sys; from rlfast.cli import main; main(['capture', '--help']); "
        "sys.exit('pyarrow' in sys.modules or 'numpy' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0


def test_an_unexpected_error_is_one_line_and_a_traceback_with_debug(tmp_path: Path) -> None:
    (tmp_path / "boom.py").write_text("raise LookupError('broken\\nmodule \\x1b[31m')\n")
    arguments = ["capture", "ws://h/", "--types", "boom:Event"]
    done = run(*arguments, PYTHONPATH=f"{environment()['PYTHONPATH']}:{tmp_path}")
    assert done.returncode == 1
    assert_one_line(done.stderr, "unexpected LookupError: broken module", "run it again with --debug")
    assert "\x1b" not in done.stderr
    done = run(*arguments, "--debug", PYTHONPATH=f"{environment()['PYTHONPATH']}:{tmp_path}")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert_one_line(done.stderr.splitlines(keepends=True)[-1], "unexpected LookupError: broken module")


def test_a_closed_pipe_is_no_traceback() -> None:
    process = subprocess.Popen(
        [*RLFAST, "capture", "--help"], env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    with process.stderr:
        assert process.stderr.read() == b""
    assert process.wait(60) == 1
