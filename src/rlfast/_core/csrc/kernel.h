/* The decoder itself: events into rows, or to tokens. Each kernel_*.c includes this once, and so compiles it for one
 * instruction set. lex.h has the rules. */
#ifndef RLFAST_KERNEL_H
#define RLFAST_KERNEL_H

#include "containers.h"
#include "documents.h"
#include "token_containers.h"
#include "values.h"

/* The type of the tag's value, whose name may be at q: there is room for it, and more. Or NULL. */
RL_INLINE rl_type *rl_type_at(const rl_types *types, const uint8_t *q, rl_input in)
{
    /* Without the colon, before which there may be spaces. */
    size_t name_size = types->tag_key.key_size - 1;
    if (!rl_same(q, types->tag_key.key, name_size))
        return NULL;
    q = rl_skip_space(q + name_size);
    return *q == ':' ? rl_read_tag(types, rl_skip_space(q + 1), in) : NULL;
}

/* Guess the type of an object, whose members are from p on, by a tag that is not its first member. A wrong
 * guess does no harm: the tag is read again in its turn. */
RL_NOINLINE rl_type *rl_guess_type(rl_types *types, const uint8_t *p, rl_input in)
{
    size_t name_size = types->tag_key.key_size - 1;
    const uint8_t *name = types->tag_key.key, *first = p, *end = in.end, *q, *value;
    rl_type *type;
    /* Where it was the last time? What comes before a tag often has one size. */
    if (types->tag_at != 0 && (size_t)(end - p) > types->tag_at + name_size) {
        type = rl_type_at(types, p + types->tag_at, in);
        if (type != NULL)
            return type;
    }
    /* The last member? Whatever its value is, a text or a number, it has no quotes inside. */
    q = end - 1;
    while (q > p && q[-1] <= ' ')
        q--;
    if (q > p)
        q--;
    while (q > p && q[-1] != '"' && q[-1] != ':' && q[-1] > ' ')
        q--;
    value = q > p && q[-1] == '"' ? q - 1 : q;
    type = rl_read_tag(types, value, in);
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
        type = rl_type_at(types, q, in);
        if (type != NULL) {
            types->tag_at = (uint32_t)(q - first);
            return type;
        }
        p = q + 1;
    }
    return NULL;
}

/* What there is of [p, end) without spaces around it, which begins with `open` and ends with `close`; 0: something else. */
RL_INLINE int rl_trim(const uint8_t **p, const uint8_t **end, uint8_t open, uint8_t close)
{
    if (RL_LIKELY(*end - *p >= 2 && **p == open && (*end)[-1] == close))
        return 1;
    while (*p < *end && rl_is_space((*end)[-1]))
        --*end;
    *p = rl_skip_space_to(*p, *end);
    return *end - *p >= 2 && **p == open && (*end)[-1] == close;
}

/* The type of the event in [p, end), and where its members, or elements, begin; NULL: to be asked. */
RL_INLINE rl_type *rl_begin_event(
    rl_decoder *d, const uint8_t *p, const uint8_t *end, rl_input *in, rl_start *start)
{
    rl_types *types = &d->root;
    rl_type *t = types->types;
    if (RL_UNLIKELY(types->is_array)) {
        if (!rl_trim(&p, &end, '[', ']'))
            return NULL;
        *in = rl_input_of(p, end);
        start->in = in;
        return rl_begin_struct(d, types, p, start);
    }
    if (RL_UNLIKELY(!rl_trim(&p, &end, '{', '}')))
        return NULL;
    *in = rl_input_of(p, end);
    start->in = in;
    start->n = 0;
    p = rl_skip_space(p + 1);
    start->object = ++d->event;
    if (types->has_tag && RL_LIKELY(rl_match(p, *in, &types->tag_key))) {
        p = rl_skip_space(p + types->tag_key.key_size);
        t = rl_read_tag(types, p, *in);
        if (RL_UNLIKELY(t == NULL))
            return NULL;
        p += t->tag_value.key_size;
        start->previous = t->tag;
        t->tag->seen_in = start->object;
        start->n = 1;
    }
    else {
        if (types->has_tag) {
            t = rl_guess_type(types, p, *in);
            if (t == NULL)
                return NULL;
        }
        start->previous = t->start;
    }
    start->p = p;
    return RL_UNLIKELY(t->always_fallback) ? NULL : t;
}

/* Whether the event in [p, end) has become the first token. */
RL_INLINE int rl_event_token(rl_decoder *d, const uint8_t *p, const uint8_t *end)
{
    rl_token *token = rl_take_tokens(d, 1), *tokens;
    rl_input in;
    rl_start start;
    rl_type *t;
    if (RL_UNLIKELY(d->value != NULL)) {
        int open = d->value->kind == RL_MAP ? '{' : '[';
        if (!rl_trim(&p, &end, (uint8_t)open, (uint8_t)(open + 2)))
            return 0;
        in = rl_input_of(p, end);
        return (open == '{' ? rl_map_token : rl_list_token)(d, d->value, token, p, &in) == end;
    }
    t = rl_begin_event(d, p, end, &in, &start);
    if (RL_UNLIKELY(t == NULL))
        return 0;
    tokens = rl_struct_tokens(d, &d->root, t, token);
    if (RL_UNLIKELY(tokens == NULL))
        return 0;
    if (RL_UNLIKELY(d->root.is_array))
        return rl_element_tokens(d, t, tokens, start.p, &in) == in.end;
    return rl_members(d, t, 0, tokens, start, RL_TO_TOKENS) == in.end;
}

/* See rl_reader. */
static const rl_token *rl_read_event(rl_decoder *d, const uint8_t *p, const uint8_t *end)
{
    for (;;) {
        d->token = (rl_token *)d->items.data;
        d->full = d->token == NULL;
        d->token_end = d->full ? NULL : d->token + d->items.capacity / sizeof *d->token;
        if (d->plain != NULL)
            d->plain->items.size = 0;
        if (RL_LIKELY(!d->full) && rl_event_token(d, p, end))
            return (const rl_token *)d->items.data;
        if (RL_LIKELY(!d->full) || !rl_more_items(d))
            return NULL;
    }
}

/* What is true of all rows of a message, or of a document of one: `item` is its place. */
typedef struct {
    int64_t seq, epoch, received_at, item;
} rl_arrival;

/* Where the next row of a type goes; -1 for want of memory. */
RL_INLINE int64_t rl_begin_row(rl_decoder *d, const rl_type *t)
{
    rl_rows *table = t->rows;
    if (RL_UNLIKELY(table->rows >= table->capacity) && rl_rows_grow(table) != RL_OK) {
        d->no_memory = 1;
        return -1;
    }
    d->n_unknown = 0;
    d->path = NULL;
    return table->rows;
}

/* Complete a row, all of whose fields are written. */
RL_INLINE int rl_end_row(rl_decoder *d, const rl_type *t, int64_t row, const rl_arrival *arrival, int64_t item)
{
    rl_rows *table = t->rows;
    if (RL_UNLIKELY(d->n_unknown != 0)) {
        int result = rl_put_unknown(d, table->extra, row);
        if (result != RL_OK) {
            d->no_memory = result == RL_NO_MEMORY;
            return RL_FALLBACK;
        }
        table->extra->length = row + 1;
    }
    rl_put_int64(table->seq, row, arrival->seq);
    rl_put_int64(table->epoch, row, arrival->epoch);
    rl_put_int64(table->received_at, row, arrival->received_at);
    if (table->item != NULL)
        rl_put_integer(table->item, row, (uint64_t)item);
    table->rows = row + 1;
    return RL_TAKEN;
}

RL_NOINLINE int rl_undo_row(const rl_rows *table, int64_t row)
{
    uint32_t i;
    for (i = 0; i < table->n_columns; i++)
        rl_take_back(table->columns[i], row);
    return RL_FALLBACK;
}

/* The rows of a message are all there, or none of them is. Does nothing where a document is only a part of one. */
static void rl_keep_rows(rl_decoder *d, int is_message)
{
    uint32_t i;
    if (!is_message)
        return;
    for (i = 0; i < d->n_tables; i++)
        d->tables[i]->kept = d->tables[i]->rows;
}

static int rl_undo_rows(rl_decoder *d)
{
    uint32_t i;
    int64_t row;
    for (i = 0; i < d->n_tables; i++) {
        rl_rows *table = d->tables[i];
        for (row = table->rows - 1; row >= table->kept; row--)
            rl_undo_row(table, row);
        if (table->extra != NULL && table->extra->length > table->kept)
            rl_shorten(table->extra, table->kept);
        table->rows = table->kept;
    }
    return RL_FALLBACK;
}

RL_INLINE int rl_event(rl_decoder *d, const uint8_t *p, const uint8_t *end, const rl_arrival *arrival)
{
    rl_input in;
    rl_start start;
    rl_type *t;
    int64_t row;
    t = rl_begin_event(d, p, end, &in, &start);
    if (RL_UNLIKELY(t == NULL))
        return RL_FALLBACK;
    row = rl_begin_row(d, t);
    if (RL_UNLIKELY(row < 0))
        return RL_FALLBACK;
    if (RL_UNLIKELY(rl_members(d, t, row, NULL, start, RL_TO_ROW) != in.end)
        || RL_UNLIKELY(rl_end_row(d, t, row, arrival, arrival->item) != RL_TAKEN))
        return rl_undo_row(t->rows, row);
    return RL_TAKEN;
}

/* An event somewhere in a message that is an array, or that is one itself; NULL: to be asked. */
static const uint8_t *rl_inner_event(
    rl_decoder *d, const uint8_t *p, const rl_input *in, const rl_arrival *arrival, int64_t item)
{
    rl_types *types = &d->root;
    rl_start start;
    rl_type *t;
    int64_t row;
    if (*p != (types->is_array ? '[' : '{'))
        return NULL;
    start.in = in;
    t = rl_begin_struct(d, types, p, &start);
    if (t == NULL)
        return NULL;
    row = rl_begin_row(d, t);
    if (row < 0)
        return NULL;
    p = types->is_array ? rl_elements(d, t, row, start.p, in, start.object, start.n, RL_TO_ROW)
        : rl_members(d, t, row, NULL, start, RL_TO_ROW);
    if (p == NULL || rl_end_row(d, t, row, arrival, item) != RL_TAKEN) {
        rl_undo_row(t->rows, row);
        return NULL;
    }
    return p;
}

/* A message that is an array: one event, or, where they are split, as many as it has elements. */
static int rl_array_message(rl_decoder *d, const uint8_t *p, const uint8_t *end, const rl_arrival *arrival)
{
    rl_input in;
    int64_t item = 0;
    while (p < end && rl_is_space(end[-1]))
        end--;
    p = rl_skip_space_to(p, end);
    if (end - p < 2 || *p != '[' || end[-1] != ']')
        return RL_FALLBACK;
    in = rl_input_of(p, end);
    rl_keep_rows(d, !d->separator);
    if (!d->splits) {
        if (rl_inner_event(d, p, &in, arrival, arrival->item) == end)
            return RL_TAKEN;
        return rl_undo_rows(d);
    }
    p = rl_skip_space(p + 1);
    /* Without an element it is a message of another kind, or none at all. */
    if (*p == ']')
        return RL_FALLBACK;
    for (;;) {
        p = rl_inner_event(d, p, &in, arrival, item++);
        if (p == NULL || p >= end)
            break;
        p = rl_skip_space(p);
        if (*p == ']') {
            if (p + 1 == end)
                return RL_TAKEN;
            break;
        }
        if (*p != ',')
            break;
        p = rl_skip_space(p + 1);
    }
    /* The general path takes all of the message, or what it can. */
    return rl_undo_rows(d);
}

/* What is inside of the envelope that begins at p, an event or an array of them; NULL: to be asked. */
static const uint8_t *rl_find_inside(rl_decoder *d, const uint8_t *p, const rl_input *in)
{
    uint32_t level;
    for (level = 0; level < d->n_events_at; level++) {
        const rl_field *wanted = &d->events_at[level];
        rl_span name;
        if (*p != '{')
            return NULL;
        p = rl_skip_space(p + 1);
        while (!rl_match(p, *in, wanted)) {
            p = rl_member_name(d, p, in, &name);
            if (p == NULL)
                return NULL;
            if (name.size == wanted->key_size - 3 && rl_same(name.text, wanted->key + 1, name.size))
                goto found;
            p = rl_next_member(d, p, in);
            if (p == NULL)
                return NULL;
        }
        p = rl_skip_space(p + wanted->key_size);
found:;
    }
    return p;
}

/* The envelope at p, of type `outer`, with the event at `event`, into a row; NULL: to be asked. */
static const uint8_t *rl_envelope_row(
    rl_decoder *d, rl_type *outer, const uint8_t *p, const uint8_t *event, const rl_input *in, const rl_arrival *arrival,
    int64_t item)
{
    rl_start start;
    rl_type *t;
    int64_t row;
    start.in = in;
    if (*event != (outer->events->is_array ? '[' : '{'))
        return NULL;
    t = rl_begin_struct(d, outer->events, event, &start);
    if (t == NULL)
        return NULL;
    t = rl_begin_struct(d, &outer->whole[t - outer->events->types], p, &start);
    if (t == NULL)
        return NULL;
    row = rl_begin_row(d, t);
    if (row < 0)
        return NULL;
    d->element = event;
    p = rl_members(d, t, row, NULL, start, RL_TO_ROW);
    if (p == NULL || rl_end_row(d, t, row, arrival, item) != RL_TAKEN) {
        rl_undo_row(t->rows, row);
        return NULL;
    }
    return p;
}

/* A message that is an envelope around an event, or around an array of events. */
static int rl_envelope_message(rl_decoder *d, const uint8_t *p, const uint8_t *end, const rl_arrival *arrival)
{
    const uint8_t *event;
    rl_input in;
    rl_start start;
    rl_type *outer;
    if (!rl_trim(&p, &end, '{', '}'))
        return RL_FALLBACK;
    in = rl_input_of(p, end);
    start.in = &in;
    outer = rl_begin_struct(d, &d->root, p, &start);
    if (outer == NULL)
        return RL_FALLBACK;
    rl_keep_rows(d, !d->separator);
    d->item = 0;
    if (outer->events == NULL)
        return rl_inner_event(d, p, &in, arrival, arrival->item) == end ? RL_TAKEN : rl_undo_rows(d);
    event = rl_find_inside(d, p, &in);
    if (event == NULL)
        return RL_FALLBACK;
    if (!d->splits)
        return rl_envelope_row(d, outer, p, event, &in, arrival, arrival->item) == end ? RL_TAKEN : rl_undo_rows(d);
    d->array = event;
    d->array_end = *event == '[' ? rl_skip_value(d, event, &in) : NULL;
    if (d->array_end == NULL || d->array_end >= end)
        return RL_FALLBACK;
    event = rl_skip_space(event + 1);
    while (*event != ']' && rl_envelope_row(d, outer, p, event, &in, arrival, d->item) == end) {
        d->item++;
        event = rl_skip_space(d->element);
        if (*event != ',')
            return RL_TAKEN;
        event = rl_skip_space(event + 1);
    }
    /* Also without any event: then the rest is to be looked at. */
    return rl_undo_rows(d);
}

/* A message that is no struct: the value of a field, read from a copy with a bracket behind it, because values want a byte
 * there. */
static int rl_value_message(rl_decoder *d, const uint8_t *p, const uint8_t *end, const rl_arrival *arrival)
{
    const rl_type *t = d->root.types;
    rl_input in;
    int64_t row;
    if (t->always_fallback)
        return RL_FALLBACK;
    while (p < end && rl_is_space(end[-1]))
        end--;
    p = rl_skip_space_to(p, end);
    d->items.size = 0;
    if (rl_buffer_append(&d->items, p, (size_t)(end - p)) != RL_OK || rl_buffer_append(&d->items, "]", 1) != RL_OK) {
        d->no_memory = 1;
        return RL_FALLBACK;
    }
    row = rl_begin_row(d, t);
    if (row < 0)
        return RL_FALLBACK;
    in = rl_input_of(d->items.data, d->items.data + d->items.size);
    if (rl_value(d, t, t->fields, row, in.begin, &in) != in.end - 1
        || rl_end_row(d, t, row, arrival, arrival->item) != RL_TAKEN)
        return rl_undo_row(t->rows, row);
    return RL_TAKEN;
}

/* A message of an untyped stream: any JSON, kept as it is. */
static int rl_untyped_event(rl_decoder *d, const uint8_t *p, const uint8_t *end, const rl_arrival *arrival)
{
    rl_rows *table = d->untyped;
    rl_column *json = table->columns[table->n_columns - 1];
    const uint8_t *first = rl_skip_space_to(p, end), *last = end;
    int64_t row = table->rows;
    int result;
    rl_input in;
    while (last > first && rl_is_space(last[-1]))
        last--;
    if (first == last || ((*first == '{' || *first == '[') && last[-1] != '}' && last[-1] != ']'))
        return RL_FALLBACK;
    in = rl_input_of(first, last);
    if (rl_skip_value(d, first, &in) != last)
        return RL_FALLBACK;
    if (row >= table->capacity && rl_rows_grow(table) != RL_OK) {
        d->no_memory = 1;
        return RL_FALLBACK;
    }
    result = rl_put_text(json, row, p, (size_t)(end - p), rl_input_of(p, end));
    if (result != RL_OK) {
        d->no_memory = result == RL_NO_MEMORY;
        return RL_FALLBACK;
    }
    rl_put_int64(table->seq, row, arrival->seq);
    rl_put_int64(table->epoch, row, arrival->epoch);
    rl_put_int64(table->received_at, row, arrival->received_at);
    if (table->item != NULL)
        rl_put_integer(table->item, row, (uint64_t)arrival->item);
    table->rows = row + 1;
    return RL_TAKEN;
}

/* A message of one document: an object that is an event, or anything else. */
RL_NOINLINE int rl_one_document(rl_decoder *d, const uint8_t *p, const uint8_t *end, const rl_arrival *arrival)
{
    return d->untyped != NULL ? rl_untyped_event(d, p, end, arrival)
        : d->n_events_at != 0 ? rl_envelope_message(d, p, end, arrival)
        : d->is_value ? rl_value_message(d, p, end, arrival)
        : d->splits || d->root.is_array ? rl_array_message(d, p, end, arrival)
        : rl_event(d, p, end, arrival);
}

/* A message of several documents, each of which is what a message is otherwise. */
RL_NOINLINE int rl_documents_message(rl_decoder *d, const uint8_t *p, const uint8_t *end, const rl_arrival *arrival)
{
    rl_arrival here = *arrival;
    const uint8_t *document, *stop;
    rl_keep_rows(d, 1);
    while ((document = rl_next_document(&p, end, &stop, d->separator)) != NULL) {
        /* The general path takes all of the message, or what it can. */
        if (rl_one_document(d, document, stop, &here) != RL_TAKEN)
            return rl_undo_rows(d);
        here.item++;
    }
    return here.item != 0 ? RL_TAKEN : RL_FALLBACK;
}

static void rl_run_kernel(rl_decoder *d, rl_run *run)
{
    uint32_t i = run->at, stop = run->stop, stamp = run->stamp, stamp_end = run->stamp_end;
    int objects = d->untyped == NULL && !d->splits && !d->root.is_array && d->n_events_at == 0 && !d->separator;
    d->no_memory = 0;
    for (; i < stop; i++) {
        const uint8_t *p = run->data + run->offsets[i], *end = run->data + run->offsets[i + 1];
        rl_arrival arrival = {run->first_seq + i, run->epoch, 0, 0};
        int taken;
        while (i >= stamp_end)
            stamp_end += run->stamps[++stamp].count;
        arrival.received_at = run->stamps[stamp].received_at;
        if (RL_LIKELY(objects))
            taken = rl_event(d, p, end, &arrival);
        else
            taken = d->separator ? rl_documents_message(d, p, end, &arrival) : rl_one_document(d, p, end, &arrival);
        if (RL_UNLIKELY(taken != RL_TAKEN))
            break;
    }
    run->at = i;
    run->stamp = stamp;
    run->stamp_end = stamp_end;
}

#endif
