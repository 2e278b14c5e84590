/* The decoder itself: events into rows, or to tokens. Each kernel_*.c includes this once, and so compiles it for one
 * instruction set. lex.h has the rules. */
#ifndef RLFAST_KERNEL_H
#define RLFAST_KERNEL_H

#include "column_values.h"
#include "tokens.h"
#include "values.h"

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
    *index = rl_table_find(&t->names, name->text, name->size, around.begin);
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

/* -- events ------------------------------------------------------------------------------------------------------ */

/* Where an event's members begin: at `p`, or, if `previous` is the tag, behind its value. */
typedef struct {
    const uint8_t *p;
    rl_input in;
    rl_field *previous;
    uint32_t n;             /* members of the type that were read */
} rl_start;

/* The members of an object of type t, to `tokens`, or, if that is NULL, to the type's row `row`. */
RL_INLINE int rl_members(rl_decoder *d, const rl_type *t, int64_t row, rl_token *tokens, rl_start start)
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
                return RL_FALLBACK;
            if (found < 0) {
                if (!t->keeps_unknown)
                    return RL_FALLBACK;
                p = tokens != NULL ? rl_skip_value(d, p, in, RL_MAX_DEPTH) : rl_keep_unknown(d, name, p, in);
                /* An unknown value may end with a brace, and take the object's own. */
                if (p == NULL || p == in.end)
                    return RL_FALLBACK;
                goto behind_value;
            }
            f = &t->fields[found];
            previous->next = f;
        }
        if (RL_UNLIKELY(f->seen_in == d->event))
            return RL_FALLBACK;
        f->seen_in = d->event;
        n++;
        p = tokens != NULL ? rl_value_token(d, t, f, &tokens[f - t->fields], p, in) : rl_value(d, t, f, row, p, in);
        if (RL_UNLIKELY(p == NULL))
            return RL_FALLBACK;
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
        return RL_FALLBACK;
    }
behind_members:
    if (p + 1 != in.end)
        return RL_FALLBACK;
    if (RL_LIKELY(n == t->n_fields))
        return RL_TAKEN;
    return tokens != NULL ? rl_mark_absent(d, t, tokens) : rl_fill_absent(d, t, row);
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
    return RL_UNLIKELY(t->always_fallback) ? NULL : t;
}

/* See rl_reader. */
static const rl_type *rl_read_event(rl_decoder *d, const uint8_t *p, const uint8_t *end, rl_token *tokens)
{
    rl_start start;
    rl_type *t = rl_begin_event(d, p, end, &start);
    d->items.size = 0;
    return t != NULL && rl_members(d, t, 0, tokens, start) == RL_TAKEN ? t : NULL;
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
        return RL_FALLBACK;
    table = t->rows;
    row = table->rows;
    if (RL_UNLIKELY(row >= table->capacity) && rl_rows_grow(table) != RL_OK) {
        d->no_memory = 1;
        return RL_FALLBACK;
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
    return RL_FALLBACK;
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
        return RL_FALLBACK;
    if (row >= table->capacity && rl_rows_grow(table) != RL_OK) {
        d->no_memory = 1;
        return RL_FALLBACK;
    }
    result = rl_put_text(json, row, p, (size_t)(end - p), in);
    if (result != RL_OK) {
        d->no_memory = result == RL_NO_MEMORY;
        return RL_FALLBACK;
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

#endif
