# cython: language_level=3
"""One execution of the fuzzer: messages through the compiled decoder, and against msgspec.

The first byte of an input picks the type and the kernel; the rest is one to four messages, parted by 0x1E. Each
is copied into a block of exactly its size, so that AddressSanitizer sees a read one byte too far, and decoded to
a row and to a struct, or, with no type, to plain values. A message behind
0x1D and a byte n stands n + 1 times in its block, so that columns grow while the kernel runs.
"""

import sys
import traceback

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport abort, free, malloc
from libc.string cimport memchr, memcmp, memcpy, memset

from rlfast._core.block cimport ReadStamp
from rlfast._core.columns cimport (
    RL_BITS, RL_BYTES, RL_CHILDREN, RL_DICTIONARY, RL_OFFSETS, RL_PLAIN, Column, ColumnBuilder,
)
from rlfast._core.objects cimport ObjectDecoder
from rlfast._core.plan cimport CompiledPlan, KernelEntry, Run, rl_kernels
from rlfast._core.structs cimport StructDecoder
from rlfast._core.tables cimport TableBuilder
from rlfast._core.values cimport ValueDecoder

import msgspec

from fuzz.schemas import SCHEMAS
from rlfast.decode._assembler import BatchAssembler
from rlfast.schema._decoding import Decoding
from rlfast.schema._slots import struct_decoder

cdef extern from *:
    int LLVMFuzzerRunDriver(int* argc, char*** argv, int (*callback)(const uint8_t*, size_t) noexcept)

cdef enum:
    SEPARATOR = 0x1E
    REPEAT = 0x1D
    MAX_REPEATS = 256
    MAX_MESSAGES = 4

cdef class Pair:
    """A type's tables, and its structs or plain values, made by the compiled plan and by msgspec."""
    cdef CompiledPlan plan
    cdef list fast
    cdef list slow
    cdef object decode
    cdef object split
    cdef dict tables
    cdef ObjectDecoder objects      # None where all is msgspec's
    cdef object decode_object

    def __init__(self, type_):
        self.objects = ValueDecoder() if type_ is None else struct_decoder(type_)
        decoding = Decoding.of(type_)
        self.decode_object = (msgspec.json.Decoder() if type_ is None else decoding.decoder(decoding.type)).decode
        fast, slow = BatchAssembler(type_), BatchAssembler(type_, None)
        self.plan = fast.decoder.plan
        self.fast = fast._builders
        self.slow = slow._builders
        self.decode = slow.decoder.decode
        self.split = slow.decoder.split
        self.tables = {row: slow._builders.index(table) for row, table in slow.decoder.tables.items()}

cdef list PAIRS = [Pair(type_) for type_ in SCHEMAS]
cdef uint64_t taken = 0
cdef uint64_t messages = 0
cdef uint64_t objects = 0


cdef int _fail(str what, bytes payload, Pair pair, const KernelEntry* kernel) except -1:
    sys.stderr.write(
        f"\n{what}\n  payload {payload!r}\n  type {SCHEMAS[PAIRS.index(pair)]!r}\n"
        f"  kernel {(<bytes>kernel.name).decode()}\n")
    sys.stderr.flush()
    abort()
    return 0


cdef bint _same_text(const uint8_t* a, int32_t n, const uint8_t* b, int32_t m) noexcept:
    return n == m and (n == 0 or memcmp(a, b, <size_t>n) == 0)


cdef int _text(const Column* c, int64_t row, const uint8_t** text) noexcept:
    cdef const int32_t* ends
    if c.encoding == RL_PLAIN:
        ends = <const int32_t*>c.offsets.data
        text[0] = c.data.data + ends[row]
    else:
        row = (<const int32_t*>c.data.data)[row]
        ends = <const int32_t*>c.strings.offsets.data
        text[0] = c.strings.data.data + ends[row]
    return ends[row + 1] - ends[row]


cdef bint _is_null(const Column* c, int64_t row) noexcept:
    # Nulls at the end of a struct's field may be missing.
    return row >= c.length or (c.validity.data != NULL and not (c.validity.data[row >> 3] >> (row & 7)) & 1)


cdef bint _same_value(const Column* a, int64_t i, const Column* b, int64_t j) noexcept:
    cdef const uint8_t* text_a
    cdef const uint8_t* text_b
    cdef const int32_t* ends_a
    cdef const int32_t* ends_b
    cdef int32_t n, m, k
    cdef uint32_t child
    if _is_null(a, i) or _is_null(b, j):
        return _is_null(a, i) and _is_null(b, j)
    # A text column may have become a dictionary in one table only.
    if a.layout == RL_BYTES or a.layout == RL_DICTIONARY:
        n, m = _text(a, i, &text_a), _text(b, j, &text_b)
        return _same_text(text_a, n, text_b, m)
    if a.layout == RL_BITS:
        return (a.data.data[i >> 3] >> (i & 7)) & 1 == (b.data.data[j >> 3] >> (j & 7)) & 1
    if a.layout == RL_OFFSETS:
        ends_a = <const int32_t*>a.offsets.data + i
        ends_b = <const int32_t*>b.offsets.data + j
        n = ends_a[1] - ends_a[0]
        if n != ends_b[1] - ends_b[0] or ends_a[1] > a.children[0].length:
            return False
        for k in range(n):
            if not _same_value(a.children[0], ends_a[0] + k, b.children[0], ends_b[0] + k):
                return False
        return True
    if a.layout == RL_CHILDREN:
        for child in range(a.n_children):
            if not _same_value(a.children[child], i, b.children[child], j):
                return False
        return True
    return memcmp(a.data.data + <size_t>i * a.width, b.data.data + <size_t>j * b.width, a.width) == 0


cdef int _compare(Pair pair, bytes payload, int64_t seq, int64_t taken, list added, const KernelEntry* kernel) except -1:
    """msgspec must make the same rows of the payload as the compiled plan, in the same tables, to which it `added`
    so many rows when it took the payload so many times."""
    cdef TableBuilder fast
    cdef TableBuilder slow
    cdef ColumnBuilder a
    cdef ColumnBuilder b
    cdef int64_t at
    events = []
    try:
        for item, event in enumerate([payload] if pair.split is None else pair.split(payload)):
            row, extra = pair.decode(event)
            events.append((pair.tables[type(row)], row, extra, None if pair.split is None else item))
    except Exception as error:
        _fail(f"taken, but msgspec says {type(error).__name__}: {error}", payload, pair, kernel)
    indices = [index for index, *_ in events]
    for index, count in enumerate(added):
        if count != taken * indices.count(index):
            _fail(f"{count} rows in {pair.fast[index].name}: taken {taken} times, but it is {events!r}", payload, pair, kernel)
    left = [indices.count(index) for index in range(len(added))]
    for index, row, extra, item in events:
        fast, slow = <TableBuilder>pair.fast[index], <TableBuilder>pair.slow[index]
        at = fast.rows.rows - <int64_t>left[index]
        left[index] -= 1
        try:
            slow.push_row(row, seq, 3, 11, extra, item)
        except ValueError as error:
            _fail(f"taken, but it does not fit its column: {error}", payload, pair, kernel)
        for column_a, column_b in zip(fast._columns, slow._columns):
            a, b = <ColumnBuilder>column_a, <ColumnBuilder>column_b
            if not _same_value(&a.column, at, &b.column, slow.rows.rows - 1):
                _fail(f"column {a.name}: not what msgspec reads: {row!r}, {extra!r}", payload, pair, kernel)
    return 0


cdef int _object(Pair pair, const KernelEntry* kernel, const uint8_t* text, size_t n) except -1:
    """msgspec must make the same struct, or the same plain values, of the payload as the compiled plan."""
    global objects
    cdef uint8_t* message = <uint8_t*>malloc(n)
    if n:
        memcpy(message, text, n)
    if type(pair.objects) is StructDecoder:
        (<StructDecoder>pair.objects)._plan.read = kernel.read
    else:
        (<ValueDecoder>pair.objects).values = kernel.values
    found = pair.objects.decode(<const char*>message, <Py_ssize_t>n)
    free(message)
    if found is None:
        return 0
    objects += 1
    payload = text[:n]
    try:
        expected = pair.decode_object(payload)
    except Exception as error:
        _fail(f"taken as {found!r}, but msgspec says {error!r}", payload, pair, kernel)
    # As repr, which tells 0.0 from -0.0 and 1 from True, and has keys in their order.
    if type(found) is not type(expected) or found != expected or repr(found) != repr(expected):
        _fail(f"{found!r} is not what msgspec reads: {expected!r}", payload, pair, kernel)
    return 0


cdef int64_t _column_print(const Column* c, int64_t rows, int64_t out) noexcept:
    """The same for a column of so many rows, with that of those before it."""
    cdef uint32_t i
    # A struct's field may lack nulls at the end, and get them before a value that is then taken back.
    out = out * 1000003 + c.null_count + (rows - c.length)
    if c.layout == RL_BYTES:
        out = out * 1000003 + <int64_t>c.data.size
    for i in range(c.n_children):
        out = _column_print(c.children[i], rows if c.layout == RL_CHILDREN else c.children[0].length, out)
        if c.layout == RL_OFFSETS:
            out = out * 1000003 + c.children[i].length
    return out


cdef int64_t _fingerprint(TableBuilder table) noexcept:
    """What must not change when a message is not taken; -1 if it is not to be had until the columns grow."""
    cdef int64_t out = table.rows.rows
    cdef uint32_t i
    cdef Column* c
    for i in range(table.rows.n_columns):
        c = table.rows.columns[i]
        if c.capacity <= table.rows.rows:
            return -1
        out = _column_print(c, c.length, out)
    return out


cdef int _message(
    Pair pair, const KernelEntry* kernel, const uint8_t* text, size_t n, uint32_t times, int64_t seq
) except -1:
    global taken, messages
    cdef uint8_t* block = <uint8_t*>malloc(n * times)
    cdef uint32_t[MAX_REPEATS + 1] offsets
    cdef ReadStamp stamp
    cdef Run run
    cdef uint32_t i
    offsets[0] = 0
    for i in range(times):
        if n:
            memcpy(block + i * n, text, n)
        offsets[i + 1] = <uint32_t>((i + 1) * n)
    stamp.count, stamp.received_at = times, 11
    memset(&run, 0, sizeof(Run))
    run.data, run.offsets, run.stamps = block, offsets, &stamp
    run.first_seq, run.epoch, run.stop, run.end, run.stamp_end = seq, 3, times, times, times
    before = [((<TableBuilder>table).rows.rows, _fingerprint(<TableBuilder>table)) for table in pair.fast]
    kernel.run(&pair.plan.decoder, &run)
    free(block)
    messages += times
    payload = text[:n]
    added = []
    for index, table in enumerate(pair.fast):
        added.append((<TableBuilder>table).rows.rows - before[index][0])
        if added[index]:
            (<TableBuilder>table).sync()
        elif (not run.at and (<TableBuilder>table).rows.rows and before[index][1] != -1
                and _fingerprint(<TableBuilder>table) != before[index][1]):
            _fail(f"not taken, but table {table.name} changed", payload, pair, kernel)
    if run.at:
        _compare(pair, payload, seq + <int64_t>run.at - 1, run.at, added, kernel)
    elif any(added):
        _fail(f"not taken, but there are rows: {added}", payload, pair, kernel)
    # The order of keys may be learned on the way, but what is taken once is taken again.
    if run.at and run.at != times:
        _fail(f"taken {run.at} times of {times}", payload, pair, kernel)
    taken += run.at
    return 0


cdef int _execute(const uint8_t* data, size_t n) except -1:
    cdef const KernelEntry* kernels = rl_kernels()
    cdef uint32_t n_kernels = 0
    cdef Pair pair
    cdef const uint8_t* end = data + n
    cdef const uint8_t* stop
    cdef int i
    cdef uint32_t times
    cdef int64_t seq = 0
    if n == 0:
        return 0
    while kernels[n_kernels].name != NULL:
        n_kernels += 1
    pair = <Pair>PAIRS[data[0] % <uint32_t>len(PAIRS)]
    kernels += data[0] // <uint32_t>len(PAIRS) % n_kernels
    pair.plan.forget_order()
    if pair.objects is not None:
        pair.objects.forget_order()
    data += 1
    for i in range(MAX_MESSAGES):
        stop = <const uint8_t*>memchr(data, SEPARATOR, <size_t>(end - data)) if data < end else NULL
        if stop == NULL or i == MAX_MESSAGES - 1:
            stop = end
        times = 1
        if stop - data >= 2 and data[0] == REPEAT:
            times += data[1]
            data += 2
        _message(pair, kernels, data, <size_t>(stop - data), times, seq)
        if pair.objects is not None:
            # Twice, because the second time keys are known.
            for _ in range(2):
                _object(pair, kernels, data, <size_t>(stop - data))
        seq += times
        if stop == end:
            break
        data = stop + 1
    # A finding must not depend on what was executed before.
    for table in (*pair.fast, *pair.slow):
        if (<TableBuilder>table).rows.rows:
            table.finish()
    return 0


cdef int _callback(const uint8_t* data, size_t n) noexcept:
    try:
        _execute(data, n)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        abort()
    return 0


def execute(bytes data not None):
    """Run one input. Returns (messages so far, those that became rows by the compiled plan, those that became structs or
    plain values, each of which is decoded twice)."""
    _execute(data, len(data))
    return messages, taken, objects


def run(arguments):
    """Fuzz; the arguments are libFuzzer's. Does not return."""
    cdef int argc = <int>len(arguments) + 1
    cdef int i
    # Never freed: libFuzzer keeps them.
    cdef char** argv = <char**>malloc((<size_t>argc + 1) * sizeof(char*))
    kept = [b"rlfast", *(argument.encode() for argument in arguments)]
    for i in range(argc):
        argv[i] = kept[i]
    argv[argc] = NULL
    LLVMFuzzerRunDriver(&argc, &argv, _callback)
