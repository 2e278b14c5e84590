"""Files whose row groups were encoded one by one, against those that pyarrow writes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from xxhash import xxh3_64

import rlfast.sinks.parquet._file as parquet_module
from rlfast.sinks.parquet._column_types import as_written
from rlfast.sinks.parquet._file import ParquetFile
from rlfast.sinks.parquet._options import ParquetOptions
from rlfast.sinks.parquet._thrift import BINARY, Struct, read_struct, write_struct

OPTIONS = ParquetOptions()


def footer_of(file: bytes) -> tuple[bytes, bytes]:
    """What is in front of the footer, and the footer."""
    assert file[:4] == file[-4:] == b"PAR1"
    size = int.from_bytes(file[-8:-4], "little")
    return file[: -8 - size], file[-8 - size : -8]


def parsed(footer: bytes) -> Struct:
    """A footer with its metadata in order of the keys: pyarrow's order is that of a hash table."""
    fields, end = read_struct(footer)
    assert end == len(footer)
    kind, (of, pairs) = fields[5]
    fields[5] = kind, (of, sorted(pairs, key=lambda pair: pair[1][1]))
    return fields


def batches(count: int, rows: int, width: int) -> list[pa.RecordBatch]:
    out = []
    for i in range(count):
        seqs = list(range(i * rows, (i + 1) * rows))
        columns: dict[str, Any] = {
            "seq": pa.array(seqs, pa.int64()),
            "received_at": pa.array([10**18 + 1000 * seq for seq in seqs], pa.timestamp("ns", "UTC")),
            "stream": pa.array(["s"] * rows).dictionary_encode(),
            "id": pa.array([f"id-{seq * 7919}" for seq in seqs]),
            "none": pa.nulls(rows, pa.utf8()),
            "tags": pa.array([[f"t{seq % 5}"] * (seq % 4) for seq in seqs]),
            "inside": pa.array(
                [{"a": seq % 2 == 0, "b": {"c": seq / 3}} if seq % 9 else None for seq in seqs]
            ),
        }
        # More than the 15 columns, and numbers of rows, that fit into one byte of the protocol.
        columns |= {f"c{j}": pa.array([seq % (j + 1) for seq in seqs]) for j in range(width)}
        out.append(pa.RecordBatch.from_pydict(columns))
    return out


@pytest.mark.parametrize(("count", "rows", "width"), [(1, 1, 0), (1, 5000, 40), (3, 700, 3), (20, 40, 1)])
@pytest.mark.parametrize("threads", [1, 4])
def test_the_file_is_the_one_that_pyarrow_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, rows: int, width: int, threads: int
) -> None:
    monkeypatch.setattr(parquet_module, "ROW_GROUP_ROWS", rows)
    parts = batches(count, rows, width)
    with ThreadPoolExecutor(threads) as encoders:
        file = ParquetFile(tmp_path / "a.parquet", OPTIONS, encoders)
        for batch in parts:
            file.add(batch, batch.nbytes)
        assert (file.pending_bytes, file.encoding_bytes > 0) == (0, True)
        file.close({"key": "value"})
    assert file.temporary is not None
    found = file.temporary.read_bytes()
    file.sync()
    assert (file.written_bytes, file.checksum) == (len(found), xxh3_64(found).hexdigest())
    assert (file.encoding_bytes, file.flushed_bytes) == (0, sum(batch.nbytes for batch in parts))

    tables = [as_written(pa.Table.from_batches([batch]), OPTIONS) for batch in parts]
    out = pa.BufferOutputStream()
    settings = parquet_module._writer_settings(tables[0], OPTIONS)
    with pq.ParquetWriter(out, tables[0].schema, **settings) as writer:
        for table in tables:
            writer.write_table(table)
        writer.add_key_value_metadata({"key": "value", "rlfast.uuid": "text"})
    pages, footer = footer_of(out.getvalue().to_pybytes())
    assert footer_of(found)[0] == pages
    assert parsed(footer_of(found)[1]) == parsed(footer)
    assert pq.read_table(file.temporary).equals(pa.concat_tables(tables))


def test_what_cannot_be_encoded_is_raised_and_leaves_no_file(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as encoders:
        file = ParquetFile(tmp_path / "a.parquet", OPTIONS, encoders)
        # Parquet has no such type.
        file.add(pa.RecordBatch.from_pydict({"x": pa.nulls(1, pa.month_day_nano_interval())}), 16)
        with pytest.raises(pa.ArrowNotImplementedError):
            file.close({})
        file.discard()
    assert list(tmp_path.iterdir()) == []


def structs(values: st.SearchStrategy[tuple[int, Any]]) -> st.SearchStrategy[Struct]:
    return st.dictionaries(st.integers(1, 2**15 - 1), values, max_size=5)


INTS = st.integers(-(2**63), 2**63 - 1)
VALUES: st.SearchStrategy[tuple[int, Any]] = st.recursive(
    st.one_of(
        st.sampled_from([(1, 1), (2, 2)]),
        st.tuples(st.just(3), st.binary(min_size=1, max_size=1)),
        st.tuples(st.sampled_from([4, 5, 6]), INTS),
        st.tuples(st.just(7), st.binary(min_size=8, max_size=8)),
        st.tuples(st.just(BINARY), st.binary(max_size=200)),
        st.tuples(st.sampled_from([9, 10]), st.tuples(st.just(6), st.lists(INTS, max_size=20))),
    ),
    lambda inner: st.one_of(
        st.tuples(st.just(12), structs(inner)),
        st.tuples(st.just(9), st.tuples(st.just(12), st.lists(structs(inner), max_size=20))),
    ),
    max_leaves=10,
)


@given(structs(VALUES))
def test_a_struct_is_read_as_it_was_written(fields: Struct) -> None:
    out = bytearray(b"before")
    write_struct(out, fields)
    assert read_struct(bytes(out) + b"behind", 6) == (fields, len(out))
