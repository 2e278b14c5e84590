"""How messages become events: the type, and what `connect` lets be otherwise than msgspec has it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeAlias, TypedDict, TypeVar, get_args

import msgspec

from rlfast.errors import ConfigError, check_bool, check_callable, check_choice, check_type
from rlfast.schema._framing import SEPARATORS, Framing
from rlfast.schema._pointer import parse_pointer
from rlfast.schema._repairs import repaired

__all__ = ["DecHook", "Decoding", "DecodingArguments", "kept"]

T = TypeVar("T")

DecHook: TypeAlias = Callable[[type, Any], Any]
NaN: TypeAlias = Literal["error", "null"]
Surrogates: TypeAlias = Literal["error", "replace"]


class DecodingArguments(TypedDict, total=False):
    """Keywords of `rlfast.connect` that go with its type, which describes them."""

    events_at: str
    framing: Framing | None
    strict: bool
    dec_hook: DecHook | None
    nan: NaN
    surrogates: Surrogates


@dataclass(frozen=True)
class Decoding:
    """How messages become events.

    Attributes:
        type: what a message is; None for any JSON.
        events_at: JSON Pointer (RFC 6901) to the event inside of a message, or the array of events; "": a
            message is an event.
        framing: what parts the JSON documents of a message; None: it is one.
        strict: whether values must have the JSON type of their field, as in `msgspec.json.decode`.
        dec_hook: callable, (type, plain value) -> object, for types that msgspec does not know; or None.
        nan: what NaN, Infinity and -Infinity are, which are no JSON.
        surrogates: what an escaped surrogate without its other half is.

    Raises:
        ConfigError: a value cannot work.
    """

    type: Any = None
    events_at: str = ""
    framing: Framing | None = None
    strict: bool = True
    dec_hook: DecHook | None = None
    nan: NaN = "error"
    surrogates: Surrogates = "error"

    def __post_init__(self) -> None:
        """Check types and values."""
        check_type("events_at", self.events_at, str, what="a JSON Pointer (str)")
        parse_pointer(self.events_at)
        check_choice("framing", self.framing, get_args(Framing), optional=True)
        check_bool("strict", self.strict)
        check_callable("dec_hook", self.dec_hook, optional=True)
        check_choice("nan", self.nan, get_args(NaN))
        check_choice("surrogates", self.surrogates, get_args(Surrogates))
        if self.type is None:
            if self.events_at:
                raise ConfigError("events_at needs a type: messages of any JSON are kept whole")
            return
        try:
            self.decoder(self.type)
        except (TypeError, ValueError) as error:
            was = type(self.type).__name__
            raise ConfigError(
                f"type must be a type that msgspec can decode, or None, not {was}"
                # Only the name of a text's type: texts may be secrets.
                + ("" if isinstance(self.type, (str, bytes)) else f": {error}")
            ) from None

    @classmethod
    def of(cls, value: Any) -> Decoding:
        """The decoding of a type, if `value` is not one itself."""
        return value if isinstance(value, Decoding) else cls(value)

    def decoder(self, type_: Any) -> msgspec.json.Decoder[Any]:
        """A decoder for values of another type, as lenient as this."""
        return msgspec.json.Decoder(type_, strict=self.strict, dec_hook=self.dec_hook)

    @property
    def separator(self) -> int:
        """The byte that parts documents; 0: a message is one."""
        return 0 if self.framing is None else SEPARATORS[self.framing][0]

    @property
    def repairs(self) -> bool:
        """Whether there is text that msgspec refuses and this does not."""
        return self.nan != "error" or self.surrogates != "error"

    def repaired(self, raw: bytes) -> bytes:
        """Return a payload that msgspec refuses as JSON that it takes, as far as it may be otherwise."""
        return repaired(raw, nan=self.nan == "null", surrogates=self.surrogates == "replace")

    def repairing(self, decode: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """Have a callable, payload -> value, try again with what `repaired` makes of a payload."""
        if not self.repairs:
            return decode

        @functools.wraps(decode)
        def decode_repaired(payload: Any) -> Any:
            try:
                return decode(payload)
            except msgspec.ValidationError:
                raise
            except msgspec.DecodeError:
                return decode(self.repaired(bytes(payload)))

        return decode_repaired

    def changes(self) -> dict[str, Any]:
        """What is not the default, besides the type."""
        return {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if field.name != "type" and getattr(self, field.name) != field.default
        }


def kept(make: Callable[[Decoding], T], decoding: Any) -> T:
    """What `make` makes of a `Decoding`, or of that of a type: the same for all that are equal."""
    decoding = Decoding.of(decoding)
    try:
        hash(decoding)
    except TypeError:  # metadata of an Annotated may be anything
        return make(decoding)
    # Unions of the same types are equal in any order, but their tables are in the order of each.
    made: T = _kept(make, decoding, get_args(decoding.type))
    return made


@functools.lru_cache(maxsize=128)
def _kept(make: Callable[[Decoding], Any], decoding: Decoding, members: tuple[Any, ...]) -> Any:
    return make(decoding)
