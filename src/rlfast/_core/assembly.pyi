from typing import final

from rlfast._core.encodings import PayloadDecoder
from rlfast._core.inflate import Inflater
from rlfast._core.queue import BlockQueue

NOT_ENCODED: str

@final
class MessageAssembler:
    def __new__(cls, queue: BlockQueue, max_message_size: int) -> MessageAssembler: ...
    inflater: Inflater | None
    decoder: PayloadDecoder | None
    discarding: bool
    @property
    def max_message_size(self) -> int: ...
    @property
    def error(self) -> tuple[int, str] | None: ...
    @property
    def discarded_messages(self) -> int: ...
    @property
    def binary_messages(self) -> int: ...
    @property
    def oversized_messages(self) -> int: ...
