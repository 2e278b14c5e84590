/* Arrays and objects inside events into columns with children. lex.h has the rules. */
#ifndef RLFAST_CONTAINERS_H
#define RLFAST_CONTAINERS_H

#include "members.h"

RL_INLINE int rl_in_bounds(const rl_field *f, int64_t items)
{
    return !f->limited || (items >= f->length_min && items <= f->length_max);
}

/* The end of a list whose items are rows [first, end) of the child; p is behind its bracket. The input's last byte closes
 * the event, and is not the list's. */
RL_INLINE const uint8_t *rl_end_list(
    const rl_field *f, int64_t row, const uint8_t *p, const rl_input *in, int64_t first, int64_t end)
{
    if (RL_UNLIKELY(!rl_in_bounds(f, end - first)) || p >= in->end)
        return NULL;
    rl_offsets(f->column)[row + 1] = (int32_t)end;
    return p;
}

/* The item at p to row `at`, the next one of the child, which counts it. */
RL_INLINE const uint8_t *rl_item(
    rl_decoder *d, const rl_field *item, int64_t at, const uint8_t *p, const rl_input *in, int kind)
{
    rl_column *child = item->column;
    if (RL_UNLIKELY(at == INT32_MAX) || rl_ready(child, at) != RL_OK)
        return rl_checked(d, at == INT32_MAX ? RL_TOO_BIG : RL_NO_MEMORY, p);
    /* Decided here, because there are many. */
    if (kind == RL_UUID && RL_LIKELY(*p == '"' && in->end - p >= 38 && p[37] == '"'))
        p = rl_parse_uuid(p + 1, rl_uuid_place(child, at)) ? p + 38 : NULL;
    else
        p = rl_value(d, NULL, item, at, p, in);
    child->length = at + (p != NULL);
    return p;
}

/* The items of a list, the first of which, or the closing bracket, is at p; `kind` is theirs. */
RL_INLINE const uint8_t *rl_items(
    rl_decoder *d, const rl_field *f, int64_t row, const uint8_t *p, const rl_input *in, int kind, rl_path *here)
{
    int64_t first = f->item->column->length, at = first;
    if (*p == ']')
        return rl_end_list(f, row, p + 1, in, first, at);
    for (;;) {
        if (here != NULL)
            here->index = at - first;
        p = rl_item(d, f->item, at, p, in, kind);
        if (RL_UNLIKELY(p == NULL))
            return NULL;
        at++;
        p = rl_skip_space(p);
        if (*p == ']')
            return rl_end_list(f, row, p + 1, in, first, at);
        if (RL_UNLIKELY(*p != ','))
            return NULL;
        p = rl_skip_space(p + 1);
    }
}

/* Take what items there are at p that are short texts in ASCII, and for which there is room. Returns the place behind the
 * last one and the spaces there, or p. */
RL_INLINE const uint8_t *rl_short_texts(const rl_field *item, const uint8_t *p, const rl_input *in)
{
    rl_column *child = item->column;
    const uint8_t *q = p;
    int64_t at = child->length, room = child->capacity < INT32_MAX ? child->capacity : INT32_MAX;
    size_t size = child->data.size, full = child->data.capacity < INT32_MAX ? child->data.capacity : INT32_MAX;
    if (RL_UNLIKELY(child->encoding != RL_PLAIN || item->limited))
        return p;
    while (RL_LIKELY(*q == '"' && at < room && q + 1 < in->tail && full - size >= 2 * RL_TEXT_SLACK)) {
        int n = rl_short_text(q + 1, child->data.data + size);
        if (RL_UNLIKELY(q[n + 1] != '"'))
            break;
        size += (size_t)n;
        rl_offsets(child)[++at] = (int32_t)size;
        p = rl_skip_space(q + n + 2);
        if (*p != ',')
            break;
        q = rl_skip_space(p + 1);
    }
    child->length = at;
    child->data.size = size;
    return p;
}

/* The items of a list of text from the one at p on; `first` is the row of the child at which it begins. */
RL_NOINLINE const uint8_t *rl_mixed_texts(
    rl_decoder *d, const rl_field *f, int64_t row, const uint8_t *p, const rl_input *in, int64_t first)
{
    rl_column *child = f->item->column;
    for (;;) {
        const uint8_t *q = rl_short_texts(f->item, p, in);
        if (q == p) {
            q = rl_item(d, f->item, child->length, p, in, RL_UTF8);
            if (q == NULL)
                return NULL;
            q = rl_skip_space(q);
        }
        if (*q == ']')
            return rl_end_list(f, row, q + 1, in, first, child->length);
        if (RL_UNLIKELY(*q != ','))
            return NULL;
        p = rl_skip_space(q + 1);
    }
}

RL_NOINLINE const uint8_t *rl_text_list(
    rl_decoder *d, const rl_field *f, int64_t row, const uint8_t *p, const rl_input *in)
{
    int64_t first = f->item->column->length;
    const uint8_t *q = rl_short_texts(f->item, p, in);
    if (RL_LIKELY(*q == ']'))
        return rl_end_list(f, row, q + 1, in, first, f->item->column->length);
    if (q != p) {
        if (*q != ',')
            return NULL;
        q = rl_skip_space(q + 1);
    }
    return rl_mixed_texts(d, f, row, q, in, first);
}

RL_NOINLINE const uint8_t *rl_uuid_list(
    rl_decoder *d, const rl_field *f, int64_t row, const uint8_t *p, const rl_input *in)
{
    return rl_items(d, f, row, p, in, RL_UUID, NULL);
}

/* Items that may hold unknown fields, whose path is kept. */
RL_NOINLINE const uint8_t *rl_other_list(
    rl_decoder *d, const rl_field *f, int64_t row, const uint8_t *p, const rl_input *in)
{
    rl_path here = {d->path, f, {NULL, 0}, 0};
    d->path = &here;
    p = rl_items(d, f, row, p, in, RL_STRUCT, &here);
    d->path = here.outer;
    return p;
}

static const uint8_t *rl_list_value(
    rl_decoder *d, const rl_field *f, int64_t row, const uint8_t *p, const rl_input *in)
{
    if (RL_UNLIKELY(*p != '['))
        return rl_null_value(d, f, row, p, in);
    p = rl_skip_space(p + 1);
    return f->item->kind == RL_UTF8 ? rl_text_list(d, f, row, p, in)
        : f->item->kind == RL_UUID ? rl_uuid_list(d, f, row, p, in)
        : rl_other_list(d, f, row, p, in);
}

/* -- maps: the entries are a struct of key and value ---------------------------------------------------------------- */

/* Few keys are compared with each other, more of them are put into a table. */
enum { RL_FEW_KEYS = 16 };

RL_INLINE rl_span rl_text_at(const rl_column *c, int64_t row)
{
    const int32_t *ends = rl_offsets(c) + row;
    rl_span text = {c->data.data + ends[0], (size_t)(ends[1] - ends[0])};
    return text;
}

/* Whether the keys of rows [first, end) are distinct; else the last value counts, which the general path knows. */
RL_NOINLINE int rl_distinct_keys(rl_decoder *d, const rl_column *keys, int64_t first, int64_t end)
{
    int64_t i, j;
    if (end - first <= RL_FEW_KEYS) {
        for (i = first; i < end; i++) {
            rl_span one = rl_text_at(keys, i);
            for (j = first; j < i; j++) {
                rl_span other = rl_text_at(keys, j);
                if (one.size == other.size && memcmp(one.text, other.text, one.size) == 0)
                    return 0;
            }
        }
        return 1;
    }
    rl_table_clear(&d->keys);
    for (i = first; i < end; i++) {
        rl_span key = rl_text_at(keys, i);
        int32_t code;
        if (rl_table_find(&d->keys, key.text, key.size, keys->data.data) >= 0)
            return 0;
        code = rl_table_add(&d->keys, key.text, key.size);
        if (code < 0) {
            d->no_memory |= code == RL_NO_MEMORY;
            return 0;
        }
    }
    return 1;
}

static const uint8_t *rl_map_value(rl_decoder *d, const rl_field *f, int64_t row, const uint8_t *p, const rl_input *in)
{
    rl_column *entries = f->column->children[0], *keys = entries->children[0];
    rl_path here = {d->path, f, {NULL, 0}, 0};
    int64_t first = entries->length, at = first;
    rl_input around;
    rl_span key;
    if (RL_UNLIKELY(*p != '{'))
        return rl_null_value(d, f, row, p, in);
    d->path = &here;
    p = rl_skip_space(p + 1);
    if (*p == '}')
        p++;
    else
        for (;;) {
            const uint8_t *start = p + 1;
            if (RL_UNLIKELY(*p != '"' || at == INT32_MAX))
                return NULL;
            if (rl_ready(entries, at) != RL_OK || rl_ready(keys, at) != RL_OK)
                return rl_checked(d, RL_NO_MEMORY, p);
            p = keys->encoding == RL_PLAIN ? rl_plain_text_value(keys, at, p, in) : NULL;
            if (RL_LIKELY(p != NULL)) {
                key.text = start;
                key.size = (size_t)(p - 1 - start);
            }
            else {
                p = rl_string(d, start, *in, &key, &around);
                if (p == NULL || rl_checked(d, rl_put_text(keys, at, key.text, key.size, around), p) == NULL)
                    return NULL;
            }
            keys->length = at + 1;
            p = rl_skip_space(p);
            if (*p != ':')
                return NULL;
            p = rl_skip_space(p + 1);
            here.name = key;
            here.index = key.text == start ? 0 : RL_NO_PATH;
            p = rl_child_value(d, NULL, f->item, at, p, in);
            if (RL_UNLIKELY(p == NULL))
                return NULL;
            entries->length = ++at;
            p = rl_skip_space(p);
            if (*p == '}') {
                p++;
                break;
            }
            if (RL_UNLIKELY(*p != ','))
                return NULL;
            p = rl_skip_space(p + 1);
        }
    d->path = here.outer;
    if (p >= in->end || !rl_in_bounds(f, at - first) || !rl_distinct_keys(d, keys, first, at))
        return NULL;
    rl_offsets(f->column)[row + 1] = (int32_t)at;
    return p;
}

/* -- structs -------------------------------------------------------------------------------------------------------- */

/* The member at p: its name, which lives until the next one, and the place of its value; NULL: to be asked. */
RL_INLINE const uint8_t *rl_member_name(rl_decoder *d, const uint8_t *p, const rl_input *in, rl_span *name)
{
    rl_input around;
    if (*p != '"')
        return NULL;
    p = rl_string(d, p + 1, *in, name, &around);
    if (p == NULL)
        return NULL;
    p = rl_skip_space(p);
    return *p == ':' ? rl_skip_space(p + 1) : NULL;
}

/* The place of the next member, of the one whose value is at p; NULL: there is none, or to be asked. */
RL_INLINE const uint8_t *rl_next_member(rl_decoder *d, const uint8_t *p, const rl_input *in)
{
    p = rl_skip_value(d, p, in);
    if (p == NULL || p >= in->end)
        return NULL;
    p = rl_skip_space(p);
    return *p == ',' ? rl_skip_space(p + 1) : NULL;
}

/* The type of the object whose members are from p on, by its tag, which is not the first one; NULL: to be asked. */
RL_NOINLINE rl_type *rl_find_type(rl_decoder *d, const rl_types *types, const uint8_t *p, const rl_input *in)
{
    /* Without the colon, before which there may be spaces. */
    size_t name_size = types->tag_key.key_size - 1;
    rl_span name;
    while (p != NULL) {
        int is_tag = (size_t)(in->end - p) > name_size && rl_same(p, types->tag_key.key, name_size);
        p = rl_member_name(d, p, in, &name);
        if (p != NULL && is_tag)
            return rl_read_tag(types, p, *in);
        if (p != NULL)
            p = rl_next_member(d, p, in);
    }
    return NULL;
}

/* An array's elements to the fields of type t, in their order, from number `n` on. */
RL_INLINE const uint8_t *rl_elements(
    rl_decoder *d, const rl_type *t, int64_t row, const uint8_t *p, const rl_input *in, uint64_t object, uint32_t n, int to)
{
    rl_path here = {d->path, NULL, {NULL, 0}, 0};
    uint32_t i = 0;
    int64_t index = n;
    d->path = &here;
    if (n != 0) {
        p = rl_skip_space(p);
        if (*p == ',')
            p = rl_skip_space(p + 1);
        else if (*p != ']')
            return NULL;
        else
            goto behind_elements;
    }
    else if (*p == ']')
        goto behind_elements;
    for (;; index++) {
        here.index = index;
        /* The tag, which comes first in the array, is the last of the fields. */
        if (i < t->n_fields && &t->fields[i] != t->tag) {
            rl_field *f = &t->fields[i++];
            f->seen_in = object;
            p = to == RL_TO_CHILD ? rl_child_value(d, t, f, row, p, in) : rl_value(d, t, f, row, p, in);
            if (RL_UNLIKELY(p == NULL))
                return NULL;
        }
        else {
            rl_span nameless = {NULL, 0};
            p = t->keeps_unknown ? rl_keep_unknown(d, nameless, object, p, in) : NULL;
            if (p == NULL)
                return NULL;
        }
        p = rl_skip_space(p);
        if (*p == ']')
            break;
        if (RL_UNLIKELY(*p != ','))
            return NULL;
        p = rl_skip_space(p + 1);
    }
behind_elements:
    d->path = here.outer;
    if (i + (t->tag != NULL) < t->n_fields && rl_fill_absent(d, t, row, object, to == RL_TO_CHILD) != RL_TAKEN)
        return NULL;
    return p + 1;
}

/* The type of the struct whose opening bracket is at p, and where its members, or elements, begin; NULL: to be asked. */
RL_INLINE rl_type *rl_begin_struct(rl_decoder *d, rl_types *types, const uint8_t *p, rl_start *start)
{
    rl_type *t = types->types;
    start->object = ++d->event;
    start->n = 0;
    p = rl_skip_space(p + 1);
    if (types->has_tag) {
        int first = types->is_array || rl_match(p, *start->in, &types->tag_key);
        if (first && !types->is_array)
            p = rl_skip_space(p + types->tag_key.key_size);
        t = first ? rl_read_tag(types, p, *start->in) : rl_find_type(d, types, p, start->in);
        if (t == NULL)
            return NULL;
        if (first) {
            p += t->tag_value.key_size;
            t->tag->seen_in = start->object;
            start->n = 1;
        }
    }
    start->p = p;
    start->previous = start->n ? t->tag : t->start;
    return RL_UNLIKELY(t->always_fallback) ? NULL : t;
}

static const uint8_t *rl_struct_value(rl_decoder *d, const rl_field *f, int64_t row, const uint8_t *p, const rl_input *in)
{
    rl_path here = {d->path, f, {NULL, 0}, RL_NO_INDEX};
    rl_start start;
    rl_type *t;
    if (RL_UNLIKELY(*p != (f->types->is_array ? '[' : '{')))
        return rl_null_value(d, f, row, p, in);
    start.in = in;
    t = rl_begin_struct(d, f->types, p, &start);
    if (RL_UNLIKELY(t == NULL))
        return NULL;
    if (f->kind == RL_UNION) {
        rl_column *tag = f->column->children[0];
        if (rl_ready(tag, row) != RL_OK || (t->column != NULL && rl_ready(t->column, row) != RL_OK))
            return rl_checked(d, RL_NO_MEMORY, p);
        rl_put_integer(tag, row, (uint64_t)t->tag_code);
        tag->length = row + 1;
    }
    d->path = &here;
    p = f->types->is_array ? rl_elements(d, t, row, start.p, in, start.object, start.n, RL_TO_CHILD)
        : rl_members(d, t, row, NULL, start, RL_TO_CHILD);
    d->path = here.outer;
    if (RL_UNLIKELY(p == NULL || p >= in->end))
        return NULL;
    if (t->column != NULL)
        t->column->length = row + 1;
    return p;
}

/* What an envelope has inside, into the row of the table. */
static const uint8_t *rl_event_value(rl_decoder *d, const rl_field *f, int64_t row, const uint8_t *p, const rl_input *in)
{
    rl_path here = {d->path, f, {NULL, 0}, RL_NO_INDEX};
    int is_list = f->accepts == RL_ACCEPT_ARRAY;
    rl_start start;
    rl_type *t;
    if (is_list) {
        if (p != d->array)
            return NULL;
        p = d->element;
    }
    if (*p != (f->types->is_array ? '[' : '{'))
        return NULL;
    start.in = in;
    t = rl_begin_struct(d, f->types, p, &start);
    if (t == NULL)
        return NULL;
    if (is_list)
        here.index = d->item;
    d->path = &here;
    p = f->types->is_array ? rl_elements(d, t, row, start.p, in, start.object, start.n, RL_TO_ROW)
        : rl_members(d, t, row, NULL, start, RL_TO_ROW);
    d->path = here.outer;
    if (p == NULL || p >= in->end)
        return NULL;
    if (is_list) {
        d->element = p;
        p = d->array_end;
    }
    return p;
}

/* The value at p, which only one of the parts of JSON text can check; returns the place behind it. */
RL_NOINLINE const uint8_t *rl_part_value(rl_decoder *d, const rl_field *f, const uint8_t *p, const rl_input *in)
{
    const rl_field *part = f->parts, *end = part + f->n_parts;
    const rl_path *path = d->path;
    int n_unknown = d->n_unknown;
    size_t unknown_size = d->unknown.size;
    uint8_t accepts = *p == '"' ? RL_ACCEPT_STRING : *p == '[' ? RL_ACCEPT_ARRAY : *p == '{' ? RL_ACCEPT_OBJECT
        : RL_ACCEPT_INTEGER;
    while (part < end && !(part->part_of & accepts))
        part++;
    if (part == end)
        return NULL;
    if (rl_ready(part->column, 0) != RL_OK)
        return rl_checked(d, RL_NO_MEMORY, p);
    p = rl_value(d, NULL, part, 0, p, in);
    rl_take_back(part->column, 0);
    /* What is kept as text keeps all of its fields; and a value that fails may leave its path behind. */
    d->path = path;
    d->n_unknown = n_unknown;
    d->unknown.size = unknown_size;
    return p;
}

/* Any JSON, kept as the text that it is. */
static const uint8_t *rl_json_value(rl_decoder *d, const rl_field *f, int64_t row, const uint8_t *p, const rl_input *in)
{
    const uint8_t *after = f->n_parts != 0 ? rl_part_value(d, f, p, in) : NULL;
    int checked = after != NULL;
    if (!checked)
        after = rl_skip_value(d, p, in);
    /* A container may have taken the last byte of the input. */
    if (after == NULL || after >= in->end)
        return NULL;
    if (RL_UNLIKELY(*p == 'n') && f->nullable)
        return rl_checked(d, rl_put_null(f->column, row), after);
    if (!checked && !rl_accepted(f->accepts, p, (size_t)(after - p)))
        return NULL;
    return rl_checked(d, rl_put_text(f->column, row, p, (size_t)(after - p), *in), after);
}

/* Values that are not decided in rl_value. */
static const uint8_t *rl_nested_value(rl_decoder *d, const rl_field *f, int64_t row, const uint8_t *p, const rl_input *in)
{
    switch (f->kind) {
    case RL_INT8:
    case RL_INT16:
    case RL_INT32:
    case RL_UINT8:
    case RL_UINT16:
    case RL_UINT32:
    case RL_UINT64:
    case RL_INT_CHOICE:
        return rl_integer_value(d, f, row, p, in);
    case RL_FLOAT32:
        return rl_float32_value(d, f, row, p, in);
    case RL_EPOCH_SECONDS:
    case RL_EPOCH_MILLIS:
    case RL_EPOCH_MICROS:
    case RL_EPOCH_NANOS:
        return rl_epoch_value(d, f, row, p, in);
    case RL_EVENT:
        return rl_event_value(d, f, row, p, in);
    default:
        return rl_parsed_value(d, f, row, p, in);
    }
}

#endif
