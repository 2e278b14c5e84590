/* The members of an object, in whatever order they come. lex.h has the rules. */
#ifndef RLFAST_MEMBERS_H
#define RLFAST_MEMBERS_H

#include "fields.h"
#include "tokens.h"

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
RL_INLINE rl_type *rl_read_tag(const rl_types *types, const uint8_t *p, rl_input in)
{
    rl_type *t;
    uint32_t first = 0;
    if (RL_LIKELY(in.end - p >= 4))
        first = rl_load32(p);
    else
        memcpy(&first, p, (size_t)(in.end - p));
    for (t = types->tags[rl_tag_bucket(first & types->tag_mask)]; t != NULL; t = t->next_in_bucket)
        if (RL_LIKELY(rl_match(p, in, &t->tag_value)))
            return t;
    return NULL;
}

/* Where an object's members begin: at `p`, or, if `previous` is the tag, behind its value. */
typedef struct {
    const uint8_t *p;
    const rl_input *in;
    rl_field *previous;
    uint64_t object;        /* number of the object, which marks the fields that it has */
    uint32_t n;             /* members of the type that were read */
} rl_start;

/* What the members are written to. */
enum { RL_TO_ROW, RL_TO_CHILD, RL_TO_TOKENS };

/* The members of an object of type t, up to and with the closing brace: to `tokens`, or to row `row` of the type's
 * columns. Returns the place behind it. */
RL_INLINE const uint8_t *rl_members(
    rl_decoder *d, const rl_type *t, int64_t row, rl_token *tokens, rl_start start, int to)
{
    const uint8_t *p = start.p;
    const rl_input *around = start.in;
    rl_input in = *around;
    rl_field *previous = start.previous, *f;
    uint64_t object = start.object;
    uint32_t n = start.n;
    int32_t found;
    int result;
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
                return NULL;
            if (found < 0) {
                if (!t->keeps_unknown)
                    return NULL;
                p = to == RL_TO_TOKENS ? rl_skip_value(d, p, around)
                    : rl_keep_unknown(d, name, object, p, around);
                /* An unknown value may end with a brace, and take the object's own. */
                if (p == NULL || p >= in.end)
                    return NULL;
                goto behind_value;
            }
            f = &t->fields[found];
            previous->next = f;
        }
        if (RL_UNLIKELY(f->seen_in == object))
            return NULL;
        f->seen_in = object;
        if (to == RL_TO_TOKENS && RL_UNLIKELY(t->ordered)) {
            tokens[t->n_fields + n].kind = RL_TOKEN_INTEGER;
            tokens[t->n_fields + n].of.integer = f - t->fields;
        }
        n++;
        p = to == RL_TO_TOKENS ? rl_value_token(d, t, f, &tokens[f - t->fields], p, in, around)
            : to == RL_TO_CHILD ? rl_child_value(d, t, f, row, p, around)
            : rl_value(d, t, f, row, p, around);
        if (RL_UNLIKELY(p == NULL))
            return NULL;
        previous = f;
    behind_value:
        if (RL_LIKELY(*p == ',')) {
            p = rl_skip_space(p + 1);
            continue;
        }
        if (RL_LIKELY(*p == '}'))
            break;
        if (!rl_is_space(*p))
            return NULL;
        p = rl_skip_space(p);
        goto behind_value;
    }
behind_members:
    if (RL_UNLIKELY(n != t->n_fields)) {
        result = to == RL_TO_TOKENS ? rl_mark_absent(t, tokens, object)
            : rl_fill_absent(d, t, row, object, to == RL_TO_CHILD);
        if (result != RL_TAKEN)
            return NULL;
    }
    return p + 1;
}

#endif
