/* Values without others inside them into columns. lex.h has the rules; containers.h has the rest. */
#ifndef RLFAST_COLUMN_VALUES_H
#define RLFAST_COLUMN_VALUES_H

#include "base64.h"
#include "decimals.h"
#include "lex.h"
#include "times.h"
#include "uuid.h"

RL_INLINE const uint8_t *rl_take_text(
    rl_decoder *d, const rl_field *f, int64_t row, const uint8_t *text, size_t n, rl_input around, const uint8_t *after)
{
    if (RL_UNLIKELY(f->limited)) {
        int64_t length = rl_code_points(text, n);
        if (length < f->length_min || length > f->length_max)
            return NULL;
    }
    return rl_checked(d, rl_put_text(f->column, row, text, n, around), after);
}

RL_NOINLINE const uint8_t *rl_slow_text_value(
    rl_decoder *d, const rl_field *f, int64_t row, const uint8_t *p, const uint8_t *q, const rl_input *in)
{
    rl_input around;
    rl_span text;
    p = rl_slow_string(d, p, q, *in, &text, &around);
    return p == NULL ? NULL : rl_take_text(d, f, row, text.text, text.size, around, p);
}

RL_INLINE const uint8_t *rl_text_value(
    rl_decoder *d, const rl_field *f, int64_t row, const uint8_t *p, const rl_input *in)
{
    const uint8_t *q = rl_scan(++p, *in);
    if (RL_LIKELY(q < in->end && *q == '"'))
        return rl_take_text(d, f, row, p, (size_t)(q - p), *in, q + 1);
    return rl_slow_text_value(d, f, row, p, q, in);
}

/* The text at p in a column of plain text, if it is ASCII without escapes and there is room for it: it is copied while its
 * end is looked for. NULL: nothing has happened. */
RL_INLINE const uint8_t *rl_plain_text_value(rl_column *c, int64_t row, const uint8_t *p, const rl_input *in)
{
    size_t size = c->data.size, full = c->data.capacity;
    for (p++; RL_LIKELY(p < in->tail && full - size >= 2 * RL_TEXT_SLACK); p += RL_TEXT_SLACK) {
        int n = rl_short_text(p, c->data.data + size);
        size += (size_t)n;
        if (RL_LIKELY(n != RL_TEXT_SLACK)) {
            if (RL_UNLIKELY(p[n] != '"' || size > INT32_MAX))
                return NULL;
            c->data.size = size;
            rl_offsets(c)[row + 1] = (int32_t)size;
            return p + n + 1;
        }
    }
    return NULL;
}

/* JSON's null at p, where the field takes it; returns the place behind it. */
RL_INLINE const uint8_t *rl_null_value(rl_decoder *d, const rl_field *f, int64_t row, const uint8_t *p, const rl_input *in)
{
    if (f->nullable && in->end - p >= 4 && memcmp(p, "null", 4) == 0)
        return rl_checked(d, rl_put_null(f->column, row), p + 4);
    return NULL;
}

/* Whether the JSON text p[0:n], which is well-formed, is of a kind that `accepts` names. */
RL_INLINE int rl_accepted(uint8_t accepts, const uint8_t *p, size_t n)
{
    size_t i;
    switch (*p) {
    case '"': return accepts & RL_ACCEPT_STRING;
    case '{': return accepts & RL_ACCEPT_OBJECT;
    case '[': return accepts & RL_ACCEPT_ARRAY;
    case 't': case 'f': return accepts & RL_ACCEPT_BOOL;
    case 'n': return accepts & RL_ACCEPT_NULL;
    default: break;
    }
    if ((accepts & (RL_ACCEPT_INTEGER | RL_ACCEPT_NUMBER)) == (RL_ACCEPT_INTEGER | RL_ACCEPT_NUMBER))
        return 1;
    for (i = 0; i < n; i++)
        if (p[i] == '.' || (p[i] | 0x20) == 'e')
            return accepts & RL_ACCEPT_NUMBER;
    return accepts & RL_ACCEPT_INTEGER;
}

/* A value that JSON has as a string: dates, numbers as text, and so on. Whether `text` is one. */
RL_INLINE int rl_put_parsed(rl_decoder *d, const rl_field *f, int64_t row, rl_span text, rl_input around)
{
    const uint8_t *p = text.text, *end = p + text.size;
    int64_t integer = 0, days = 0;
    double number = 0;
    int has_zone, result;
    switch (f->kind) {
    case RL_DATETIME:
    case RL_DATETIME_NANOS:
    case RL_NAIVE_DATETIME:
        if (!rl_parse_datetime(
                p, text.size, f->kind == RL_DATETIME_NANOS ? RL_NANO_DIGITS : RL_MICRO_DIGITS, &integer, &has_zone)
            || !(f->accepts & (has_zone ? RL_ACCEPT_AWARE : RL_ACCEPT_NAIVE)))
            return 0;
        rl_put_int64(f->column, row, integer);
        return 1;
    case RL_DURATION:
        if (!rl_parse_duration(p, end, &integer))
            return 0;
        rl_put_int64(f->column, row, integer);
        return 1;
    case RL_DATE:
        if (text.size != 10 || !rl_parse_date(p, &days))
            return 0;
        rl_put_integer(f->column, row, (uint64_t)days);
        return 1;
    case RL_TIME:
        if (!rl_parse_clock(p, end, RL_MICRO_DIGITS, &integer, &has_zone)
            || !(f->accepts & (has_zone ? RL_ACCEPT_AWARE : RL_ACCEPT_NAIVE)))
            return 0;
        integer %= 86400000000;
        rl_put_int64(f->column, row, integer < 0 ? integer + 86400000000 : integer);
        return 1;
    case RL_FLOAT_TEXT:
        if (rl_parse_double(p, end, d->powers, &number) != end)
            return 0;
        rl_put_double(f->column, row, number);
        return 1;
    case RL_INT_TEXT:
        if (rl_parse_int64(p, end, &integer) != end)
            return 0;
        rl_put_int64(f->column, row, integer);
        return 1;
    case RL_DECIMAL_TEXT:
        if (rl_decimal_end(p, end, 1) != end)
            return 0;
        result = rl_put_text(f->column, row, p, text.size, around);
        d->no_memory |= result == RL_NO_MEMORY;
        return result == RL_OK;
    case RL_DECIMAL128:
    case RL_DECIMAL256:
        return rl_decimal_end(p, end, 0) == end
            && rl_parse_decimal(p, text.size, f->precision, f->scale, f->column->width, rl_place(f->column, row));
    case RL_BASE64:
        if (text.size % 4 != 0)
            return 0;
        if (rl_text_room(f->column, text.size) != RL_OK) {
            d->no_memory = 1;
            return 0;
        }
        integer = rl_parse_base64(p, text.size, f->column->data.data + f->column->data.size);
        if (integer < 0 || f->column->data.size + (size_t)integer > INT32_MAX
            || (f->limited && (integer < f->length_min || integer > f->length_max)))
            return 0;
        f->column->data.size += (size_t)integer;
        rl_offsets(f->column)[row + 1] = (int32_t)f->column->data.size;
        return 1;
    default:
        return 0;
    }
}

RL_NOINLINE const uint8_t *rl_parsed_value(
    rl_decoder *d, const rl_field *f, int64_t row, const uint8_t *p, const rl_input *in)
{
    rl_input around;
    rl_span text;
    if (*p == '"') {
        p = rl_string(d, p + 1, *in, &text, &around);
        return p != NULL && rl_put_parsed(d, f, row, text, around) ? p : NULL;
    }
    if (f->kind == RL_DECIMAL_TEXT || f->kind == RL_DECIMAL128 || f->kind == RL_DECIMAL256) {
        text.text = p;
        p = rl_skip_number(p, in->end);
        if (p != NULL) {
            text.size = (size_t)(p - text.text);
            return rl_put_parsed(d, f, row, text, *in) ? p : NULL;
        }
        p = text.text;
    }
    return rl_null_value(d, f, row, p, in);
}

/* Seconds, or parts of them, since 1970: as integer, number or text; the fraction is cut off, towards the past. A time
   that is not one of 64 bits in microseconds is none: readers of files have all times in these. */
RL_NOINLINE const uint8_t *rl_epoch_value(
    rl_decoder *d, const rl_field *f, int64_t row, const uint8_t *p, const rl_input *in)
{
    int quoted = *p == '"', fraction = 0;
    int64_t integer;
    const int64_t most = f->kind == RL_EPOCH_SECONDS  ? INT64_MAX / 1000000
                         : f->kind == RL_EPOCH_MILLIS ? INT64_MAX / 1000
                                                      : INT64_MAX;
    const uint8_t *q = rl_parse_int64(p + quoted, in->end, &integer);
    if (q == NULL)
        return rl_null_value(d, f, row, p, in);
    if (integer > most || integer < -most)
        return NULL;
    if (*q == '.') {
        const uint8_t *first = ++q;
        for (; rl_is_digit(*q); q++)
            fraction |= *q != '0';
        if (q == first || (fraction && p[quoted] == '-'))
            return NULL;
    }
    if ((*q | 0x20) == 'e' || (quoted && *q != '"'))
        return NULL;
    rl_put_int64(f->column, row, integer);
    return q + quoted;
}

/* An integer that is not of 64 bits, or one of a few. */
RL_NOINLINE const uint8_t *rl_integer_value(
    rl_decoder *d, const rl_field *f, int64_t row, const uint8_t *p, const rl_input *in)
{
    int64_t integer = 0;
    uint64_t unsigned_integer = 0;
    uint32_t i;
    if (*p == 'n')
        return rl_null_value(d, f, row, p, in);
    if (f->kind == RL_UINT64) {
        p = rl_parse_uint64(p, in->end, &unsigned_integer);
        if (p == NULL || (f->limited
                && (unsigned_integer < (uint64_t)f->int_min
                    || (f->multiple_of != 0 && unsigned_integer % (uint64_t)f->multiple_of != 0))))
            return NULL;
    }
    else {
        p = rl_parse_int64(p, in->end, &integer);
        if (p == NULL || !rl_in_range(f, integer))
            return NULL;
        unsigned_integer = (uint64_t)integer;
        for (i = 0; i < f->n_choices && f->choices[i] != integer; i++)
            ;
        if (f->n_choices != 0 && i == f->n_choices)
            return NULL;
    }
    rl_put_integer(f->column, row, unsigned_integer);
    return p;
}

RL_NOINLINE const uint8_t *rl_float32_value(
    rl_decoder *d, const rl_field *f, int64_t row, const uint8_t *p, const rl_input *in)
{
    double number;
    float narrow;
    if (*p == 'n')
        return rl_null_value(d, f, row, p, in);
    p = rl_parse_double(p, in->end, d->powers, &number);
    if (p == NULL || !(number > -3.4e38 && number < 3.4e38)
        || (f->limited && !(number >= f->float_min && number <= f->float_max)))
        return NULL;
    narrow = (float)number;
    memcpy(rl_place(f->column, row), &narrow, sizeof narrow);
    return p;
}

#endif
