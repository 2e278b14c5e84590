from asyncio import AbstractEventLoop
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from types import TracebackType
from typing import Any, final

from typing_extensions import Buffer, disjoint_base

from rlfast._core.objects import ObjectDecoder
from rlfast._core.queue import BlockQueue
from rlfast._core.waiter import Waiter

@final
class PayloadView(Buffer): ...

@final
class MessageReader:
    def __new__(
        cls,
        queue: BlockQueue,
        decode: Callable[[Any], Any],
        recover: Callable[[Exception | None, bytes, int, str | None], Any],
        make_usage_error: Callable[[str], Exception],
        make_compiled: Callable[[], ObjectDecoder | None] | None = None,
        separator: int = 0,
    ) -> MessageReader: ...
    check_caller: Callable[[str], None] | None
    loop: AbstractEventLoop | None
    go_on: Callable[[], bool] | None
    @property
    def queue(self) -> BlockQueue: ...
    def take_nowait(self, max_messages: int) -> list[Any]: ...
    def is_over(self) -> bool: ...
    def wait(self, call: str = "next_message") -> Waiter: ...

@disjoint_base
class MessageSource:
    _reader: MessageReader
    def next_message(self) -> Awaitable[Any]: ...
    def __aiter__(self) -> AsyncIterator[Any]: ...
    def __anext__(self) -> Awaitable[Any]: ...

@final
class MessageAwaitable:
    def __await__(self) -> Generator[Any, None, Any]: ...
    def __iter__(self) -> MessageAwaitable: ...
    def __next__(self) -> Any: ...
    def send(self, value: None) -> Any: ...
    def throw(
        self,
        kind: type[BaseException] | BaseException,
        value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> Any: ...
    def close(self) -> None: ...
