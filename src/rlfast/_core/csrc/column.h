/* Columns under construction, in the Arrow layout (https://arrow.apache.org/docs/format/Columnar.html).
 *
 * What a column holds for row i stands at a place that follows from i, so a row counts only once `rows` (of the
 * table) or `length` (of the column) is raised over it, and writing the place again takes a value back.
 * Bits of the validity bitmap at and above the length are 1, so only nulls cost anything.
 */
#ifndef RLFAST_COLUMN_H
#define RLFAST_COLUMN_H

#include "string_table.h"

/* How the values of a column lie in memory. */
enum rl_layout {
    RL_FIXED_WIDTH,     /* `width` bytes each */
    RL_BITS,
    RL_BYTES,           /* offsets and bytes */
    RL_DICTIONARY,      /* int32 codes of strings */
    RL_OFFSETS,         /* lists and maps: offsets into one child, whose `length` says where the next item goes */
    RL_CHILDREN         /* structs: each child has the same rows, but for nulls at the end that it may lack */
};

/* Where the strings of a dictionary come from. */
enum rl_encoding {
    RL_PLAIN,           /* there is no dictionary */
    RL_STRING_TABLE,    /* new strings are added */
    RL_ADAPTIVE,        /* the same, until there are too many of them: then the layout becomes RL_BYTES */
    RL_FIXED            /* strings that the type names; no others */
};

/* A dictionary pays while it is small enough for the cache, and while strings repeat. */
enum { RL_MAX_STRINGS = 4096, RL_TRIAL_STRINGS = 64 };

/* Slack behind text, so that short texts are copied in one piece. */
enum { RL_TEXT_SLACK = 32 };

typedef struct rl_column {
    int layout;         /* enum rl_layout, at the moment */
    int encoding;       /* enum rl_encoding, at the moment */
    size_t width;       /* bytes per row in `data`; 0 but for RL_FIXED_WIDTH and RL_DICTIONARY */
    int64_t length;     /* of a child: rows that it has; of a table's column: set from outside */
    int64_t null_count;
    int64_t capacity;   /* rows that there is room for */
    int64_t expected;   /* rows of a child, and bytes of text, that room is made for at first: see rl_rows.expected */
    size_t expected_size;
    rl_buffer validity; /* bitmap, least significant bit first; no memory until the first null */
    rl_buffer offsets;  /* int32, of RL_BYTES and RL_OFFSETS */
    rl_buffer data;     /* values, codes, bits, or bytes; `size` counts only where offsets point into it */
    rl_string_table *strings;   /* borrowed; NULL for columns without a dictionary */
    struct rl_column **children;    /* borrowed, and the array, too */
    uint32_t n_children;
} rl_column;

/* Columns of one table, which have the same rows. The pointers are borrowed, the array is not. */
typedef struct {
    rl_column **columns;
    uint32_t n_columns;
    int64_t rows;
    int64_t capacity;   /* rows that every column has room for */
    int64_t expected;   /* rows that room is made for at first: a batch is about as large as the last one */
    rl_column *seq;
    rl_column *epoch;
    rl_column *received_at;
    rl_column *item;    /* where messages are arrays of events: which of them; or NULL */
    int64_t kept;       /* rows of the messages before this one */
    rl_column *extra;   /* not in `columns`: it is as long as its last value needs, until the table is finished */
} rl_rows;

RL_INLINE int rl_has_offsets(const rl_column *c)
{
    return c->layout == RL_BYTES || c->layout == RL_OFFSETS;
}

RL_INLINE int32_t *rl_offsets(const rl_column *c)
{
    return (int32_t *)c->offsets.data;
}

RL_INLINE int rl_bit(const rl_buffer *bitmap, int64_t i)
{
    return bitmap->data[i >> 3] >> (i & 7) & 1;
}

RL_INLINE void rl_set_bit(rl_buffer *bitmap, int64_t i, int value)
{
    uint8_t *octet = &bitmap->data[i >> 3];
    *octet = (uint8_t)((*octet & ~(1 << (i & 7))) | value << (i & 7));
}

/* Where the next item, or byte, goes: the offset behind the last value. */
RL_INLINE int32_t rl_end(const rl_column *c)
{
    return (int32_t)(c->layout == RL_OFFSETS ? (size_t)c->children[0]->length : c->data.size);
}

RL_INLINE int rl_grow_to(rl_buffer *buffer, size_t capacity)
{
    uint8_t *grown;
    if (capacity <= buffer->capacity)
        return RL_OK;
    grown = (uint8_t *)realloc(buffer->data, capacity);
    if (grown == NULL)
        return RL_NO_MEMORY;
    buffer->data = grown;
    buffer->capacity = capacity;
    return RL_OK;
}

RL_INLINE int rl_grow_validity(rl_column *c, int64_t rows)
{
    size_t old = c->validity.capacity;
    if (rl_grow_to(&c->validity, (size_t)(rows + 7) / 8) != RL_OK)
        return RL_NO_MEMORY;
    memset(c->validity.data + old, 0xFF, c->validity.capacity - old);
    return RL_OK;
}

/* Make room for `rows` rows in all; the column is as it was when that fails. Children get theirs when they are written. */
RL_NOINLINE int rl_column_reserve(rl_column *c, int64_t rows)
{
    int first = c->capacity == 0;
    if (rows <= c->capacity)
        return RL_OK;
    if (c->validity.data != NULL && rl_grow_validity(c, rows) != RL_OK)
        return RL_NO_MEMORY;
    if (rl_has_offsets(c)) {
        if (rl_grow_to(&c->offsets, (size_t)(rows + 1) * sizeof(int32_t)) != RL_OK)
            return RL_NO_MEMORY;
        if (first)
            rl_offsets(c)[0] = 0;
    }
    else if (c->layout != RL_CHILDREN
             && rl_grow_to(&c->data, c->layout == RL_BITS ? (size_t)(rows + 7) / 8 : (size_t)rows * c->width) != RL_OK)
        return RL_NO_MEMORY;
    c->capacity = rows;
    return RL_OK;
}

/* Make room for one more row. The general path grows columns by itself, so `rows` may be over `capacity`. */
RL_NOINLINE int rl_rows_grow(rl_rows *table)
{
    int64_t rows = table->capacity ? 2 * table->capacity : table->expected > 64 ? table->expected : 64;
    uint32_t i;
    while (rows <= table->rows)
        rows *= 2;
    for (i = 0; i < table->n_columns; i++)
        if (rl_column_reserve(table->columns[i], rows) != RL_OK)
            return RL_NO_MEMORY;
    table->capacity = rows;
    return RL_OK;
}

/* -- values: each writes row `row`, for which there is room, and nothing else ---------------------------- */

RL_NOINLINE int rl_put_null(rl_column *c, int64_t row)
{
    if (c->validity.data == NULL && rl_grow_validity(c, c->capacity) != RL_OK)
        return RL_NO_MEMORY;
    if (rl_has_offsets(c))
        rl_offsets(c)[row + 1] = rl_end(c);
    else if (c->layout == RL_BITS)
        rl_set_bit(&c->data, row, 0);
    else if (c->width != 0)
        memset(c->data.data + (size_t)row * c->width, 0, c->width);
    rl_set_bit(&c->validity, row, 0);
    c->null_count++;
    return RL_OK;
}

/* The same for `count` rows, at once. */
RL_NOINLINE int rl_put_nulls(rl_column *c, int64_t row, int64_t count)
{
    int64_t end = row + count, i = row;
    uint8_t *bits;
    if (count <= 0)
        return RL_OK;
    if (c->validity.data == NULL && rl_grow_validity(c, c->capacity) != RL_OK)
        return RL_NO_MEMORY;
    if (rl_has_offsets(c)) {
        int32_t *ends = rl_offsets(c), last = rl_end(c);
        for (; i < end; i++)
            ends[i + 1] = last;
    } else if (c->layout == RL_BITS) {
        for (; i < end; i++)
            rl_set_bit(&c->data, i, 0);
    } else if (c->width != 0) {
        memset(c->data.data + (size_t)row * c->width, 0, (size_t)count * c->width);
    }
    bits = c->validity.data;
    for (i = row; i < end && (i & 7); i++)
        rl_set_bit(&c->validity, i, 0);
    if (i + 8 <= end) {
        memset(bits + (i >> 3), 0, (size_t)((end - i) >> 3));
        i += (end - i) & ~(int64_t)7;
    }
    for (; i < end; i++)
        rl_set_bit(&c->validity, i, 0);
    c->null_count += count;
    return RL_OK;
}

/* Before row `row` of a child is written: have it there, and the nulls that it lacks before it. */
RL_NOINLINE int rl_catch_up(rl_column *c, int64_t row)
{
    int64_t rows = 2 * c->capacity;
    if (rows < row + 1)
        rows = row + 1;
    if (rows < c->expected)
        rows = c->expected;
    if (row >= c->capacity && rl_column_reserve(c, rows > 64 ? rows : 64) != RL_OK)
        return RL_NO_MEMORY;
    if (rl_put_nulls(c, c->length, row - c->length) != RL_OK)
        return RL_NO_MEMORY;
    c->length = row;
    return RL_OK;
}

RL_INLINE int rl_ready(rl_column *c, int64_t row)
{
    return RL_LIKELY(c->length == row && row < c->capacity) ? RL_OK : rl_catch_up(c, row);
}

RL_INLINE void rl_put_int64(rl_column *c, int64_t row, int64_t value)
{
    ((int64_t *)c->data.data)[row] = value;
}

RL_INLINE void rl_put_double(rl_column *c, int64_t row, double value)
{
    ((double *)c->data.data)[row] = value;
}

RL_INLINE uint8_t *rl_uuid_place(rl_column *c, int64_t row)
{
    return c->data.data + (size_t)row * 16;
}

RL_INLINE uint8_t *rl_place(rl_column *c, int64_t row)
{
    return c->data.data + (size_t)row * c->width;
}

/* An integer of 1 to 8 bytes, which hold it. */
RL_INLINE void rl_put_integer(rl_column *c, int64_t row, uint64_t value)
{
    switch (c->width) {
    case 1: c->data.data[row] = (uint8_t)value; break;
    case 2: ((uint16_t *)c->data.data)[row] = (uint16_t)value; break;
    case 4: ((uint32_t *)c->data.data)[row] = (uint32_t)value; break;
    default: ((uint64_t *)c->data.data)[row] = value; break;
    }
}

RL_NOINLINE int rl_grow_text(rl_column *c, size_t extra)
{
    size_t more = c->expected_size > c->data.size ? c->expected_size - c->data.size : 0;
    return rl_buffer_grow(&c->data, more > extra ? more : extra);
}

/* Make room for `n` more bytes of text, and the slack. */
RL_INLINE int rl_text_room(rl_column *c, size_t n)
{
    return RL_LIKELY(n + RL_TEXT_SLACK <= c->data.capacity - c->data.size) ? RL_OK : rl_grow_text(c, n + RL_TEXT_SLACK);
}

/* Bytes of text behind `data`, ended by an offset in `offsets[at]`. */
RL_INLINE int rl_put_bytes(rl_column *c, int32_t *end, const uint8_t *text, size_t n, const uint8_t *text_end)
{
    if (RL_UNLIKELY(c->data.size + n > INT32_MAX))
        return RL_TOO_BIG;
    if (rl_text_room(c, n) != RL_OK)
        return RL_NO_MEMORY;
    rl_copy_short(c->data.data + c->data.size, text, n, text_end);
    c->data.size += n;
    *end = (int32_t)c->data.size;
    return RL_OK;
}

/* The texts of `rows` codes as plain text, into two empty buffers. `valid` is a bitmap, or NULL: all are. */
RL_NOINLINE int rl_gather_text(
    const int32_t *codes, int64_t rows, const uint8_t *valid, const int32_t *ends, const uint8_t *text,
    rl_buffer *offsets, rl_buffer *data)
{
    size_t size = 0;
    int64_t i;
    for (i = 0; i < rows; i++)
        if (valid == NULL || (valid[i >> 3] >> (i & 7) & 1))
            size += (size_t)(ends[codes[i] + 1] - ends[codes[i]]);
    if (size > INT32_MAX)
        return RL_TOO_BIG;
    if (rl_grow_to(offsets, (size_t)(rows + 1) * sizeof(int32_t)) != RL_OK
        || rl_grow_to(data, size + RL_TEXT_SLACK) != RL_OK)
        return RL_NO_MEMORY;
    ((int32_t *)offsets->data)[0] = 0;
    for (i = 0; i < rows; i++) {
        if (valid == NULL || (valid[i >> 3] >> (i & 7) & 1)) {
            int32_t start = ends[codes[i]], end = ends[codes[i] + 1];
            rl_copy_short(data->data + data->size, text + start, (size_t)(end - start), text + end);
            data->size += (size_t)(end - start);
        }
        ((int32_t *)offsets->data)[i + 1] = (int32_t)data->size;
    }
    offsets->size = (size_t)(rows + 1) * sizeof(int32_t);
    return RL_OK;
}

/* Store the first `rows` rows of an adaptive column as plain text. It is as it was when memory fails. */
RL_NOINLINE int rl_make_plain(rl_column *c, int64_t rows)
{
    rl_buffer codes = {0};
    int result = RL_NO_MEMORY;
    /* The texts take the place of the codes. */
    if (rl_buffer_append(&codes, c->data.data, (size_t)rows * sizeof(int32_t)) == RL_OK
        && rl_grow_to(&c->offsets, (size_t)(c->capacity + 1) * sizeof(int32_t)) == RL_OK)
        result = rl_gather_text(
            (const int32_t *)codes.data, rows, c->validity.data, (const int32_t *)c->strings->offsets.data,
            c->strings->data.data, &c->offsets, &c->data);
    rl_buffer_free(&codes);
    if (result != RL_OK)
        return result;
    c->layout = RL_BYTES;
    c->encoding = RL_PLAIN;
    c->width = 0;
    rl_table_clear(c->strings);
    return RL_OK;
}

/* A text that has no code yet. On RL_OK it has one, or the column is plain now. */
RL_NOINLINE int rl_new_string(rl_column *c, int64_t row, const uint8_t *text, size_t n, int32_t *code)
{
    int32_t count = c->strings->count;
    if (c->encoding == RL_ADAPTIVE
        && (count >= RL_MAX_STRINGS || (count >= RL_TRIAL_STRINGS && 2 * (int64_t)count > row)))
        return rl_make_plain(c, row);
    *code = rl_table_add(c->strings, text, n);
    return *code < 0 ? *code : RL_OK;
}

/* Text in UTF-8, from within `around`. RL_FIXED columns take only the strings they have. */
RL_INLINE int rl_put_text(rl_column *c, int64_t row, const uint8_t *text, size_t n, rl_input around)
{
    int32_t code;
    int result;
    if (c->encoding != RL_PLAIN) {
        code = rl_table_find(c->strings, text, n, around.begin);
        if (RL_UNLIKELY(code < 0)) {
            if (c->encoding == RL_FIXED)
                return RL_NOT_IN_TABLE;
            result = rl_new_string(c, row, text, n, &code);
            if (result != RL_OK)
                return result;
        }
        if (c->encoding != RL_PLAIN) {
            ((int32_t *)c->data.data)[row] = code;
            return RL_OK;
        }
    }
    return rl_put_bytes(c, &rl_offsets(c)[row + 1], text, n, around.end);
}

static void rl_shorten(rl_column *c, int64_t length);

/* Take back what was written at row `row`, complete or not. Strings stay; unused ones do no harm. */
static void rl_take_back(rl_column *c, int64_t row)
{
    uint32_t i;
    if (row >= c->capacity)
        return;
    if (c->validity.data != NULL && !rl_bit(&c->validity, row)) {
        rl_set_bit(&c->validity, row, 1);
        c->null_count--;
    }
    if (c->layout == RL_BYTES)
        c->data.size = (size_t)rl_offsets(c)[row];
    else if (c->layout == RL_OFFSETS)
        rl_shorten(c->children[0], rl_offsets(c)[row]);
    else if (c->layout == RL_CHILDREN)
        for (i = 0; i < c->n_children; i++)
            if (c->children[i]->length >= row)
                rl_shorten(c->children[i], row);
}

static void rl_shorten(rl_column *c, int64_t length)
{
    /* What was begun last may not count yet. */
    int64_t row = c->length;
    for (; row >= length; row--)
        rl_take_back(c, row);
    c->length = length;
}

#endif
