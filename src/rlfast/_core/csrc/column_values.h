/* Values into columns: those of fields that the type knows, and the text of those that it does not know. lex.h has the
 * rules. */
#ifndef RLFAST_COLUMN_VALUES_H
#define RLFAST_COLUMN_VALUES_H

#include "lex.h"
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
    rl_decoder *d, const rl_field *f, int64_t row, const uint8_t *p, const uint8_t *q, rl_input in)
{
    rl_input around;
    rl_span text;
    p = rl_slow_string(d, p, q, in, &text, &around);
    return p == NULL ? NULL : rl_take_text(d, f, row, text.text, text.size, around, p);
}

RL_INLINE const uint8_t *rl_text_value(
    rl_decoder *d, const rl_field *f, int64_t row, const uint8_t *p, rl_input in)
{
    const uint8_t *q = rl_scan(++p, in);
    if (RL_LIKELY(q < in.end && *q == '"'))
        return rl_take_text(d, f, row, p, (size_t)(q - p), in, q + 1);
    return rl_slow_text_value(d, f, row, p, q, in);
}

RL_INLINE const uint8_t *rl_list_value(
    rl_decoder *d, const rl_field *f, int64_t row, const uint8_t *p, rl_input in)
{
    rl_column *c = f->column;
    rl_input around;
    rl_span text;
    int64_t items = 0;
    p = rl_skip_space(p + 1);
    if (*p == ']')
        p++;
    else
        for (;;) {
            if (*p != '"')
                return NULL;
            if (f->kind == RL_LIST_UUID) {
                if (in.end - p < 38 || p[37] != '"' || c->data.size / 16 >= INT32_MAX)
                    return NULL;
                if (rl_buffer_reserve(&c->data, 16) != RL_OK)
                    return rl_checked(d, RL_NO_MEMORY, p);
                if (!rl_parse_uuid(p + 1, c->data.data + c->data.size))
                    return NULL;
                c->data.size += 16;
                p += 38;
            }
            else {
                p = rl_string(d, p + 1, in, &text, &around);
                if (p == NULL)
                    return NULL;
                p = rl_checked(d, rl_put_text_item(c, text.text, text.size, around.end), p);
                if (p == NULL)
                    return NULL;
            }
            items++;
            p = rl_skip_space(p);
            if (*p == ']') {
                p++;
                break;
            }
            if (*p != ',')
                return NULL;
            p = rl_skip_space(p + 1);
        }
    if (f->limited && (items < f->length_min || items > f->length_max))
        return NULL;
    rl_close_list(c, row);
    return p;
}

/* Write the value at p at row `row`; returns the place behind it. */
RL_INLINE const uint8_t *rl_value(
    rl_decoder *d, const rl_type *t, const rl_field *f, int64_t row, const uint8_t *p, rl_input in)
{
    int64_t integer;
    double number;
    switch (f->kind) {
    case RL_UUID:
        if (RL_UNLIKELY(*p != '"'))
            break;
        if (in.end - p < 38 || p[37] != '"' || !rl_parse_uuid(p + 1, rl_uuid_place(f->column, row)))
            return NULL;
        return p + 38;
    case RL_UTF8:
    case RL_DICT_UTF8:
        if (RL_UNLIKELY(*p != '"'))
            break;
        return rl_text_value(d, f, row, p, in);
    case RL_INT64:
        if (RL_UNLIKELY(*p == 'n'))
            break;
        p = rl_parse_int64(p, in.end, &integer);
        if (p == NULL || (f->limited && (integer < f->int_min || integer > f->int_max)))
            return NULL;
        rl_put_int64(f->column, row, integer);
        return p;
    case RL_FLOAT64:
        if (RL_UNLIKELY(*p == 'n'))
            break;
        p = rl_parse_double(p, in.end, d->powers, &number);
        if (p == NULL || (f->limited && !(number >= f->float_min && number <= f->float_max)))
            return NULL;
        rl_put_double(f->column, row, number);
        return p;
    case RL_BOOL:
        if (in.end - p >= 4 && memcmp(p, "true", 4) == 0) {
            rl_set_bit(&f->column->data, row, 1);
            return p + 4;
        }
        if (in.end - p >= 5 && memcmp(p, "false", 5) == 0) {
            rl_set_bit(&f->column->data, row, 0);
            return p + 5;
        }
        break;
    case RL_LIST_UTF8:
    case RL_LIST_UUID:
        if (RL_UNLIKELY(*p != '['))
            break;
        return rl_list_value(d, f, row, p, in);
    case RL_TAG:
        return rl_match(p, in, &t->tag_value) ? p + t->tag_value.key_size : NULL;
    default:
        return NULL;
    }
    if (f->nullable && in.end - p >= 4 && memcmp(p, "null", 4) == 0)
        return rl_checked(d, rl_put_null(f->column, row), p + 4);
    return NULL;
}

/* -- fields that the type does not know ------------------------------------------------------------------------ */

/* Keep the unknown field `name`, which holds no escapes, and whose value is at p. */
RL_NOINLINE const uint8_t *rl_keep_unknown(rl_decoder *d, rl_span name, const uint8_t *p, rl_input in)
{
    const uint8_t *value = p;
    size_t size;
    uint8_t *write;
    int i;
    if (d->n_unknown == RL_MAX_UNKNOWN)
        return NULL;
    for (i = 0; i < d->n_unknown; i++)
        if (d->unknown_names[i].size == name.size && memcmp(d->unknown_names[i].text, name.text, name.size) == 0)
            return NULL;
    p = rl_skip_value(d, p, in, RL_MAX_DEPTH);
    if (p == NULL)
        return NULL;
    if (d->n_unknown == 0)
        d->unknown.size = 0;
    size = (size_t)(p - value);
    if (rl_buffer_reserve(&d->unknown, name.size + size + 8) != RL_OK)
        return rl_checked(d, RL_NO_MEMORY, p);
    write = d->unknown.data + d->unknown.size;
    *write++ = d->n_unknown == 0 ? '{' : ',';
    *write++ = '"';
    if (name.size != 0)
        memcpy(write, name.text, name.size);
    write += name.size;
    *write++ = '"';
    *write++ = ':';
    memcpy(write, value, size);
    d->unknown.size = (size_t)(write + size - d->unknown.data);
    d->unknown_names[d->n_unknown++] = name;
    return p;
}

static int rl_put_unknown(rl_decoder *d, rl_column *extra, int64_t row)
{
    rl_input around;
    d->unknown.data[d->unknown.size++] = '}';
    if (rl_column_reserve(extra, row + 1 < 64 ? 64 : 2 * row) != RL_OK)
        return RL_NO_MEMORY;
    for (; extra->length < row; extra->length++)
        if (rl_put_null(extra, extra->length) != RL_OK)
            return RL_NO_MEMORY;
    around = rl_input_of(d->unknown.data, d->unknown.data + d->unknown.size);
    return rl_put_text(extra, row, d->unknown.data, d->unknown.size, around);
}

/* Give the fields that an event of the type did not hold what they hold then. */
RL_NOINLINE int rl_fill_absent(rl_decoder *d, const rl_type *t, int64_t row)
{
    uint32_t i;
    rl_input in;
    for (i = 0; i < t->n_fields; i++) {
        const rl_field *f = &t->fields[i];
        if (f->seen_in == d->event)
            continue;
        switch (f->absent) {
        case RL_ABSENT_NULL:
            if (rl_put_null(f->column, row) != RL_OK) {
                d->no_memory = 1;
                return RL_FALLBACK;
            }
            break;
        case RL_ABSENT_DEFAULT:
            in = rl_input_of(f->default_json, f->default_json + f->default_size + 1);
            if (rl_value(d, t, f, row, f->default_json, in) != f->default_json + f->default_size)
                return RL_FALLBACK;
            break;
        default:
            return RL_FALLBACK;
        }
    }
    return RL_TAKEN;
}

#endif
