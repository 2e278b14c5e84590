from uuid import UUID

from typing_extensions import Buffer

UUID_CHARS: int

def write_uuid_text(raw: Buffer, count: int, offsets: Buffer, text: Buffer) -> None: ...
def uuid_bytes(value: str | UUID, column: object = None) -> bytes: ...
