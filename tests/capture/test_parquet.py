"""The files, read by three libraries."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any, Literal

import duckdb
import msgspec
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sample_events import EVENTS, PAYLOADS, UUID_A, UUID_B

from rlfast import CategoryStr, UUIDStr, __version__
from rlfast.sinks import ParquetOptions
from rlfast.sinks.parquet import _file as parquet_module
from rlfast.sinks.parquet._layout import final_name
from rlfast.sinks.parquet._rows import RowMaker

from .helpers import STREAM, DatasetWriter, add, batch_of, dead_letters, rows, sent, stored, write

NAME = final_name(STREAM, 0)


class Everything(msgspec.Struct, tag_field="type", tag="all/things"):
    word: Literal["a", "b", "c"]
    category: CategoryStr
    ids: list[UUIDStr] | None
    maybe: UUIDStr | None
    number: int
    real: float
    flag: bool
    texts: list[str]


def everything(i: int) -> dict[str, Any]:
    return {
        "type": "all/things",
        "word": "abc"[i % 3],
        "category": f"c{i % 4}",
        "ids": None if i % 5 == 0 else [str(uuid.UUID(int=i * 7 + k)) for k in range(i % 3)],
        "maybe": None if i % 2 else str(uuid.UUID(int=2**128 - 1 - i)),
        "number": i - 3,
        "real": i / 7,
        "flag": i % 3 == 0,
        "texts": ["ü" * (i % 3)] * (i % 2),
    }


def test_every_event_type_comes_back(tmp_path: Path) -> None:
    write(tmp_path, PAYLOADS)
    assert stored(tmp_path) == sent(PAYLOADS)


def test_the_columns_in_order(tmp_path: Path) -> None:
    write(tmp_path, PAYLOADS, first_seq=100)
    schema = pq.read_schema(tmp_path / "type=kb_change" / final_name(STREAM, 100))
    text = pa.dictionary(pa.int32(), pa.utf8())
    assert schema.remove_metadata() == pa.schema(
        [
            pa.field("seq", pa.int64(), nullable=False),
            pa.field("epoch", pa.int64(), nullable=False),
            pa.field("received_at", pa.timestamp("us", "UTC"), nullable=False),
            pa.field("stream", text, nullable=False),
            pa.field("change_type", text),
            pa.field("sort", pa.utf8()),
            pa.field("term_id", pa.utf8()),
            pa.field("_extra", pa.json_(pa.utf8())),
        ]
    )


def test_binary_uuids_have_the_logical_type_and_three_readers_know_it(tmp_path: Path) -> None:
    write(tmp_path, PAYLOADS, options=ParquetOptions(uuid="binary"))
    path = tmp_path / "type=kb_change" / NAME
    column = pq.ParquetFile(path).schema.column(6)
    assert (column.name, column.physical_type, column.length) == ("term_id", "FIXED_LEN_BYTE_ARRAY", 16)
    assert column.logical_type.type == "UUID"
    assert pq.ParquetFile(path).read()["term_id"].to_pylist() == [uuid.UUID(UUID_A)]
    assert duckdb.sql(f"select typeof(term_id), term_id from '{path}'").fetchall() == [
        ("UUID", uuid.UUID(UUID_A))
    ]
    assert pl.read_parquet(path)["term_id"].to_list() == [uuid.UUID(UUID_A).bytes]


def test_lists_of_binary_uuids(tmp_path: Path) -> None:
    write(tmp_path, PAYLOADS, options=ParquetOptions(uuid="binary"))
    path = tmp_path / "type=cycle_complete" / NAME
    reviews = [uuid.UUID(UUID_A), uuid.UUID(UUID_B)]
    assert pq.ParquetFile(path).read()["pending_reviews"].to_pylist() == [reviews]
    assert duckdb.sql(f"select typeof(pending_reviews), pending_reviews from '{path}'").fetchall() == [
        ("UUID[]", reviews)
    ]
    assert pl.read_parquet(path)["pending_reviews"].to_list() == [[review.bytes for review in reviews]]


def test_the_whole_data_set_in_one_query(tmp_path: Path) -> None:
    write(tmp_path, PAYLOADS)
    source = f"read_parquet('{tmp_path}/type=*/*.parquet', union_by_name=true)"
    counts = dict(duckdb.sql(f"select type, count(*) from {source} group by 1").fetchall())
    assert sum(counts.values()) == len(EVENTS)
    assert counts["attention_shift"] == 2
    scan = pl.scan_parquet(f"{tmp_path}/type=attention_shift/*.parquet", hive_partitioning=True)
    assert scan.select("seq", "type").collect().rows() == [(4, "attention_shift"), (5, "attention_shift")]


@pytest.mark.parametrize("uuid_format", ["binary", "text"])
def test_every_kind_of_column_with_nulls(tmp_path: Path, uuid_format: Literal["binary", "text"]) -> None:
    payloads = [json.dumps(everything(i)).encode() for i in range(1000)]
    write(tmp_path, payloads, type_=Everything, options=ParquetOptions(uuid=uuid_format))
    folder = tmp_path / "type=all%2Fthings"
    assert folder.is_dir()
    found = rows(tmp_path)
    for i, expected in enumerate(sent(payloads)):
        assert found[i] == {**expected, "type": "all%2Fthings"}
    schema = pq.read_schema(folder / NAME)
    id_type = pa.uuid() if uuid_format == "binary" else pa.utf8()
    assert schema.field("maybe").type == id_type
    assert schema.field("ids").type.value_type == id_type
    typed = duckdb.sql(
        f"select maybe::varchar, ids::varchar[], word, type from '{folder}/*.parquet' order by seq"
    )
    for i, row in enumerate(typed.fetchall()):
        event = everything(i)
        assert row == (event["maybe"], event["ids"], event["word"], "all/things")


def test_text_uuids_of_a_part_of_a_batch(tmp_path: Path) -> None:
    payloads = [json.dumps(everything(i)).encode() for i in range(20)]
    writer = DatasetWriter(tmp_path, STREAM)
    batch = batch_of(payloads, type_=Everything)
    # Cut at its end, and then at its beginning.
    writer.add(RowMaker(STREAM).make(batch, 12))
    writer.add(RowMaker(STREAM).make(batch, 17, 13))
    writer.commit()
    expected = sent(payloads[:18])
    assert {seq: {**row, "type": "all/things"} for seq, row in rows(tmp_path).items()} == dict(
        enumerate(expected)
    )


def test_untyped_messages_are_json_text(tmp_path: Path) -> None:
    payloads = [b'{"a": 1.50}', b"[]", b'"x"']
    write(tmp_path, payloads, type_=None)
    table = pl.read_parquet(tmp_path / "type=message" / NAME)
    assert table["json"].to_list() == [payload.decode() for payload in payloads]


def test_dead_letters_keep_reason_and_bytes(tmp_path: Path) -> None:
    bad = [b"{", b'{"type":"new_kind"}', b'{"type":"heartbeat"}', b'{"type":"heartbeat","timestamp":"\xff"}']
    write(tmp_path, [*PAYLOADS, *bad])
    found = dead_letters(tmp_path)
    assert [row["raw"] for row in found] == bad
    assert [row["seq"] for row in found] == list(range(len(PAYLOADS), len(PAYLOADS) + 4))
    assert [row["reason"] for row in found] == [
        "malformed_json",
        "unknown_type",
        "schema_mismatch",
        "invalid_utf8",
    ]
    assert {row["stream"] for row in found} == {STREAM}
    assert len(rows(tmp_path)) == len(EVENTS)


def test_a_type_that_is_called_like_the_dead_letters_is_kept_apart(tmp_path: Path) -> None:
    class Odd(msgspec.Struct, tag_field="type", tag="_dead_letters"):
        n: int

    write(tmp_path, [b'{"type":"_dead_letters","n":1}', b"{"], type_=Odd)
    assert rows(tmp_path) == {0: {"type": "_dead_letters", "n": 1}}
    assert [row["seq"] for row in dead_letters(tmp_path)] == [1]


def test_encodings_and_statistics_are_where_they_pay(tmp_path: Path) -> None:
    write(tmp_path, PAYLOADS * 50)
    footer = pq.read_metadata(tmp_path / "type=hitl_request" / NAME)
    group = footer.row_group(0)
    columns = {group.column(i).path_in_schema: group.column(i) for i in range(group.num_columns)}
    for name in ("seq", "epoch", "received_at"):
        assert "DELTA_BINARY_PACKED" in columns[name].encodings
        assert columns[name].is_stats_set
    for name in ("stream", "action_sort", "deadline", "review_id"):
        assert columns[name].has_dictionary_page
        assert columns[name].is_stats_set == (name == "stream")
    assert (columns["stream"].statistics.min, columns["stream"].statistics.max) == (STREAM, STREAM)
    assert not columns["confidence"].has_dictionary_page
    assert columns["confidence"].is_stats_set
    assert {column.compression for column in columns.values()} == {"ZSTD"}


@pytest.mark.parametrize(("distinct", "is_dictionary"), [(1, True), (50, True), (51, False), (100, False)])
def test_text_has_a_dictionary_where_it_repeats(tmp_path: Path, distinct: int, is_dictionary: bool) -> None:
    ids = [str(uuid.UUID(int=i % distinct)) for i in range(100)]
    payloads = [
        json.dumps({**everything(1), "maybe": id_, "ids": [id_], "texts": [id_, id_]}).encode() for id_ in ids
    ]
    write(tmp_path, payloads, type_=Everything)
    group = pq.read_metadata(tmp_path / "type=all%2Fthings" / NAME).row_group(0)
    columns = {group.column(i).path_in_schema: group.column(i) for i in range(group.num_columns)}
    for name in ("maybe", "ids.list.element"):
        assert columns[name].has_dictionary_page == is_dictionary
        assert ("DELTA_LENGTH_BYTE_ARRAY" in columns[name].encodings) == (not is_dictionary)
    # Each of them twice.
    assert columns["texts.list.element"].has_dictionary_page


@pytest.mark.parametrize(("compression", "codec"), [("lz4", "LZ4"), ("none", "UNCOMPRESSED")])
def test_the_codec_is_the_one_asked_for(
    tmp_path: Path, compression: Literal["lz4", "none"], codec: str
) -> None:
    write(tmp_path, PAYLOADS, options=ParquetOptions(compression=compression))
    path = tmp_path / "type=kb_change" / NAME
    assert pq.read_metadata(path).row_group(0).column(0).compression == codec
    assert duckdb.sql(f"select sort from '{path}'").fetchall() == [("person",)]
    assert pl.read_parquet(path)["sort"].to_list() == ["person"]


def test_the_footer_names_stream_and_span(tmp_path: Path) -> None:
    write(tmp_path, PAYLOADS, first_seq=7)
    metadata = pq.read_metadata(tmp_path / "type=kb_change" / final_name(STREAM, 7)).metadata
    assert metadata[b"rlfast.stream"] == STREAM.encode()
    assert (metadata[b"rlfast.first_seq"], metadata[b"rlfast.last_seq"]) == (b"7", b"17")
    assert metadata[b"rlfast.version"] == __version__.encode()


def test_row_groups_hold_several_batches_and_one_dictionary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_module, "ROW_GROUP_ROWS", 250)
    writer = DatasetWriter(tmp_path, STREAM)
    payloads = [json.dumps(everything(i)).encode() for i in range(1000)]
    # Each batch meets the words in another order, so each has a dictionary of its own.
    for start in range(0, 1000, 100):
        batch = batch_of(payloads[start : start + 100], start, Everything)
        add(writer, batch)
    writer.commit()
    path = tmp_path / "type=all%2Fthings" / NAME
    footer = pq.read_metadata(path)
    assert [footer.row_group(i).num_rows for i in range(footer.num_row_groups)] == [300, 300, 300, 100]
    names = [footer.schema.column(i).path for i in range(footer.num_columns)]
    for i in range(footer.num_row_groups):
        assert "PLAIN_DICTIONARY" in footer.row_group(i).column(names.index("word")).encodings or (
            "RLE_DICTIONARY" in footer.row_group(i).column(names.index("word")).encodings
        )
    words = duckdb.sql(f"select word from '{path}' order by seq").fetchall()
    assert [word for (word,) in words] == [everything(i)["word"] for i in range(1000)]


def test_text_has_one_type_in_all_files_whatever_form_a_batch_gave_it(tmp_path: Path) -> None:
    """Few distinct texts in one batch, many in the next; in one row group, and in files of their own."""

    def heartbeats(texts: list[str]) -> list[bytes]:
        return [b'{"type":"heartbeat","timestamp":"%s"}' % text.encode() for text in texts]

    few, many = ["noon"] * 50, [f"t{i}" for i in range(50)]
    writer = DatasetWriter(tmp_path, STREAM)
    seq = 0
    for segment in ((few, many, few), (many,), (few,)):
        for texts in segment:
            batch = batch_of(heartbeats(texts), seq)
            form = pa.record_batch(batch["heartbeat"]).column("timestamp").type
            assert pa.types.is_dictionary(form) == (texts is few)
            add(writer, batch)
            seq += len(texts)
        writer.commit()
    folder = tmp_path / "type=heartbeat"
    files = sorted(folder.iterdir())
    assert len(files) == 3
    assert {pq.read_schema(file).field("timestamp").type for file in files} == {pa.utf8()}
    assert pq.read_table(folder, partitioning=None)["timestamp"].to_pylist() == [
        *few,
        *many,
        *few,
        *many,
        *few,
    ]
