from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import astuple

from rlfast.schema._names import TYPE_KEYS, OwnNames, distinct_names, own_names

#: Names that meet those of rlfast, and each other, in every way.
NAMES = st.lists(
    st.sampled_from(
        [
            "seq",
            "SEQ",
            "Type",
            "type",
            "_extra",
            "rlfast_seq",
            "rlfast_seq_1",
            "RLFAST_type",
            "t",
            "T",
            "t_1",
            "T_1",
        ]
    )
    | st.text(min_size=1, max_size=3),
    unique=True,
)


def test_names_of_json_stay_and_ours_step_aside() -> None:
    assert own_names([]) == own_names(["price", "sequence"]) == OwnNames()
    names = own_names(["seq", "Received_At", "_extra", "type", "date"])
    assert names == OwnNames(
        seq="rlfast_seq",
        received_at="rlfast_received_at",
        extra="rlfast_extra",
        type="rlfast_type",
        date="rlfast_date",
    )
    assert own_names(["seq", "rlfast_seq"]).seq == "rlfast_seq_1"
    assert (own_names([]).type, names.type) == TYPE_KEYS


@given(NAMES)
def test_no_name_of_ours_is_that_of_a_field(fields: list[str]) -> None:
    for splits in (False, True):
        names = own_names(fields, splits=splits)
        ours = [name.lower() for name in astuple(names) if name is not None]
        assert (names.item is not None) == splits
        assert len(set(ours)) == len(ours)
        assert not set(ours) & {field.lower() for field in fields}


def test_the_later_of_two_names_that_differ_in_case_gets_a_number() -> None:
    assert distinct_names(["t", "T", "p"]) == ["t", "T_1", "p"]
    assert distinct_names(["T", "t", "T_1", "tt"]) == ["T", "t_2", "T_1", "tt"]
    assert distinct_names(["", "_1", "a"]) == ["_2", "_1", "a"]


@given(NAMES)
def test_distinct_names_are_distinct_in_any_case(names: list[str]) -> None:
    found = distinct_names(names)
    assert len({name.lower() for name in found}) == len(names)
    assert all(
        new == old or re.fullmatch(re.escape(old) + r"_\d+", new)
        for old, new in zip(names, found, strict=True)
    )
    # Who does not meet another name keeps the own one.
    lower = [name.lower() for name in names]
    assert all(new == old for old, new in zip(names, found, strict=True) if lower.count(old.lower()) == 1)
