"""The DevTools of a headless Chromium: a busy page, watched through domains that `on_connect` enables."""

from __future__ import annotations

import asyncio
import json
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import rlfast

from .programs import captured_tables, capturing, find_program, running

MESSAGES = 10_000
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage"),
    *("--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--enable-logging=stderr",
    *("--remote-debugging-port=0", "--remote-allow-origins=*"),
)

# Every message of the console has its number; between them the page changes itself and fetches something.
PAGE = """<!doctype html><title>busy</title><body><script>
let n = 0;
function work() {
  const end = Math.min(n + 100, MESSAGES);
  for (; n < end; n++) {
    console.log(n, "message");
    if (n % 5 == 0) {
      const item = document.createElement("p");
      item.id = "p" + n;
      document.body.append(item);
    }
    if (n % 50 == 0) fetch("data:text/plain," + n);
  }
  if (n < MESSAGES) setTimeout(work, 0);
}
console.log("ready");
</script>"""


class Argument(msgspec.Struct):
    type: str
    value: int | str | None = None


class ConsoleParameters(msgspec.Struct):
    type: str
    args: list[Argument]


class Console(msgspec.Struct, tag_field="method", tag="Runtime.consoleAPICalled"):
    params: ConsoleParameters


class Node(msgspec.Struct):
    nodeName: str  # noqa: N815
    attributes: list[str] = []


class InsertedParameters(msgspec.Struct):
    node: Node


class Inserted(msgspec.Struct, tag_field="method", tag="DOM.childNodeInserted"):
    params: InsertedParameters


class Request(msgspec.Struct):
    url: str


class RequestParameters(msgspec.Struct):
    request: Request


class Requested(msgspec.Struct, tag_field="method", tag="Network.requestWillBeSent"):
    params: RequestParameters


COMMANDS: list[tuple[str, dict[str, Any]]] = [
    *((f"{domain}.enable", {}) for domain in ("Runtime", "Network", "DOM", "Log")),
    # Of nodes that a client has not asked for it hears nothing.
    ("DOM.getDocument", {"depth": -1}),
    ("Runtime.evaluate", {"expression": "work()"}),
]


async def watch(connection: rlfast.NewConnection) -> None:
    for id_, (method, params) in enumerate(COMMANDS):
        await connection.send({"id": id_, "method": method, "params": params})


@pytest.fixture
def home() -> Iterator[str]:
    """A folder with a short name: Chromium puts a socket there."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        yield folder


async def test_a_busy_page_loses_nothing(tmp_path: Path, home: str) -> None:
    page = tmp_path / "busy.html"
    page.write_text(PAGE.replace("MESSAGES", str(MESSAGES)))
    command = [find_program("chromium", "chromium-browser", "google-chrome"), *FLAGS]
    command += [f"--user-data-dir={home}/profile", page.as_uri()]
    async with running(*command, env={"HOME": home, "TMPDIR": home}) as chromium:
        address = (await chromium.printed(r"DevTools listening on ws://([^/]+)/"))[1]
        await chromium.printed('"ready"')
        with await asyncio.to_thread(urllib.request.urlopen, f"http://{address}/json/list") as answer:
            pages = [target for target in json.load(answer) if target["type"] == "page"]
        (url,) = (target["webSocketDebuggerUrl"] for target in pages)
        type_ = Console | Inserted | Requested
        async with capturing(url, tmp_path / "out", type=type_, on_connect=watch) as capture:
            # Those of the console, "ready" among them, of the nodes and of the requests.
            events = MESSAGES + 1 + MESSAGES // 5 + MESSAGES // 50
            await capture.until(lambda: capture.events >= events)
            summary = await capture.end()
    assert summary.events == events
    tables = captured_tables(tmp_path / "out")

    def parameters(type_: str) -> list[Any]:
        found: list[Any] = tables[type_]["params"].to_pylist()
        return found

    consoles = [params["args"] for params in parameters("Runtime.consoleAPICalled")]
    assert [json.loads(args[0]["value"]) for args in consoles] == ["ready", *range(MESSAGES)]
    nodes = [params["node"]["attributes"] for params in parameters("DOM.childNodeInserted")]
    assert nodes == [["id", f"p{n}"] for n in range(0, MESSAGES, 5)]
    urls = [params["request"]["url"] for params in parameters("Network.requestWillBeSent")]
    assert urls == [f"data:text/plain,{n}" for n in range(0, MESSAGES, 50)]
    others = [json.loads(text) for text in tables["_other"]["json"].to_pylist()]
    answers = {answer["id"]: answer for answer in others if "id" in answer}
    assert len(answers) == len(COMMANDS)
    assert not any("error" in answer for answer in answers.values())
