/* The decoder itself. Each kernel_*.c includes this once, behind its lanes_*.h, and so compiles it for one
 * instruction set.
 *
 * Rules for every function here. Bytes are read from the input only. NULL, or RL_ASK, means that the general path
 * shall look at the event. When in doubt, ask: what is taken here must be what msgspec would have made of it.
 * Where the input is an object, its last byte is the closing brace: no key, and no value of a known field, ends with
 * a brace, so the place behind one is inside the input, and needs no check.
 */

enum { RL_ASK = 0, RL_TAKEN = 1 };

RL_INLINE int rl_is_space(uint8_t c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* In an object. */
RL_INLINE const uint8_t *rl_skip_space(const uint8_t *p)
{
    while (RL_UNLIKELY(*p <= ' ') && rl_is_space(*p))
        p++;
    return p;
}


/* Anywhere. */
RL_INLINE const uint8_t *rl_skip_space_to(const uint8_t *p, const uint8_t *end)
{
    while (p < end && rl_is_space(*p))
        p++;
    return p;
}

RL_INLINE int rl_match(const uint8_t *p, rl_input in, const rl_field *f)
{
    if (RL_LIKELY(p <= in.tail && f->mask != 0))
        return rl_match_long(p, f);
    return (size_t)(in.end - p) >= f->key_size && rl_same(p, f->key, f->key_size);
}

/* -- strings ------------------------------------------------------------------------------------------------ */

/* A string with escapes or with bytes that are not ASCII; q is the first of these, or where the text ends. */
RL_NOINLINE const uint8_t *rl_odd_string(
    rl_decoder *d, const uint8_t *p, const uint8_t *q, rl_input in, rl_span *out, rl_input *around)
{
    const uint8_t *run = p, *end = in.end;
    uint8_t *write = NULL;
    int n;
    for (;;) {
        if (q >= end || *q < 0x20)
            return NULL;
        if (*q == '"')
            break;
        if (*q >= 0x80) {
            n = rl_utf8_sequence(q, end);
            if (n == 0)
                return NULL;
            q += n;
        }
        else {
            if (write == NULL) {
                /* No escape is shorter than what it stands for. */
                d->scratch.size = 0;
                if (rl_buffer_reserve(&d->scratch, (size_t)(end - p) + RL_TEXT_SLACK) != RL_OK) {
                    d->no_memory = 1;
                    return NULL;
                }
                write = d->scratch.data;
            }
            memcpy(write, run, (size_t)(q - run));
            write += q - run;
            q = rl_unescape(q, end, write, &n);
            if (q == NULL)
                return NULL;
            write += n;
            run = q;
        }
        q = rl_scan(q, in);
    }
    if (write == NULL) {
        out->text = p;
        out->size = (size_t)(q - p);
        *around = in;
    }
    else {
        memcpy(write, run, (size_t)(q - run));
        write += q - run;
        out->text = d->scratch.data;
        out->size = (size_t)(write - d->scratch.data);
        around->begin = d->scratch.data;
        around->end = d->scratch.data + d->scratch.capacity;
    }
    return q + 1;
}

/* The string whose opening quote is before p, as UTF-8 without escapes, which lives until the next string, within
 * `around`. Returns the place behind the closing quote. */
RL_INLINE const uint8_t *rl_string(
    rl_decoder *d, const uint8_t *p, rl_input in, rl_span *out, rl_input *around)
{
    const uint8_t *q = rl_scan(p, in);
    if (RL_LIKELY(q < in.end && *q == '"')) {
        out->text = p;
        out->size = (size_t)(q - p);
        *around = in;
        return q + 1;
    }
    return rl_odd_string(d, p, q, in, out, around);
}

RL_NOINLINE int64_t rl_code_points(const uint8_t *text, size_t n)
{
    int64_t count = 0;
    size_t i;
    for (i = 0; i < n; i++)
        count += (text[i] & 0xC0) != 0x80;
    return count;
}

/* -- values of fields that the type knows ------------------------------------------------------------------- */

RL_INLINE const uint8_t *rl_checked(rl_decoder *d, int result, const uint8_t *p)
{
    if (RL_LIKELY(result == RL_OK))
        return p;
    if (result == RL_NO_MEMORY)
        d->no_memory = 1;
    return NULL;
}

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

RL_NOINLINE const uint8_t *rl_odd_text_value(
    rl_decoder *d, const rl_field *f, int64_t row, const uint8_t *p, const uint8_t *q, rl_input in)
{
    rl_input around;
    rl_span text;
    p = rl_odd_string(d, p, q, in, &text, &around);
    return p == NULL ? NULL : rl_take_text(d, f, row, text.text, text.size, around, p);
}

RL_INLINE const uint8_t *rl_text_value(
    rl_decoder *d, const rl_field *f, int64_t row, const uint8_t *p, rl_input in)
{
    const uint8_t *q = rl_scan(++p, in);
    if (RL_LIKELY(q < in.end && *q == '"'))
        return rl_take_text(d, f, row, p, (size_t)(q - p), in, q + 1);
    return rl_odd_text_value(d, f, row, p, q, in);
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

/* -- values of fields that the type does not know ------------------------------------------------------------- */

/* A number that msgspec takes for certain, whatever its type: few digits, and far from the limits of a double. */
RL_INLINE const uint8_t *rl_skip_number(const uint8_t *p, const uint8_t *end)
{
    const uint8_t *first, *start;
    p += p < end && *p == '-';
    first = p;
    while (p < end && rl_is_digit(*p))
        p++;
    if (p == first || p - first > 19 || (*first == '0' && p - first > 1))
        return NULL;
    if (p < end && *p == '.') {
        start = ++p;
        while (p < end && rl_is_digit(*p))
            p++;
        if (p == start)
            return NULL;
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        p++;
        p += p < end && (*p == '+' || *p == '-');
        start = p;
        while (p < end && rl_is_digit(*p))
            p++;
        if (p == start || p - start > 2)
            return NULL;
    }
    return p;
}

/* The place behind the JSON value at p, or NULL. */
static const uint8_t *rl_skip_value(rl_decoder *d, const uint8_t *p, rl_input in, int depth)
{
    const uint8_t *end = in.end;
    rl_input around;
    rl_span text;
    uint8_t open, close;
    if (p >= end)
        return NULL;
    open = *p;
    if (open == '"')
        return rl_string(d, p + 1, in, &text, &around);
    if (open != '{' && open != '[') {
        if (end - p >= 4 && (memcmp(p, "true", 4) == 0 || memcmp(p, "null", 4) == 0))
            return p + 4;
        if (end - p >= 5 && memcmp(p, "false", 5) == 0)
            return p + 5;
        return rl_skip_number(p, end);
    }
    if (depth == 0)
        return NULL;
    close = open == '{' ? '}' : ']';
    p = rl_skip_space_to(p + 1, end);
    if (p < end && *p == close)
        return p + 1;
    for (;;) {
        if (open == '{') {
            if (p >= end || *p != '"')
                return NULL;
            p = rl_string(d, p + 1, in, &text, &around);
            if (p == NULL)
                return NULL;
            p = rl_skip_space_to(p, end);
            if (p >= end || *p != ':')
                return NULL;
            p = rl_skip_space_to(p + 1, end);
        }
        p = rl_skip_value(d, p, in, depth - 1);
        if (p == NULL)
            return NULL;
        p = rl_skip_space_to(p, end);
        if (p >= end)
            return NULL;
        if (*p == close)
            return p + 1;
        if (*p != ',')
            return NULL;
        p = rl_skip_space_to(p + 1, end);
    }
}

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

/* -- objects --------------------------------------------------------------------------------------------------- */

/* The key at p, which is not the one that was expected: the index of its field, or -1 for an unknown name. Returns
 * the place of the value. */
RL_NOINLINE const uint8_t *rl_find_key(
    rl_decoder *d, const rl_type *t, const uint8_t *p, rl_input in, int32_t *index, rl_span *name)
{
    const uint8_t *start = p + 1;
    rl_input around;
    if (*p != '"')
        return NULL;
    p = rl_string(d, start, in, name, &around);
    if (p == NULL)
        return NULL;
    *index = rl_words_find(&t->names, name->text, name->size, around.begin);
    /* To keep an unknown name it would have to be escaped again. */
    if (*index < 0 && name->text != start)
        return NULL;
    p = rl_skip_space(p);
    return *p == ':' ? rl_skip_space(p + 1) : NULL;
}

/* The type whose tag is the value at p, or NULL. */
RL_INLINE rl_type *rl_read_tag(const rl_decoder *d, const uint8_t *p, rl_input in)
{
    rl_type *t;
    uint32_t first = 0;
    if (RL_LIKELY(in.end - p >= 4))
        first = rl_load32(p);
    else
        memcpy(&first, p, (size_t)(in.end - p));
    for (t = d->tags[rl_tag_bucket(first & d->tag_mask)]; t != NULL; t = t->next_in_bucket)
        if (RL_LIKELY(rl_match(p, in, &t->tag_value)))
            return t;
    return NULL;
}

/* Guess the type of an object, whose members are from p on, by a tag that is not its first member. A wrong
 * guess does no harm: the tag is read again in its turn. */
RL_NOINLINE rl_type *rl_guess_type(const rl_decoder *d, const uint8_t *p, rl_input in)
{
    /* Without the colon, before which there may be spaces. */
    size_t name_size = d->tag_key.key_size - 1;
    const uint8_t *name = d->tag_key.key, *end = in.end, *q, *value;
    rl_type *type;
    /* The last member? Whatever its value is, a text or a number, it has no quotes inside. */
    q = end - 1;
    while (q > p && q[-1] <= ' ')
        q--;
    if (q > p)
        q--;
    while (q > p && q[-1] != '"' && q[-1] != ':' && q[-1] > ' ')
        q--;
    value = q > p && q[-1] == '"' ? q - 1 : q;
    type = rl_read_tag(d, value, in);
    if (type != NULL) {
        for (q = value; q > p && (q[-1] <= ' ' || q[-1] == ':'); q--)
            ;
        if ((size_t)(q - p) >= name_size && rl_same(q - name_size, name, name_size))
            return type;
    }
    while ((size_t)(end - p) > name_size) {
        q = (const uint8_t *)memchr(p, '"', (size_t)(end - p));
        if (q == NULL || (size_t)(end - q) <= name_size)
            return NULL;
        if (rl_same(q, name, name_size)) {
            value = rl_skip_space(q + name_size);
            if (*value == ':') {
                type = rl_read_tag(d, rl_skip_space(value + 1), in);
                if (type != NULL)
                    return type;
            }
        }
        p = q + 1;
    }
    return NULL;
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
                return RL_ASK;
            }
            break;
        case RL_ABSENT_DEFAULT:
            in = rl_input_of(f->fallback, f->fallback + f->fallback_size + 1);
            if (rl_value(d, t, f, row, f->fallback, in) != f->fallback + f->fallback_size)
                return RL_ASK;
            break;
        default:
            return RL_ASK;
        }
    }
    return RL_TAKEN;
}

#include "cells.h"

/* -- events ------------------------------------------------------------------------------------------------------ */

/* Where an event's members begin: at `p`, or, if `previous` is the tag, behind its value. */
typedef struct {
    const uint8_t *p;
    rl_input in;
    rl_field *previous;
    uint32_t n;             /* members of the type that were read */
} rl_start;

/* The members of an object of type t, to `cells`, or, if that is NULL, to the type's row `row`. */
RL_INLINE int rl_members(rl_decoder *d, const rl_type *t, int64_t row, rl_cell *cells, rl_start start)
{
    const uint8_t *p = start.p;
    rl_input in = start.in;
    rl_field *previous = start.previous, *f;
    uint32_t n = start.n;
    int32_t found;
    rl_span name;
    if (previous != t->start)
        goto behind_value;
    if (*p == '}')
        goto behind_members;
    for (;;) {
        f = previous->next;
        if (RL_LIKELY(rl_match(p, in, f)))
            p = rl_skip_space(p + f->key_size);
        else {
            p = rl_find_key(d, t, p, in, &found, &name);
            if (p == NULL)
                return RL_ASK;
            if (found < 0) {
                if (!t->keeps_unknown)
                    return RL_ASK;
                p = cells != NULL ? rl_skip_value(d, p, in, RL_MAX_DEPTH) : rl_keep_unknown(d, name, p, in);
                /* An unknown value may end with a brace, and take the object's own. */
                if (p == NULL || p == in.end)
                    return RL_ASK;
                goto behind_value;
            }
            f = &t->fields[found];
            previous->next = f;
        }
        if (RL_UNLIKELY(f->seen_in == d->event))
            return RL_ASK;
        f->seen_in = d->event;
        n++;
        p = cells != NULL ? rl_value_cell(d, t, f, &cells[f - t->fields], p, in) : rl_value(d, t, f, row, p, in);
        if (RL_UNLIKELY(p == NULL))
            return RL_ASK;
        previous = f;
    behind_value:
        if (RL_UNLIKELY(*p <= ' '))
            p = rl_skip_space(p);
        if (RL_LIKELY(*p == ',')) {
            p = rl_skip_space(p + 1);
            continue;
        }
        if (RL_LIKELY(*p == '}'))
            break;
        return RL_ASK;
    }
behind_members:
    if (p + 1 != in.end)
        return RL_ASK;
    if (RL_LIKELY(n == t->n_fields))
        return RL_TAKEN;
    return cells != NULL ? rl_mark_absent(d, t, cells) : rl_fill_absent(d, t, row);
}

/* The type of the event in [p, end), and where its members begin; NULL: to be asked. */
RL_INLINE rl_type *rl_begin_event(rl_decoder *d, const uint8_t *p, const uint8_t *end, rl_start *start)
{
    rl_type *t = d->types;
    if (RL_UNLIKELY(end - p < 2 || *p != '{' || end[-1] != '}')) {
        while (p < end && rl_is_space(end[-1]))
            end--;
        p = rl_skip_space_to(p, end);
        if (end - p < 2 || *p != '{' || end[-1] != '}')
            return NULL;
    }
    start->in = rl_input_of(p, end);
    start->n = 0;
    p = rl_skip_space(p + 1);
    d->event++;
    if (d->has_tag && RL_LIKELY(rl_match(p, start->in, &d->tag_key))) {
        p = rl_skip_space(p + d->tag_key.key_size);
        t = rl_read_tag(d, p, start->in);
        if (RL_UNLIKELY(t == NULL))
            return NULL;
        p += t->tag_value.key_size;
        start->previous = t->tag;
        t->tag->seen_in = d->event;
        start->n = 1;
    }
    else {
        if (d->has_tag) {
            t = rl_guess_type(d, p, start->in);
            if (t == NULL)
                return NULL;
        }
        start->previous = t->start;
    }
    start->p = p;
    return RL_UNLIKELY(t->judged) ? NULL : t;
}

/* See rl_reader. */
static const rl_type *rl_read_event(rl_decoder *d, const uint8_t *p, const uint8_t *end, rl_cell *cells)
{
    rl_start start;
    rl_type *t = rl_begin_event(d, p, end, &start);
    d->items.size = 0;
    return t != NULL && rl_members(d, t, 0, cells, start) == RL_TAKEN ? t : NULL;
}

RL_INLINE int rl_event(
    rl_decoder *d, const uint8_t *p, const uint8_t *end, int64_t seq, int64_t epoch, int64_t received_at)
{
    rl_start start;
    rl_type *t = rl_begin_event(d, p, end, &start);
    rl_rows *table;
    uint32_t i;
    int64_t row;
    if (RL_UNLIKELY(t == NULL))
        return RL_ASK;
    table = t->rows;
    row = table->rows;
    if (RL_UNLIKELY(row >= table->capacity) && rl_rows_grow(table) != RL_OK) {
        d->no_memory = 1;
        return RL_ASK;
    }
    d->n_unknown = 0;
    if (RL_UNLIKELY(rl_members(d, t, row, NULL, start) != RL_TAKEN))
        goto undo;
    if (RL_UNLIKELY(d->n_unknown != 0)) {
        int result = rl_put_unknown(d, table->extra, row);
        if (result != RL_OK) {
            d->no_memory = result == RL_NO_MEMORY;
            goto undo;
        }
        table->extra->length = row + 1;
    }
    rl_put_int64(table->seq, row, seq);
    rl_put_int64(table->epoch, row, epoch);
    rl_put_int64(table->received_at, row, received_at);
    table->rows = row + 1;
    return RL_TAKEN;
undo:
    for (i = 0; i < t->n_fields; i++)
        if (t->fields[i].column != NULL)
            rl_take_back(t->fields[i].column, row);
    return RL_ASK;
}

/* A message of an untyped stream: any JSON, kept as it is. */
static int rl_untyped_event(
    rl_decoder *d, const uint8_t *p, const uint8_t *end, int64_t seq, int64_t epoch, int64_t received_at)
{
    rl_rows *table = d->untyped;
    rl_column *json = table->columns[table->n_columns - 1];
    rl_input in = rl_input_of(p, end);
    const uint8_t *q = rl_skip_value(d, rl_skip_space_to(p, end), in, RL_MAX_DEPTH);
    int64_t row = table->rows;
    int result;
    if (q == NULL || rl_skip_space_to(q, end) != end)
        return RL_ASK;
    if (row >= table->capacity && rl_rows_grow(table) != RL_OK) {
        d->no_memory = 1;
        return RL_ASK;
    }
    result = rl_put_text(json, row, p, (size_t)(end - p), in);
    if (result != RL_OK) {
        d->no_memory = result == RL_NO_MEMORY;
        return RL_ASK;
    }
    rl_put_int64(table->seq, row, seq);
    rl_put_int64(table->epoch, row, epoch);
    rl_put_int64(table->received_at, row, received_at);
    table->rows = row + 1;
    return RL_TAKEN;
}

static void rl_run_kernel(rl_decoder *d, rl_run *run)
{
    uint32_t i = run->at, stop = run->stop, stamp = run->stamp, stamp_end = run->stamp_end;
    d->no_memory = 0;
    for (; i < stop; i++) {
        const uint8_t *p = run->data + run->offsets[i], *end = run->data + run->offsets[i + 1];
        int64_t seq = run->first_seq + i, received_at;
        while (i >= stamp_end)
            stamp_end += run->stamps[++stamp].count;
        received_at = run->stamps[stamp].received_at;
        if (RL_LIKELY(d->untyped == NULL)) {
            if (RL_UNLIKELY(rl_event(d, p, end, seq, run->epoch, received_at) != RL_TAKEN))
                break;
        }
        else if (rl_untyped_event(d, p, end, seq, run->epoch, received_at) != RL_TAKEN)
            break;
    }
    run->at = i;
    run->stamp = stamp;
    run->stamp_end = stamp_end;
}

#include "values.h"
