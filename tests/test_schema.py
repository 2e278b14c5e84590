from __future__ import annotations

import datetime
import decimal
import enum
import uuid
from typing import Annotated, Any, Generic, Literal, TypeVar

import msgspec
import pytest
from sample_events import UUID_A, assemble

from rlfast._core.columns import ColumnKind
from rlfast.errors import RlfastError, UnsupportedFieldError
from rlfast.reasoning_layer._events import AgentEvent, KbChange, OversightAlert
from rlfast.schema._markers import CategoryStr, UUIDStr
from rlfast.schema._names import OwnNames
from rlfast.schema._plan import FieldPlan, compile_plan

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


def plan_of(annotation: Any, **field: Any) -> FieldPlan:
    """Plan of the one field, `value`, of a struct."""
    default = [msgspec.field(**field)] if field else []
    struct = msgspec.defstruct("Sample", [("value", annotation, *default)])
    [table] = compile_plan(struct).tables
    assert table.name == "Sample"
    [plan] = table.fields
    return plan


def column_of(plan: FieldPlan) -> tuple[str, str, ColumnKind, bool]:
    return plan.column, plan.attribute, plan.kind, plan.nullable


# -- the agent's events ----------------------------------------------------------------------------------

AGENT_PLAN = {
    "kb_change": [
        ("change_type", ColumnKind.DICT_UTF8, False),
        ("sort", ColumnKind.UTF8, False),
        ("term_id", ColumnKind.UUID, False),
    ],
    "hitl_request": [
        ("action_sort", ColumnKind.UTF8, False),
        ("confidence", ColumnKind.FLOAT64, False),
        ("deadline", ColumnKind.UTF8, True),
        ("review_id", ColumnKind.UUID, False),
    ],
    "cycle_complete": [
        ("actions_executed", ColumnKind.INT64, False),
        ("agent_id", ColumnKind.UUID, False),
        ("beliefs_updated", ColumnKind.INT64, False),
        ("pending_reviews", ColumnKind.LIST_UUID, False),
    ],
    "attention_shift": [
        ("from", ColumnKind.UUID, True),
        ("priority", ColumnKind.FLOAT64, False),
        ("to", ColumnKind.UUID, False),
    ],
    "goal_completed": [
        ("goal_id", ColumnKind.UUID, False),
        ("result", ColumnKind.UTF8, True),
        ("success", ColumnKind.BOOL, False),
    ],
    "impasse_detected": [
        ("blocked_goal", ColumnKind.UUID, False),
        ("impasse_type", ColumnKind.UTF8, False),
        ("recovery_suggestions", ColumnKind.LIST_UTF8, False),
    ],
    "connected": [("agent_id", ColumnKind.UUID, False), ("timestamp", ColumnKind.UTF8, False)],
    "heartbeat": [("timestamp", ColumnKind.UTF8, False)],
    "error": [("code", ColumnKind.UTF8, False), ("message", ColumnKind.UTF8, False)],
}


def test_plan_of_the_agent_events() -> None:
    plan = compile_plan(AgentEvent)
    assert plan.type is AgentEvent
    assert plan.tag_field == "type"
    tables = {
        table.name: [(field.column, field.kind, field.nullable) for field in table.fields]
        for table in plan.tables
    }
    assert tables == AGENT_PLAN
    assert {table.struct.__name__ for table in plan.tables} >= {"KbChange", "ErrorEvent"}


def test_renamed_field_keeps_its_attribute() -> None:
    [shift] = [table for table in compile_plan(AgentEvent).tables if table.name == "attention_shift"]
    assert (shift.fields[0].column, shift.fields[0].attribute) == ("from", "from_")


def test_single_tagged_struct_is_named_by_its_tag() -> None:
    plan = compile_plan(KbChange)
    assert plan.tag_field == "type"
    assert [table.name for table in plan.tables] == ["kb_change"]


def test_struct_without_tag_is_named_by_its_class() -> None:
    plan = compile_plan(OversightAlert)
    assert plan.tag_field is None
    assert [table.name for table in plan.tables] == ["OversightAlert"]
    assert {field.column: (field.kind, field.nullable) for field in plan.tables[0].fields} == {
        "agent_id": (ColumnKind.UTF8, True),
        "layer": (ColumnKind.UTF8, False),
        "message": (ColumnKind.UTF8, False),
        "severity": (ColumnKind.DICT_UTF8, False),
        "step_index": (ColumnKind.INT64, False),
    }


def test_integer_tags_become_names() -> None:
    one = msgspec.defstruct("One", [("x", int)], tag_field="op", tag=1)
    two = msgspec.defstruct("Two", [("x", int)], tag_field="op", tag=2)
    plan = compile_plan(one | two)
    assert (plan.tag_field, {table.name for table in plan.tables}) == ("op", {"1", "2"})


# -- supported types -------------------------------------------------------------------------------------

SUPPORTED = [
    (int, ColumnKind.INT64),
    (float, ColumnKind.FLOAT64),
    (bool, ColumnKind.BOOL),
    (str, ColumnKind.UTF8),
    (UUIDStr, ColumnKind.UUID),
    (uuid.UUID, ColumnKind.UUID),
    (Literal["a"], ColumnKind.DICT_UTF8),
    (Literal["a", "b"], ColumnKind.DICT_UTF8),
    (Colour, ColumnKind.DICT_UTF8),
    (Shade, ColumnKind.DICT_UTF8),
    (CategoryStr, ColumnKind.DICT_UTF8),
    (list[str], ColumnKind.LIST_UTF8),
    (list[UUIDStr], ColumnKind.LIST_UUID),
    (list[uuid.UUID], ColumnKind.LIST_UUID),
    (Annotated[int, msgspec.Meta(ge=0, le=10)], ColumnKind.INT64),
    (Annotated[str, msgspec.Meta(max_length=10, description="short")], ColumnKind.UTF8),
    (Annotated[UUIDStr, msgspec.Meta(description="the id")], ColumnKind.UUID),
    (Annotated[list[str], msgspec.Meta(title="words")], ColumnKind.LIST_UTF8),
    (Annotated[list[UUIDStr], msgspec.Meta(title="ids")], ColumnKind.LIST_UUID),
    (Annotated[Colour, msgspec.Meta(title="colour")], ColumnKind.DICT_UTF8),
    (list[Annotated[str, msgspec.Meta(min_length=1)]], ColumnKind.LIST_UTF8),
    (Annotated[str, msgspec.Meta(extra={"other": "uuid"})], ColumnKind.UTF8),
]


@pytest.mark.parametrize(("annotation", "kind"), SUPPORTED)
def test_supported_type(annotation: Any, kind: ColumnKind) -> None:
    assert column_of(plan_of(annotation)) == ("value", "value", kind, False)
    assert column_of(plan_of(annotation | None)) == ("value", "value", kind, True)
    assert column_of(plan_of(annotation | None, default=None)) == ("value", "value", kind, True)
    assert plan_of(Annotated[annotation | None, msgspec.Meta(title="t")]).kind == kind
    assert plan_of(Annotated[annotation | None, msgspec.Meta(title="t")]).nullable


@pytest.mark.parametrize(
    ("annotation", "kind"),
    [
        (Annotated[str | None, msgspec.Meta(extra={"rlfast": "uuid"})], ColumnKind.UUID),
        (Annotated[str | None, msgspec.Meta(extra={"rlfast": "category"})], ColumnKind.DICT_UTF8),
        (Literal["a", None], ColumnKind.DICT_UTF8),  # noqa: PYI061
    ],
)
def test_optional_inside_an_annotation(annotation: Any, kind: ColumnKind) -> None:
    assert column_of(plan_of(annotation)) == ("value", "value", kind, True)


def test_default_none_makes_a_field_nullable_whatever_its_type_says() -> None:
    assert plan_of(int, default=None).nullable
    assert not plan_of(int, default=5).nullable
    assert not plan_of(list[str], default_factory=list).nullable


def test_names_in_json_are_the_column_names() -> None:
    assert column_of(plan_of(int, name="the value")) == ("the value", "value", ColumnKind.INT64, False)
    struct = msgspec.defstruct("Sample", [("two_words", int)], rename="camel")
    plan = compile_plan(struct).tables[0].fields[0]
    assert column_of(plan) == ("twoWords", "two_words", ColumnKind.INT64, False)


def test_reserved_name_is_fine_as_an_attribute() -> None:
    assert plan_of(int, name="sequence").column == "sequence"
    struct = msgspec.defstruct("Sample", [("seq", int, msgspec.field(name="number"))])
    assert compile_plan(struct).tables[0].fields[0].column == "number"


def test_subclass_of_a_generic_struct_is_supported() -> None:
    class Box(msgspec.Struct, Generic[T]):
        item: T

    class IntBox(Box[int]):
        pass

    assert compile_plan(IntBox).tables[0].fields[0].kind == ColumnKind.INT64


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


# -- unsupported types -----------------------------------------------------------------------------------

UNSUPPORTED = [
    dict[str, int],
    Inner,
    Inner | None,
    bytes,
    datetime.datetime,
    datetime.date,
    decimal.Decimal,
    int | str,
    int | str | None,
    list[int],
    list[list[str]],
    list[str | None],
    list[Literal["a"]],
    list[Inner],
    tuple[str, ...],
    set[str],
    Any,
    list,
    Literal[1, 2],
    Literal["a", 1],
    Literal[None],  # noqa: PYI061
    Level,
    None,
    msgspec.Raw,
]


@pytest.mark.parametrize("annotation", UNSUPPORTED, ids=str)
def test_unsupported_type_is_an_error_that_names_the_field(annotation: Any) -> None:
    with pytest.raises(UnsupportedFieldError, match=r"^Sample\.value: .* no column type"):
        plan_of(annotation)


def test_error_text_says_what_is_supported() -> None:
    with pytest.raises(UnsupportedFieldError) as caught:
        plan_of(dict[str, int])
    assert str(caught.value) == (
        "Sample.value: dict has no column type; supported are int, float, bool, str, UUID, "
        "Literal or Enum of texts, lists of str or UUID, and Optional of these"
    )
    assert isinstance(caught.value, RlfastError)
    assert isinstance(caught.value, TypeError)


def test_field_that_may_be_unset_is_an_error_that_names_it() -> None:
    struct = msgspec.defstruct("Sample", [("value", int | msgspec.UnsetType, msgspec.UNSET)])
    with pytest.raises(UnsupportedFieldError, match=r"^Sample\.value: UNSET has no column value"):
        compile_plan(struct)


@pytest.mark.parametrize("name", ["seq", "epoch", "received_at", "_extra", "stream", "type"])
def test_a_field_keeps_a_name_that_rlfast_uses(name: str) -> None:
    assert plan_of(int, name=name).column == name


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


def test_array_like_struct_is_an_error() -> None:
    struct = msgspec.defstruct("Row", [("x", int)], array_like=True)
    with pytest.raises(UnsupportedFieldError, match="Row is array_like"):
        compile_plan(struct)


def test_generic_struct_with_arguments_is_an_error() -> None:
    class Box(msgspec.Struct, Generic[T]):
        item: T

    with pytest.raises(UnsupportedFieldError, match="generic struct"):
        compile_plan(Box[int])
    with pytest.raises(UnsupportedFieldError, match=r"^Box\.item: any has no column type"):
        compile_plan(Box)


@pytest.mark.parametrize(
    "type_", [int, str, dict, list[KbChange], KbChange | None, dict[str, Any], Any, int | str]
)
def test_what_is_no_struct_is_an_error(type_: Any) -> None:
    with pytest.raises(UnsupportedFieldError, match="batch mode needs a msgspec.Struct"):
        compile_plan(type_)


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


@pytest.mark.parametrize(
    ("annotation", "judged"),
    [
        (int, False),
        (Annotated[int, msgspec.Meta(ge=0)], False),
        (Annotated[int, msgspec.Meta(multiple_of=2)], True),
        (Annotated[float, msgspec.Meta(multiple_of=0.5)] | None, True),
        (Annotated[str, msgspec.Meta(pattern="^a")], True),
        (Annotated[str, msgspec.Meta(max_length=3)], False),
        (Annotated[UUIDStr, msgspec.Meta(max_length=3)], True),
        (Annotated[list[str], msgspec.Meta(max_length=3)], False),
        (list[Annotated[str, msgspec.Meta(max_length=3)]], True),
        (list[Annotated[str, msgspec.Meta(pattern="a")]], True),
    ],
)
def test_what_only_msgspec_can_check_is_left_to_it(annotation: Any, judged: bool) -> None:
    struct = msgspec.defstruct("Sample", [("value", annotation)])
    assert compile_plan(struct).tables[0].always_fallback is judged


def test_a_hook_of_the_struct_is_left_to_msgspec() -> None:
    struct = msgspec.defstruct("Sample", [("value", int)], namespace={"__post_init__": lambda self: None})
    assert compile_plan(struct).tables[0].always_fallback


@pytest.mark.parametrize(
    ("annotation", "default", "json"),
    [
        (int, 5, b"5"),
        (int, True, None),
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
    assert compile_plan(msgspec.defstruct("S", [])).tables[0].keeps_unknown
    assert not compile_plan(msgspec.defstruct("S", [], forbid_unknown_fields=True)).tables[0].keeps_unknown
