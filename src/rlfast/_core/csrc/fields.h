/* The fields of a type into columns: those that an object holds, that it does not hold, and that the type does not know.
 * lex.h has the rules, and this one: whoever writes a row of a child has it made ready, and counts it afterwards; what
 * fails on the way is taken back with the row of the table. */
#ifndef RLFAST_FIELDS_H
#define RLFAST_FIELDS_H

#include "column_values.h"

static const uint8_t *rl_list_value(
    rl_decoder *d, const rl_field *f, int64_t row, const uint8_t *p, const rl_input *in);
static const uint8_t *rl_struct_value(rl_decoder *d, const rl_field *f, int64_t row, const uint8_t *p, const rl_input *in);
static const uint8_t *rl_map_value(rl_decoder *d, const rl_field *f, int64_t row, const uint8_t *p, const rl_input *in);
static const uint8_t *rl_json_value(rl_decoder *d, const rl_field *f, int64_t row, const uint8_t *p, const rl_input *in);
static const uint8_t *rl_nested_value(rl_decoder *d, const rl_field *f, int64_t row, const uint8_t *p, const rl_input *in);

/* Write the value at p at row `row`; returns the place behind it. */
RL_INLINE const uint8_t *rl_value(
    rl_decoder *d, const rl_type *t, const rl_field *f, int64_t row, const uint8_t *p, const rl_input *in)
{
    int64_t integer;
    double number;
    switch (f->kind) {
    case RL_UUID:
        if (RL_UNLIKELY(*p != '"'))
            break;
        if (in->end - p < 38 || p[37] != '"' || !rl_parse_uuid(p + 1, rl_uuid_place(f->column, row)))
            return NULL;
        return p + 38;
    case RL_UTF8:
    case RL_CATEGORY:
        if (RL_UNLIKELY(*p != '"'))
            break;
        return rl_text_value(d, f, row, p, in);
    case RL_INT64:
        if (RL_UNLIKELY(*p == 'n'))
            break;
        p = rl_parse_int64(p, in->end, &integer);
        if (p == NULL || !rl_in_range(f, integer))
            return NULL;
        rl_put_int64(f->column, row, integer);
        return p;
    case RL_FLOAT64:
        if (RL_UNLIKELY(*p == 'n'))
            break;
        p = rl_parse_double(p, in->end, d->powers, &number);
        if (p == NULL || (f->limited && !(number >= f->float_min && number <= f->float_max)))
            return NULL;
        rl_put_double(f->column, row, number);
        return p;
    case RL_BOOL:
        if (in->end - p >= 4 && memcmp(p, "true", 4) == 0) {
            rl_set_bit(&f->column->data, row, 1);
            return p + 4;
        }
        if (in->end - p >= 5 && memcmp(p, "false", 5) == 0) {
            rl_set_bit(&f->column->data, row, 0);
            return p + 5;
        }
        break;
    case RL_LIST:
        return rl_list_value(d, f, row, p, in);
    case RL_STRUCT:
    case RL_TUPLE:
    case RL_UNION:
        return rl_struct_value(d, f, row, p, in);
    case RL_MAP:
        return rl_map_value(d, f, row, p, in);
    case RL_JSON:
        return rl_json_value(d, f, row, p, in);
    case RL_DATETIME:
        return rl_parsed_value(d, f, row, p, in);
    case RL_TAG:
        return rl_match(p, *in, &t->tag_value) ? p + t->tag_value.key_size : NULL;
    default:
        return rl_nested_value(d, f, row, p, in);
    }
    return rl_null_value(d, f, row, p, in);
}

/* The same for a child, which counts the row. */
RL_INLINE const uint8_t *rl_child_value(
    rl_decoder *d, const rl_type *t, const rl_field *f, int64_t row, const uint8_t *p, const rl_input *in)
{
    if (f->column == NULL)
        return rl_value(d, t, f, row, p, in);
    if (rl_ready(f->column, row) != RL_OK)
        return rl_checked(d, RL_NO_MEMORY, p);
    /* Most values inside of others are text. */
    if (f->kind == RL_UTF8 && RL_LIKELY(*p == '"' && f->column->encoding == RL_PLAIN && !f->limited)) {
        const uint8_t *after = rl_plain_text_value(f->column, row, p, in);
        if (RL_LIKELY(after != NULL)) {
            f->column->length = row + 1;
            return after;
        }
    }
    p = rl_value(d, t, f, row, p, in);
    if (RL_LIKELY(p != NULL))
        f->column->length = row + 1;
    return p;
}

/* -- fields that the type does not know ------------------------------------------------------------------------ */

/* The name of a field, without quotes and colon. */
RL_INLINE rl_span rl_name_of(const rl_field *f)
{
    rl_span name = {f->key + 1, f->key_size - 3};
    return name;
}

/* Append JSON Pointer's form (RFC 6901) of a name to `out`, which has room for twice its size. */
RL_INLINE uint8_t *rl_write_pointer_name(uint8_t *out, rl_span name)
{
    size_t i;
    for (i = 0; i < name.size; i++)
        if (name.text[i] == '~' || name.text[i] == '/') {
            *out++ = '~';
            *out++ = name.text[i] == '~' ? '0' : '1';
        }
        else
            *out++ = name.text[i];
    return out;
}

static size_t rl_path_room(const rl_path *path)
{
    size_t room = 24;
    if (path == NULL)
        return 0;
    if (path->field != NULL && path->field->key != NULL)
        room += 2 * path->field->key_size;
    if (path->name.text != NULL)
        room += 2 * path->name.size;
    return rl_path_room(path->outer) + room;
}

static uint8_t *rl_write_path(uint8_t *out, const rl_path *path)
{
    uint8_t digits[20];
    int n = 0;
    int64_t index;
    if (path == NULL)
        return out;
    out = rl_write_path(out, path->outer);
    if (path->field != NULL && path->field->key != NULL) {
        *out++ = '/';
        out = rl_write_pointer_name(out, rl_name_of(path->field));
    }
    if (path->name.text == NULL && path->index == RL_NO_INDEX)
        return out;
    *out++ = '/';
    if (path->name.text != NULL)
        return rl_write_pointer_name(out, path->name);
    index = path->index;
    do
        digits[n++] = (uint8_t)('0' + index % 10);
    while ((index /= 10) != 0);
    while (n != 0)
        *out++ = digits[--n];
    return out;
}

/* Keep the unknown member `name`, which holds no escapes, of the object with the number `object`; its value is at p.
 * Where the event is not that object, or the name begins with a slash, a pointer stands for the name. Without a name
 * it is an element, and the path is all. */
RL_NOINLINE const uint8_t *rl_keep_unknown(
    rl_decoder *d, rl_span name, uint64_t object, const uint8_t *p, const rl_input *in)
{
    const uint8_t *value = p;
    const rl_path *path;
    size_t size;
    uint8_t *write;
    int i;
    if (d->n_unknown == RL_MAX_UNKNOWN)
        return NULL;
    for (path = d->path; path != NULL; path = path->outer)
        if (path->index == RL_NO_PATH)
            return NULL;
    for (i = 0; name.text != NULL && i < d->n_unknown; i++)
        if (d->unknown_names[i].object == object && d->unknown_names[i].name.size == name.size
            && memcmp(d->unknown_names[i].name.text, name.text, name.size) == 0)
            return NULL;
    p = rl_skip_value(d, p, in);
    /* An unknown value may end with a bracket, and take the last one of the input. */
    if (p == NULL || p >= in->end)
        return NULL;
    if (d->n_unknown == 0)
        d->unknown.size = 0;
    size = (size_t)(p - value);
    if (rl_buffer_reserve(&d->unknown, rl_path_room(d->path) + 2 * name.size + size + 8) != RL_OK)
        return rl_checked(d, RL_NO_MEMORY, p);
    write = d->unknown.data + d->unknown.size;
    *write++ = d->n_unknown == 0 ? '{' : ',';
    *write++ = '"';
    if (d->path != NULL || (name.size != 0 && *name.text == '/')) {
        write = rl_write_path(write, d->path);
        if (name.text != NULL) {
            *write++ = '/';
            write = rl_write_pointer_name(write, name);
        }
    }
    else if (name.size != 0) {
        memcpy(write, name.text, name.size);
        write += name.size;
    }
    *write++ = '"';
    *write++ = ':';
    memcpy(write, value, size);
    d->unknown.size = (size_t)(write + size - d->unknown.data);
    d->unknown_names[d->n_unknown].name = name;
    d->unknown_names[d->n_unknown++].object = object;
    return p;
}

static int rl_put_unknown(rl_decoder *d, rl_column *extra, int64_t row)
{
    rl_input around;
    d->unknown.data[d->unknown.size++] = '}';
    if (rl_ready(extra, row) != RL_OK)
        return RL_NO_MEMORY;
    around = rl_input_of(d->unknown.data, d->unknown.data + d->unknown.size);
    return rl_put_text(extra, row, d->unknown.data, d->unknown.size, around);
}

/* Give the fields that an object of the type, with the number `object`, did not hold what they hold then. The fields of a
 * `child` need not be told that they are null. */
RL_NOINLINE int rl_fill_absent(rl_decoder *d, const rl_type *t, int64_t row, uint64_t object, int child)
{
    uint32_t i;
    rl_input in;
    const uint8_t *p;
    for (i = 0; i < t->n_fields; i++) {
        const rl_field *f = &t->fields[i];
        if (f->seen_in == object)
            continue;
        switch (f->absent) {
        case RL_ABSENT_NULL:
            if (!child && rl_put_null(f->column, row) != RL_OK) {
                d->no_memory = 1;
                return RL_FALLBACK;
            }
            break;
        case RL_ABSENT_DEFAULT:
            in = rl_input_of(f->default_json, f->default_json + f->default_size + 1);
            p = child ? rl_child_value(d, t, f, row, f->default_json, &in)
                : rl_value(d, t, f, row, f->default_json, &in);
            if (p != f->default_json + f->default_size)
                return RL_FALLBACK;
            break;
        default:
            return RL_FALLBACK;
        }
    }
    return RL_TAKEN;
}

#endif
