from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import uuid
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar

import msgspec
import pytest
from sample_events import UUID_A, assemble
from typing_extensions import Required, TypedDict

from rlfast.errors import UnsupportedFieldError
from rlfast.reasoning_layer._events import AgentEvent, KbChange, OversightAlert
from rlfast.schema import kinds
from rlfast.schema._columns import Accepts, Column
from rlfast.schema._markers import (
    CategoryStr,
    DateTimeNanos,
    DecimalText,
    EpochMillis,
    EpochNanos,
    EpochSeconds,
    Float32,
    FloatText,
    Int8,
    IntText,
    UInt64,
    UUIDStr,
)
from rlfast.schema._names import OwnNames
from rlfast.schema._plan import compile_plan
from rlfast.schema.kinds import Kind, Layout

T = TypeVar("T")


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Shade(str, enum.Enum):
    DARK = "dark"


class Level(enum.IntEnum):
    LOW = 1


class Inner(msgspec.Struct):
    x: int


def plan_of(annotation: Any, **field: Any) -> Column:
    """Plan of the one field, `value`, of a struct."""
    default = [msgspec.field(**field)] if field else []
    struct = msgspec.defstruct("Sample", [("value", annotation, *default)])
    [table] = compile_plan(struct).tables
    assert table.name == "Sample"
    [plan] = table.fields
    return plan


def column_of(plan: Column) -> tuple[str, str, Kind, bool]:
    return plan.name, plan.attribute, plan.kind, plan.nullable


# -- the agent's events ----------------------------------------------------------------------------------

AGENT_PLAN = {
    "kb_change": [
        ("change_type", kinds.CATEGORY, False),
        ("sort", kinds.UTF8, False),
        ("term_id", kinds.UUID, False),
    ],
    "hitl_request": [
        ("action_sort", kinds.UTF8, False),
        ("confidence", kinds.FLOAT64, False),
        ("deadline", kinds.UTF8, True),
        ("review_id", kinds.UUID, False),
    ],
    "cycle_complete": [
        ("actions_executed", kinds.INT64, False),
        ("agent_id", kinds.UUID, False),
        ("beliefs_updated", kinds.INT64, False),
        ("pending_reviews", kinds.LIST, False),
    ],
    "attention_shift": [
        ("from", kinds.UUID, True),
        ("priority", kinds.FLOAT64, False),
        ("to", kinds.UUID, False),
    ],
    "goal_completed": [
        ("goal_id", kinds.UUID, False),
        ("result", kinds.UTF8, True),
        ("success", kinds.BOOL, False),
    ],
    "impasse_detected": [
        ("blocked_goal", kinds.UUID, False),
        ("impasse_type", kinds.UTF8, False),
        ("recovery_suggestions", kinds.LIST, False),
    ],
    "connected": [("agent_id", kinds.UUID, False), ("timestamp", kinds.UTF8, False)],
    "heartbeat": [("timestamp", kinds.UTF8, False)],
    "error": [("code", kinds.UTF8, False), ("message", kinds.UTF8, False)],
}


def test_plan_of_the_agent_events() -> None:
    plan = compile_plan(AgentEvent)
    assert plan.type is AgentEvent
    assert plan.tag_field == "type"
    tables = {
        table.name: [(field.name, field.kind, field.nullable) for field in table.fields]
        for table in plan.tables
    }
    assert tables == AGENT_PLAN
    assert {table.struct.__name__ for table in plan.tables} >= {"KbChange", "ErrorEvent"}


def test_renamed_field_keeps_its_attribute() -> None:
    [shift] = [table for table in compile_plan(AgentEvent).tables if table.name == "attention_shift"]
    assert (shift.fields[0].name, shift.fields[0].attribute) == ("from", "from_")


def test_single_tagged_struct_is_named_by_its_tag() -> None:
    plan = compile_plan(KbChange)
    assert plan.tag_field == "type"
    assert [table.name for table in plan.tables] == ["kb_change"]


def test_struct_without_tag_is_named_by_its_class() -> None:
    plan = compile_plan(OversightAlert)
    assert plan.tag_field is None
    assert [table.name for table in plan.tables] == ["OversightAlert"]
    assert {field.name: (field.kind, field.nullable) for field in plan.tables[0].fields} == {
        "agent_id": (kinds.UTF8, True),
        "layer": (kinds.UTF8, False),
        "message": (kinds.UTF8, False),
        "severity": (kinds.CATEGORY, False),
        "step_index": (kinds.INT64, False),
    }


def test_integer_tags_become_names() -> None:
    one = msgspec.defstruct("One", [("x", int)], tag_field="op", tag=1)
    two = msgspec.defstruct("Two", [("x", int)], tag_field="op", tag=2)
    plan = compile_plan(one | two)
    assert (plan.tag_field, {table.name for table in plan.tables}) == ("op", {"1", "2"})


# -- supported types -------------------------------------------------------------------------------------

SUPPORTED = [
    (int, kinds.INT64),
    (float, kinds.FLOAT64),
    (bool, kinds.BOOL),
    (str, kinds.UTF8),
    (UUIDStr, kinds.UUID),
    (uuid.UUID, kinds.UUID),
    (Literal["a"], kinds.CATEGORY),
    (Literal["a", "b"], kinds.CATEGORY),
    (Colour, kinds.CATEGORY),
    (Shade, kinds.CATEGORY),
    (CategoryStr, kinds.CATEGORY),
    (list[str], kinds.LIST),
    (list[UUIDStr], kinds.LIST),
    (list[uuid.UUID], kinds.LIST),
    (Annotated[int, msgspec.Meta(ge=0, le=10)], kinds.INT64),
    (Annotated[str, msgspec.Meta(max_length=10, description="short")], kinds.UTF8),
    (Annotated[UUIDStr, msgspec.Meta(description="the id")], kinds.UUID),
    (Annotated[list[str], msgspec.Meta(title="words")], kinds.LIST),
    (Annotated[list[UUIDStr], msgspec.Meta(title="ids")], kinds.LIST),
    (Annotated[Colour, msgspec.Meta(title="colour")], kinds.CATEGORY),
    (list[Annotated[str, msgspec.Meta(min_length=1)]], kinds.LIST),
    (Annotated[str, msgspec.Meta(extra={"other": "uuid"})], kinds.UTF8),
]


@pytest.mark.parametrize(("annotation", "kind"), SUPPORTED)
def test_supported_type(annotation: Any, kind: Kind) -> None:
    assert column_of(plan_of(annotation)) == ("value", "value", kind, False)
    assert column_of(plan_of(annotation | None)) == ("value", "value", kind, True)
    assert column_of(plan_of(annotation | None, default=None)) == ("value", "value", kind, True)
    assert plan_of(Annotated[annotation | None, msgspec.Meta(title="t")]).kind == kind
    assert plan_of(Annotated[annotation | None, msgspec.Meta(title="t")]).nullable


@pytest.mark.parametrize(
    ("annotation", "kind"),
    [
        (Annotated[str | None, msgspec.Meta(extra={"rlfast": "uuid"})], kinds.UUID),
        (Annotated[str | None, msgspec.Meta(extra={"rlfast": "category"})], kinds.CATEGORY),
        (Literal["a", None], kinds.CATEGORY),  # noqa: PYI061
    ],
)
def test_optional_inside_an_annotation(annotation: Any, kind: Kind) -> None:
    assert column_of(plan_of(annotation)) == ("value", "value", kind, True)


def test_default_none_makes_a_field_nullable_whatever_its_type_says() -> None:
    assert plan_of(int, default=None).nullable
    assert not plan_of(int, default=5).nullable
    assert not plan_of(list[str], default_factory=list).nullable


def test_names_in_json_are_the_column_names() -> None:
    assert column_of(plan_of(int, name="the value")) == ("the value", "value", kinds.INT64, False)
    struct = msgspec.defstruct("Sample", [("two_words", int)], rename="camel")
    plan = compile_plan(struct).tables[0].fields[0]
    assert column_of(plan) == ("twoWords", "two_words", kinds.INT64, False)


def test_reserved_name_is_fine_as_an_attribute() -> None:
    assert plan_of(int, name="sequence").name == "sequence"
    struct = msgspec.defstruct("Sample", [("seq", int, msgspec.field(name="number"))])
    assert compile_plan(struct).tables[0].fields[0].name == "number"


def test_subclass_of_a_generic_struct_is_supported() -> None:
    class Box(msgspec.Struct, Generic[T]):
        item: T

    class IntBox(Box[int]):
        pass

    assert compile_plan(IntBox).tables[0].fields[0].kind == kinds.INT64


def test_every_supported_type_takes_a_value_end_to_end() -> None:
    class Everything(msgspec.Struct):
        number: int
        ratio: float
        flag: bool
        text: str
        id_text: UUIDStr
        id_object: uuid.UUID
        choice: Literal["a", "b"]
        colour: Colour
        shade: Shade
        category: CategoryStr
        words: list[str]
        ids: list[uuid.UUID]
        choice_or_none: Literal["a", None] = None  # noqa: PYI061
        colour_or_none: Colour | None = None
        counted: int = 5
        coloured: Colour = Colour.BLUE
        listed: list[str] = msgspec.field(default_factory=lambda: ["x"])

    payload = {
        "number": 1,
        "ratio": 2,
        "flag": True,
        "text": "t",
        "id_text": UUID_A,
        "id_object": UUID_A.upper(),
        "choice": "b",
        "colour": "red",
        "shade": "dark",
        "category": "c",
        "words": ["w"],
        "ids": [UUID_A],
    }
    batch = assemble(Everything, [msgspec.json.encode(payload)])
    assert batch.dead_letters.num_rows == 0
    table = batch["Everything"]
    a16 = uuid.UUID(UUID_A).bytes
    values = {name: table[name].tolist()[0] for name in table.column_names[3:]}
    assert values == {
        "number": 1,
        "ratio": 2.0,
        "flag": True,
        "text": "t",
        "id_text": a16,
        "id_object": a16,
        "choice": "b",
        "colour": "red",
        "shade": "dark",
        "category": "c",
        "words": ["w"],
        "ids": [a16],
        "choice_or_none": None,
        "colour_or_none": None,
        "counted": 5,
        "coloured": "blue",
        "listed": ["x"],
        "_extra": None,
    }


# -- every other type ------------------------------------------------------------------------------------


class Pair(NamedTuple):
    x: int
    y: str = "y"


class Keys(TypedDict, total=False):
    a: Required[int]
    b: str


@dataclasses.dataclass
class Data:
    x: int
    y: list[int] = dataclasses.field(default_factory=list)


class Row(msgspec.Struct, array_like=True):
    x: int


class Cat(msgspec.Struct, tag="cat"):
    lives: int


class Dog(msgspec.Struct, tag="dog"):
    pass


class One(msgspec.Struct, tag=1, tag_field="op", array_like=True):
    x: int


class Two(msgspec.Struct, tag=2, tag_field="op", array_like=True):
    x: str


class Tree(msgspec.Struct):
    left: Tree | None = None


def described(column: Column) -> str:
    """A column in short: its kind, a question mark if it can be null, and what is inside."""
    inside = ", ".join(
        (f"{child.name}: " if column.kind.layout is Layout.CHILDREN else "") + described(child)
        for child in column.children
    )
    return column.kind.name + "?" * column.nullable + (f"({inside})" if inside else "")


OTHERS = [
    (dict[str, int], "MAP(INT64)"),
    (dict[str, list[int | None]], "MAP(LIST(INT64?))"),
    (dict[UUIDStr, int], "MAP(INT64)"),
    (dict[int, str], "JSON"),
    (dict[uuid.UUID, str], "JSON"),
    (dict, "JSON"),
    (dict[str, Any], "MAP(JSON?)"),
    (Inner, "STRUCT(x: INT64)"),
    (Inner | None, "STRUCT?(x: INT64?)"),
    (list[Inner], "LIST(STRUCT(x: INT64))"),
    (list[Inner | None], "LIST(STRUCT?(x: INT64?))"),
    (Data, "STRUCT(x: INT64, y: LIST(INT64))"),
    (Keys, "STRUCT(a: INT64, b: UTF8?)"),
    (Pair, "TUPLE(x: INT64, y: UTF8)"),
    (Row, "TUPLE(x: INT64)"),
    (tuple[int, str], "TUPLE(f0: INT64, f1: UTF8)"),
    (tuple[int, str] | None, "TUPLE?(f0: INT64?, f1: UTF8?)"),
    (tuple[()], "JSON"),
    (tuple[str, ...], "LIST(UTF8)"),
    (tuple, "JSON"),
    (Cat | Dog, "UNION(cat: STRUCT?(lives: INT64?), dog: STRUCT?)"),
    (Cat | Dog | None, "UNION?(cat: STRUCT?(lives: INT64?), dog: STRUCT?)"),
    (One | Two, "UNION(1: TUPLE?(x: INT64?), 2: TUPLE?(x: UTF8?))"),
    (Cat, "STRUCT(lives: INT64)"),
    (Dog, "JSON"),
    (Tree, "STRUCT(left: JSON?)"),
    (Cat | int, "JSON"),
    (bytes, "BASE64"),
    (bytearray, "BASE64"),
    (datetime.datetime, "DATETIME"),
    (Annotated[datetime.datetime, msgspec.Meta(tz=True)], "DATETIME"),
    (Annotated[datetime.datetime, msgspec.Meta(tz=False)], "NAIVE_DATETIME"),
    (datetime.date, "DATE"),
    (datetime.time, "TIME"),
    (datetime.timedelta, "DURATION"),
    (decimal.Decimal, "DECIMAL_TEXT"),
    (DecimalText(18, 8), "DECIMAL128"),
    (DecimalText(39, 8), "DECIMAL256"),
    (int | str, "JSON"),
    (int | str | None, "JSON?"),
    (list[int], "LIST(INT64)"),
    (list[list[str]], "LIST(LIST(UTF8))"),
    (list[str | None], "LIST(UTF8?)"),
    (list[Literal["a"]], "LIST(CATEGORY)"),
    (set[str], "LIST(UTF8)"),
    (frozenset[str], "LIST(UTF8)"),
    (Any, "JSON?"),
    (list[Any], "LIST(JSON?)"),
    (list, "JSON"),
    (Literal[1, 2], "INT_CHOICE"),
    (Literal["a", 1], "JSON"),
    (Literal[None], "JSON?"),  # noqa: PYI061
    (Level, "INT_CHOICE"),
    (None, "JSON?"),
    (msgspec.Raw, "JSON?"),
    (int | msgspec.UnsetType, "INT64"),
    (Int8, "INT8"),
    (UInt64, "UINT64"),
    (Annotated[int, msgspec.Meta(ge=0)], "UINT64"),
    (Annotated[int, msgspec.Meta(ge=0, le=9)], "INT64"),
    (Float32, "FLOAT32"),
    (FloatText, "FLOAT_TEXT"),
    (IntText | None, "INT_TEXT?"),
    (EpochSeconds, "EPOCH_SECONDS"),
    (EpochMillis | None, "EPOCH_MILLIS?"),
    (list[EpochNanos], "LIST(EPOCH_NANOS)"),
    (DateTimeNanos, "DATETIME_NANOS"),
]


@pytest.mark.parametrize(
    ("annotation", "text"), OTHERS, ids=[f"{i}-{text}" for i, (_, text) in enumerate(OTHERS)]
)
def test_column_of_every_other_type(annotation: Any, text: str) -> None:
    assert described(plan_of(annotation)) == text


@pytest.mark.parametrize(
    ("annotation", "accepts"),
    [
        (int | str, Accepts.INTEGER | Accepts.STRING),
        (float | None, Accepts.NUMBER | Accepts.INTEGER | Accepts.NULL),
        (Any, Accepts.ALL),
        (msgspec.Raw, Accepts.ALL),
        (list, Accepts.ARRAY),
        (dict, Accepts.OBJECT),
        (bool | str, Accepts.BOOL | Accepts.STRING),
        (int | Annotated[str, msgspec.Meta(max_length=2)], Accepts.INTEGER),
        (datetime.date | int, Accepts.INTEGER),
        (Cat | int, Accepts.INTEGER),
        (dict[int, Any], Accepts(0)),
    ],
    ids=str,
)
def test_json_that_is_known_to_be_valid_by_its_first_byte(annotation: Any, accepts: Accepts) -> None:
    plan = plan_of(annotation)
    if plan.kind is kinds.JSON:
        assert Accepts(plan.accepts) == accepts


def test_a_type_that_holds_itself_is_json_inside_itself() -> None:
    plan = plan_of(list[Tree])
    assert described(plan) == "LIST(STRUCT(left: JSON?))"
    batch = assemble(Tree, [b'{"left":{"left":{"left":null}}}', b'{"left":{"left":5}}', b"{}"])
    assert batch["Tree"]["left"].tolist() == ['{"left":{"left":null}}', None]
    assert batch.dead_letters.num_rows == 1


@pytest.mark.parametrize("key", ['a"', "a\\b", "\0", "new\nline"])
def test_a_key_that_is_no_name_of_a_field(key: str) -> None:
    """Keys of a TypedDict may be what fields of a msgspec.Struct may not."""
    odd = TypedDict("odd", {key: int, "b": int})  # type: ignore[misc]
    assert plan_of(odd).kind is kinds.JSON
    batch = assemble(
        msgspec.defstruct("Row", [("odd", odd)]), [msgspec.json.encode({"odd": {key: 1, "b": 2}})]
    )
    assert batch["Row"]["odd"].tolist() == [msgspec.json.encode({key: 1, "b": 2}).decode()]
    with pytest.raises(UnsupportedFieldError, match="odd has the key"):
        compile_plan(odd)


def test_nesting_is_bounded() -> None:
    annotation: Any = int
    for _ in range(100):
        annotation = list[annotation]
    plan = plan_of(annotation)
    depth = 0
    while plan.children:
        plan = plan.children[0]
        depth += 1
    assert plan.kind is kinds.JSON
    assert depth == 32


def test_field_that_may_be_unset_is_null_then() -> None:
    struct = msgspec.defstruct("Sample", [("value", int | msgspec.UnsetType, msgspec.UNSET)])
    assert described(compile_plan(struct).tables[0].fields[0]) == "INT64?"
    batch = assemble(struct, [b'{"value":5}', b"{}", b'{"value":null}'])
    assert batch["Sample"]["value"].tolist() == [5, None]
    assert batch.dead_letters.num_rows == 1


@pytest.mark.parametrize("name", ["seq", "epoch", "received_at", "_extra", "stream", "type"])
def test_a_field_keeps_a_name_that_rlfast_uses(name: str) -> None:
    assert plan_of(int, name=name).name == name


def test_rlfast_steps_aside_in_all_tables_of_a_union() -> None:
    one = msgspec.defstruct("One", [("seq", int), ("Type", str)], tag="one")
    two = msgspec.defstruct("Two", [("price", float)], tag="two")
    names = compile_plan(one | two).own_names
    assert names == OwnNames(seq="rlfast_seq", type="rlfast_type")
    batch = assemble(one | two, [b'{"type":"two","price":1.5}', b'{"type":"one","seq":7,"Type":"x"}'])
    assert batch.own_names == names
    assert batch["two"].column_names == ["rlfast_seq", "epoch", "received_at", "price", "_extra"]
    assert batch["one"]["seq"].tolist() == [7]
    assert batch["one"]["rlfast_seq"].tolist() == [1]
    assert batch["one"].own_names == batch["one"].with_plain_text().own_names == names
    assert batch.dead_letters.own_names == OwnNames()


def test_array_like_struct_has_its_fields_as_columns() -> None:
    batch = assemble(Row, [b"[5]", b"[7,8]", b"[]", b'{"x":1}'])
    assert batch["Row"]["x"].tolist() == [5, 7]
    assert batch["Row"]["_extra"].tolist() == [None, '{"/1":8}']
    assert batch.dead_letters.num_rows == 2


def test_generic_struct_with_arguments() -> None:
    class Box(msgspec.Struct, Generic[T]):
        item: T

    assert described(compile_plan(Box[int]).tables[0].column) == "STRUCT(item: INT64)"
    assert described(compile_plan(Box).tables[0].column) == "STRUCT(item: JSON?)"
    batch = assemble(Box[int], [b'{"item":5}', b'{"item":"x"}'])
    assert batch.dead_letters.num_rows == 1
    [table] = batch.values()
    assert table["item"].tolist() == [5]


@pytest.mark.parametrize("type_", [Data, Keys, Pair])
def test_other_classes_with_fields_are_tables(type_: Any) -> None:
    [table] = compile_plan(type_).tables
    assert table.name == type_.__name__
    assert [field.name for field in table.fields] == list(type_.__annotations__)


@pytest.mark.parametrize(
    ("type_", "column"),
    [
        (int, "INT64"),
        (float | None, "FLOAT64?"),
        (dict, "JSON"),
        (dict[str, float], "MAP(FLOAT64)"),
        (list[int], "LIST(INT64)"),
        (list[list[Pair]], "LIST(LIST(TUPLE(x: INT64, y: UTF8)))"),
        (set[Inner], "LIST(STRUCT(x: INT64))"),
        (Any, "JSON?"),
        (int | str, "JSON"),
        (Inner | int, "JSON"),
        (EpochMillis, "EPOCH_MILLIS"),
    ],
)
def test_what_is_no_struct_is_a_row_of_one_column(type_: Any, column: str) -> None:
    plan = compile_plan(type_)
    [table] = plan.tables
    assert plan.is_value
    assert (table.name, [field.name for field in table.fields]) == ("value", ["value"])
    assert described(table.fields[0]) == column


@pytest.mark.parametrize(
    ("type_", "names", "splits"),
    [
        (KbChange | None, ["kb_change"], False),
        (Inner | None, ["Inner"], False),
        (list[Inner | None] | None, ["Inner"], True),
        (Annotated[Inner, msgspec.Meta(title="x")], ["Inner"], False),
        (tuple[int, str] | None, ["value"], False),
    ],
)
def test_none_beside_a_struct_is_another_kind_of_message(type_: Any, names: list[str], splits: bool) -> None:
    plan = compile_plan(type_)
    assert [table.name for table in plan.tables] == names
    assert (plan.is_value, plan.splits) == (False, splits)
    batch = assemble(type_, [b" null "], other=True)
    assert batch["_other"]["json"].tolist() == [" null "]


def test_a_tuple_of_fixed_length_has_a_column_for_each_place() -> None:
    batch = assemble(tuple[int, Inner], [b'[1,{"x":2,"y":3}]', b"[1]"])
    assert batch["value"]["f0"].tolist() == [1]
    assert batch["value"]["_extra"].tolist() == ['{"/1/y":3}']
    assert batch.dead_letters.num_rows == 1


def test_what_values_do_not_know_is_kept_under_its_path() -> None:
    batch = assemble(dict[str, Inner], [b'{"a/b":{"x":1,"y":2}}'])
    assert batch["value"]["_extra"].tolist() == ['{"/a~1b/y":2}']


@pytest.mark.parametrize(
    ("type_", "message", "reason"),
    [
        (dict[str, float], b"[1]", "no object"),
        (list[int], b'{"id":1}', "no array"),
        (list[int], b"pong", "a word"),
    ],
)
def test_a_message_of_another_kind_than_a_value(type_: Any, message: bytes, reason: str) -> None:
    batch = assemble(type_, [message], other=True)
    assert batch["_other"]["reason"].tolist() == [reason]


@pytest.mark.parametrize("type_", [Inner | KbChange, dict[int, 3], object()], ids=["union", "dict", "object"])
def test_what_msgspec_cannot_decode_is_an_error(type_: Any) -> None:
    with pytest.raises(UnsupportedFieldError):
        compile_plan(type_)


# -- what the compiled decoder is told -----------------------------------------------------------------------


def limits_of(annotation: Any) -> Any:
    return plan_of(annotation).limits


INT64 = (-(2**63), 2**63 - 1)


@pytest.mark.parametrize(
    ("annotation", "low", "high"),
    [
        (Annotated[int, msgspec.Meta(ge=0)], 0, INT64[1]),
        (Annotated[int, msgspec.Meta(gt=0)], 1, INT64[1]),
        (Annotated[int, msgspec.Meta(le=9)], INT64[0], 9),
        (Annotated[int, msgspec.Meta(lt=9)], INT64[0], 8),
        (Annotated[int, msgspec.Meta(ge=-3, lt=4)] | None, -3, 3),
        (Annotated[Annotated[int, msgspec.Meta(gt=-3)], msgspec.Meta(le=4)], -2, 4),
    ],
)
def test_limits_of_integers(annotation: Any, low: int, high: int) -> None:
    assert limits_of(annotation).integer == (low, high)


def test_limits_of_doubles_include_their_ends() -> None:
    assert limits_of(Annotated[float, msgspec.Meta(ge=0.5, le=1)]).number == (0.5, 1.0)
    above, below = limits_of(Annotated[float, msgspec.Meta(gt=0, lt=1)]).number
    assert (above, below) == (5e-324, 1 - 2**-53)


def test_limits_of_lengths() -> None:
    assert limits_of(Annotated[str, msgspec.Meta(min_length=1)]).length == (1, INT64[1])
    assert limits_of(Annotated[str, msgspec.Meta(max_length=4)] | None).length == (0, 4)
    assert limits_of(Annotated[list[str], msgspec.Meta(min_length=2, max_length=3)]).length == (2, 3)


@pytest.mark.parametrize("annotation", [int, float, str, list[str], UUIDStr, CategoryStr, bool, int | None])
def test_no_limits(annotation: Any) -> None:
    assert limits_of(annotation) is None


def left_to_msgspec(column: Column) -> bool:
    return column.always_fallback or any(map(left_to_msgspec, column.children))


@pytest.mark.parametrize(
    ("annotation", "judged"),
    [
        (int, False),
        (Annotated[int, msgspec.Meta(ge=0)], False),
        (Annotated[int, msgspec.Meta(multiple_of=2)], False),
        (Annotated[float, msgspec.Meta(multiple_of=0.5)] | None, True),
        (Annotated[str, msgspec.Meta(pattern="^a")], True),
        (Annotated[str, msgspec.Meta(max_length=3)], False),
        (Annotated[UUIDStr, msgspec.Meta(max_length=3)], True),
        (Annotated[list[str], msgspec.Meta(max_length=3)], False),
        (list[Annotated[str, msgspec.Meta(max_length=3)]], False),
        (set[str], False),
        (Annotated[set[str], msgspec.Meta(min_length=1, max_length=3)], False),
        (Annotated[set[str], msgspec.Meta(min_length=2)], True),
        (dict[str, Annotated[float, msgspec.Meta(multiple_of=2)]], True),
        (dict[Annotated[str, msgspec.Meta(max_length=3)], int], True),
        (Annotated[dict[str, int], msgspec.Meta(max_length=3)], False),
        (Annotated[datetime.time, msgspec.Meta(tz=True)], False),
        (list[Annotated[str, msgspec.Meta(pattern="a")]], True),
    ],
)
def test_what_only_msgspec_can_check_is_left_to_it(annotation: Any, judged: bool) -> None:
    struct = msgspec.defstruct("Sample", [("value", annotation)])
    [plan] = compile_plan(struct).tables[0].fields
    assert left_to_msgspec(plan) is judged


def test_a_hook_of_the_struct_is_left_to_msgspec() -> None:
    struct = msgspec.defstruct("Sample", [("value", int)], namespace={"__post_init__": lambda self: None})
    column = compile_plan(struct).tables[0].column
    assert column.always_fallback
    assert column.is_remade
    assert left_to_msgspec(plan_of(list[struct]))


@pytest.mark.parametrize(
    ("annotation", "default", "json"),
    [
        (int, 5, b"5"),
        (int, True, b"true"),  # which is no int: a dead letter
        (float, 0.1, b"0.1"),
        (float, 2, b"2"),
        (float, float("inf"), None),
        (float, float("nan"), None),
        (bool, False, b"false"),
        (str, 'a"é', '"a\\"é"'.encode()),
        (str, "\ud800", None),
        (UUIDStr, UUID_A, f'"{UUID_A}"'.encode()),
        (uuid.UUID, uuid.UUID(UUID_A), f'"{UUID_A}"'.encode()),
        (Colour, Colour.BLUE, b'"blue"'),
        (Literal["a", "b"], "b", b'"b"'),
        (int, None, None),
    ],
)
def test_defaults_as_json(annotation: Any, default: Any, json: bytes | None) -> None:
    plan = plan_of(annotation, default=default)
    assert plan.default_json == json
    assert not plan.required
    assert plan.default_is_null is (default is None)


def test_other_defaults() -> None:
    assert plan_of(int).required
    assert plan_of(list[str], default_factory=list).default_json == b"[]"
    plan = plan_of(int, default_factory=lambda: 5)
    assert (plan.required, plan.default_json, plan.default_is_null) == (False, None, False)


def test_words_that_a_type_names() -> None:
    assert plan_of(Literal["b", "a", None]).categories == ("a", "b")  # noqa: PYI061
    assert plan_of(Colour).categories == ("red", "blue")
    assert plan_of(Shade | None).categories == ("dark",)
    assert plan_of(CategoryStr).categories is None
    # msgspec does not check defaults.
    assert plan_of(Literal["a"], default="z").categories is None


def test_null_in_json_and_null_in_the_column() -> None:
    plan = plan_of(str, default=None)
    assert (plan.nullable, plan.accepts_null) == (True, False)
    plan = plan_of(str | None)
    assert (plan.nullable, plan.accepts_null) == (True, True)


def test_unknown_fields_are_kept_unless_forbidden() -> None:
    assert compile_plan(msgspec.defstruct("S", [])).tables[0].column.keeps_unknown
    assert (
        not compile_plan(msgspec.defstruct("S", [], forbid_unknown_fields=True))
        .tables[0]
        .column.keeps_unknown
    )
