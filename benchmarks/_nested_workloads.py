"""Messages of four feeds with nested values, made with a seed: as large and as varied as the real ones.

- ``jetstream``: Bluesky's Jetstream, 0.5 KB. Of a hundred events 98 are commits, with a free-form ``record``
  (likes, posts in several scripts, follows, reposts) or, one in eighteen, without; the others are identities
  and accounts.
- ``depth``: Binance's differences of order books, 1.5 KB. 4 to 60 levels on each side, pairs of decimals as
  text, two in five of them deletions.
- ``pods``: watching the pods of a Kubernetes cluster, 4 KB. Labels and annotations, one to three containers
  with their ports and variables, conditions and states; without ``managedFields``.
- ``trades``: Alpaca's trades and quotes, 0.4 KB. One to twelve in a top-level array.

Text is UTF-8, and there is no whitespace, as the servers send it. No time is finer than microseconds, which
every reader can hold.
"""

from __future__ import annotations

import itertools
import random
import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from benchmarks import _nested_types as types
from benchmarks._nested_pods import pods
from benchmarks._workload import SEED, compact

START = datetime(2026, 11, 23, 10, tzinfo=timezone.utc)
BASE32 = "234567" + string.ascii_lowercase
POSTS = (
    "Just finished reading the new paper on in-context learning, a thread on why the ablation matters 🧵",
    "good morning! coffee first, everything else later ☕️",
    "今日はとても良い天気ですね。散歩に行ってきます",
    'She said "never again", and then it was Monday.',
    "Ich habe gerade gemerkt, dass wir schon wieder Ende November haben … wo ist das Jahr geblieben?",
    "New release is out:\n\n- faster cold starts\n- fewer allocations\n- docs that exist\n\nWhat breaks?",
    "lol",
    "Que saudade desse lugar. Melhor viagem da minha vida, sem dúvida nenhuma.",
    "The trains are late again; the replacement bus is late, too. At least the rain is on time.",
)
FOLLOWED = "app.bsky.graph.follow"
LIKED = "app.bsky.feed.like"
POSTED = "app.bsky.feed.post"
REPOSTED = "app.bsky.feed.repost"
COLLECTIONS = (LIKED, POSTED, FOLLOWED, REPOSTED)
SHARES = (58, 17, 14, 11)
BOOKS = (("BTCUSDT", 86_000.0), ("ETHUSDT", 2_900.0), ("SOLUSDT", 136.0), ("XRPUSDT", 2.1))


@dataclass(frozen=True)
class Workload:
    """One feed.

    Attributes:
        type: what its messages are decoded to.
        make: endless messages, of a source of randomness.
        message_bytes: their average size, to a tenth.
        tag_field: which says what type an event has; None: there is one type.
    """

    type: Any
    make: Callable[[random.Random], Iterator[bytes]]
    message_bytes: int
    tag_field: str | None


def payloads(name: str, size: int) -> list[bytes]:
    """As many messages as make `size` bytes or a bit more; fewer bytes are the beginning of more."""
    out = []
    for payload in WORKLOADS[name].make(random.Random(SEED)):
        out.append(payload)
        size -= len(payload)
        if size <= 0:
            break
    return out


def first(name: str, count: int) -> list[bytes]:
    """The first messages, so many."""
    return list(itertools.islice(WORKLOADS[name].make(random.Random(SEED)), count))


def moment(when: datetime, digits: int = 6) -> str:
    """RFC 3339 in UTC with so many digits of a second."""
    text = when.strftime("%Y-%m-%dT%H:%M:%S.%f")
    return (text[: 20 + digits] if digits else text[:19]) + "Z"


def _jetstream(source: random.Random) -> Iterator[bytes]:
    def text(length: int) -> str:
        return "".join(source.choices(BASE32, k=length))

    people = [f"did:plc:{text(24)}" for _ in range(5_000)]
    when = START

    def link(collection: str) -> dict[str, Any]:
        return {"cid": f"bafyrei{text(52)}", "uri": f"at://{source.choice(people)}/{collection}/3m{text(11)}"}

    def record(collection: str) -> dict[str, Any]:
        out: dict[str, Any] = {"$type": collection, "createdAt": moment(when, 3)}
        if collection == FOLLOWED:
            return {**out, "subject": source.choice(people)}
        if collection != POSTED:
            return {**out, "subject": link(POSTED)}
        if source.random() < 0.2:
            image: dict[str, Any] = {
                "$type": "blob",
                "ref": {"$link": f"bafkrei{text(52)}"},
                "mimeType": "image/jpeg",
            }
            image["size"] = source.randrange(40_000, 950_000)
            ratio = {"height": source.choice((900, 1500, 2000)), "width": source.choice((1080, 2000))}
            images = [
                {"alt": source.choice(("", source.choice(POSTS))), "aspectRatio": ratio, "image": image}
            ]
            out["embed"] = {"$type": "app.bsky.embed.images", "images": images}
        out["langs"] = [source.choice(("en", "en", "ja", "de", "pt"))]
        if source.random() < 0.4:
            out["reply"] = {"parent": link(POSTED), "root": link(POSTED)}
        out["text"] = " ".join(source.sample(POSTS, source.choice((1, 1, 1, 2, 3))))
        return out

    while True:
        when += timedelta(microseconds=source.randrange(1, 5_000))
        event: dict[str, Any] = {"did": source.choice(people), "time_us": int(when.timestamp() * 1e6)}
        draw = source.random()
        if draw < 0.98:
            collection = source.choices(COLLECTIONS, SHARES)[0]
            operation = "delete" if draw < 0.055 else "update" if draw < 0.06 else "create"
            commit: dict[str, Any] = {
                "rev": f"3m{text(11)}",
                "operation": operation,
                "collection": collection,
            }
            commit["rkey"] = f"3m{text(11)}"
            event["kind"] = "commit"
            event["commit"] = commit
            if operation != "delete":
                commit |= {"record": record(collection), "cid": f"bafyrei{text(52)}"}
        else:
            about = {"did": event["did"], "seq": source.randrange(2**34), "time": moment(when, 3)}
            if draw < 0.992:
                event |= {"kind": "identity", "identity": about}
                if source.random() < 0.8:
                    about["handle"] = f"{text(source.randrange(4, 16))}.bsky.social"
            else:
                active = source.random() < 0.6
                event |= {"kind": "account", "account": {"active": active, **about}}
                if not active:
                    event["account"]["status"] = source.choice(("deactivated", "deleted", "takendown"))
        yield compact(event)


def _depth(source: random.Random) -> Iterator[bytes]:
    when = START
    last = [source.randrange(10**9, 10**11) for _ in BOOKS]

    def side(price: float, step: float) -> list[list[str]]:
        levels = []
        for _ in range(min(60, 4 + int(source.expovariate(1 / 22)))):
            price += step * source.randrange(1, 12)
            amount = 0.0 if source.random() < 0.4 else source.lognormvariate(0, 2)
            levels.append([f"{price:.8f}", f"{amount:.8f}"])
        return levels

    while True:
        which = source.randrange(len(BOOKS))
        symbol, price = BOOKS[which]
        when += timedelta(milliseconds=source.randrange(1, 50))
        first = last[which] + 1
        last[which] += source.randrange(1, 400)
        event: dict[str, Any] = {"e": "depthUpdate", "E": int(when.timestamp() * 1e3), "s": symbol}
        event |= {"U": first, "u": last[which]}
        price *= source.uniform(0.99, 1.01)
        event["b"] = side(price, -price * 1e-6)
        event["a"] = side(price, price * 1e-6)
        yield compact(event)


def _trades(source: random.Random) -> Iterator[bytes]:
    symbols = [
        (
            "".join(source.choices(string.ascii_uppercase, k=source.choice((3, 4, 4)))),
            10 ** source.uniform(1, 3),
        )
        for _ in range(300)
    ]
    when = START
    number = 52_983_525_000_000

    def price(near: float) -> float | int:
        value = round(near * source.uniform(0.995, 1.005), source.choice((2, 2, 2, 4)))
        # As Go writes it, in which the server is written.
        return int(value) if value == int(value) else value

    while True:
        events = []
        for _ in range(min(12, 1 + int(source.expovariate(0.4)))):
            when += timedelta(microseconds=source.randrange(1, 900))
            symbol, near = source.choice(symbols)
            event: dict[str, Any]
            if source.random() < 0.2:
                number += source.randrange(1, 50)
                event = {"T": "t", "i": number, "S": symbol, "x": source.choice("VDPQN"), "p": price(near)}
                event |= {"s": source.choice((1, 10, 50, 100, 100, 212)), "t": moment(when)}
                event["c"] = source.choice((["@"], ["@", "I"]))
            else:
                event = {"T": "q", "S": symbol, "bx": source.choice("VPQN"), "bp": price(near)}
                event |= {"bs": source.randrange(1, 40), "ax": source.choice("VPQN"), "ap": price(near)}
                event |= {"as": source.randrange(1, 40), "t": moment(when), "c": ["R"]}
            event["z"] = source.choice("ABC")
            events.append(compact(event))
        yield b"[" + b",".join(events) + b"]"


WORKLOADS = {
    "jetstream": Workload(types.JetstreamEvent, _jetstream, 490, "kind"),
    "depth": Workload(types.DepthUpdate, _depth, 1540, "e"),
    "pods": Workload(types.WatchEvent, pods, 3800, None),
    "trades": Workload(types.MarketEvents, _trades, 390, "T"),
}
