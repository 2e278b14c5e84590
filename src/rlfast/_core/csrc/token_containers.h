/* Arrays and objects as tokens. lex.h has the rules, plan.h says how tokens lie. */
#ifndef RLFAST_TOKEN_CONTAINERS_H
#define RLFAST_TOKEN_CONTAINERS_H

#include "containers.h"
#include "token_values.h"

/* -- room for tokens ------------------------------------------------------------------------------------------------- */

/* The next n tokens; NULL: there is no room, and the event must be read again, with more. */
RL_INLINE rl_token *rl_take_tokens(rl_decoder *d, size_t n)
{
    rl_token *first = d->token;
    if (RL_UNLIKELY((size_t)(d->token_end - first) < n)) {
        d->full = 1;
        return NULL;
    }
    d->token = first + n;
    return first;
}

/* Make room for more tokens than there was; 0 if there can be no more of them, or for want of memory. */
RL_NOINLINE int rl_more_items(rl_decoder *d)
{
    size_t n = d->items.capacity / sizeof(rl_token);
    if (n >= RL_MAX_ITEMS)
        return 0;
    n = n == 0 ? RL_FEW_ITEMS : 4 * n;
    if (n > RL_MAX_ITEMS)
        n = RL_MAX_ITEMS;
    d->items.size = 0;
    if (rl_buffer_reserve(&d->items, n * sizeof(rl_token)) == RL_OK)
        return 1;
    d->no_memory = 1;
    return 0;
}

/* -- structs ----------------------------------------------------------------------------------------------------------- */

/* The tokens of the fields of `token`, which is a struct of type t. */
RL_INLINE rl_token *rl_struct_tokens(rl_decoder *d, const rl_types *types, const rl_type *t, rl_token *token)
{
    rl_token *tokens = rl_take_tokens(d, (size_t)t->n_fields << t->ordered);
    token->kind = RL_TOKEN_STRUCT;
    token->size = (uint64_t)(t - types->types);
    token->of.inside = tokens;
    return tokens;
}

/* The elements of an array from p on, up to and with the bracket, as the fields of type t, in their order. If there was a
 * tag, which comes first, p is behind it. */
RL_INLINE const uint8_t *rl_element_tokens(
    rl_decoder *d, const rl_type *t, rl_token *tokens, const uint8_t *p, const rl_input *around)
{
    rl_input in = *around;
    /* The tag is the last of the fields. */
    uint32_t i = 0, n = t->n_fields - (t->tag != NULL);
    if (t->tag != NULL) {
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
    for (;;) {
        if (RL_LIKELY(i < n)) {
            p = rl_value_token(d, t, &t->fields[i], &tokens[i], p, in, around);
            i++;
        }
        else
            p = t->keeps_unknown ? rl_inside(rl_skip_value(d, p, around), around) : NULL;
        if (RL_UNLIKELY(p == NULL))
            return NULL;
        if (RL_UNLIKELY(*p <= ' '))
            p = rl_skip_space(p);
        if (*p == ']')
            break;
        if (RL_UNLIKELY(*p != ','))
            return NULL;
        p = rl_skip_space(p + 1);
    }
behind_elements:
    for (; RL_UNLIKELY(i < n); i++) {
        if (t->fields[i].absent == RL_REQUIRED || t->fields[i].absent == RL_ABSENT_FALLBACK)
            return NULL;
        tokens[i].kind = RL_TOKEN_ABSENT;
    }
    return p + 1;
}

/* See rl_struct_token. */
static const uint8_t *rl_array_token(
    rl_decoder *d, const rl_field *f, rl_token *token, const uint8_t *p, const rl_input *around)
{
    const rl_type *t = f->types->types;
    rl_token *tokens;
    p = rl_skip_space(p + 1);
    if (f->types->has_tag) {
        t = rl_read_tag(f->types, p, *around);
        if (t == NULL || t->always_fallback)
            return NULL;
        p += t->tag_value.key_size;
    }
    tokens = rl_struct_tokens(d, f->types, t, token);
    if (RL_UNLIKELY(tokens == NULL))
        return NULL;
    p = rl_element_tokens(d, t, tokens, p, around);
    token->span = (uint32_t)(d->token - tokens);
    return p;
}

static const uint8_t *rl_struct_token(
    rl_decoder *d, const rl_field *f, rl_token *token, const uint8_t *p, const rl_input *around)
{
    rl_token *tokens;
    rl_start start;
    const rl_type *t;
    start.in = around;
    t = rl_begin_struct(d, f->types, p, &start);
    if (RL_UNLIKELY(t == NULL))
        return NULL;
    tokens = rl_struct_tokens(d, f->types, t, token);
    if (RL_UNLIKELY(tokens == NULL))
        return NULL;
    p = rl_members(d, t, 0, tokens, start, RL_TO_TOKENS);
    token->span = (uint32_t)(d->token - tokens);
    return p;
}

/* -- lists and maps ---------------------------------------------------------------------------------------------------- */

/* The texts from p on, one behind the other, up to one that is not ASCII, or has escapes: what a list does with most of
 * its texts if any text will do. Returns the place behind the last; NULL if there is none. */
RL_NOINLINE const uint8_t *rl_text_items(rl_decoder *d, const uint8_t *p, const rl_input *around)
{
    rl_input in = *around;
    const uint8_t *behind = NULL;
    rl_token *item = d->token, *end = d->token_end;
    while (*p == '"' && item != end) {
        const uint8_t *q = rl_scan(p + 1, in);
        if (RL_UNLIKELY(q >= in.end || *q != '"'))
            break;
        item->kind = RL_TOKEN_ASCII;
        item->span = 0;
        item->size = (uint64_t)(q - p) - 1;
        item->of.text = p + 1;
        item++;
        behind = q + 1;
        p = rl_skip_space(behind);
        if (*p != ',')
            break;
        p = rl_skip_space(p + 1);
    }
    d->token = item;
    return behind;
}

static const uint8_t *rl_list_token(
    rl_decoder *d, const rl_field *f, rl_token *token, const uint8_t *p, const rl_input *around)
{
    const rl_field *item_field = f->item;
    int any_text = item_field->kind == RL_UTF8 && item_field->strings == NULL && !item_field->limited;
    rl_input in = *around;
    rl_token *first = d->token, *item;
    uint64_t n = 0;
    token->kind = RL_TOKEN_LIST;
    token->of.inside = first;
    p = rl_skip_space(p + 1);
    if (*p == ']')
        p++;
    else
        for (;;) {
            item = d->token;
            if (any_text) {
                const uint8_t *q = rl_text_items(d, p, around);
                if (RL_LIKELY(q != NULL)) {
                    n += (uint64_t)(d->token - item);
                    p = q;
                    goto behind_value;
                }
            }
            item = rl_take_tokens(d, 1);
            if (RL_UNLIKELY(item == NULL))
                return NULL;
            item->span = 0;
            p = rl_value_token(d, NULL, item_field, item, p, in, around);
            if (RL_UNLIKELY(p == NULL))
                return NULL;
            n++;
        behind_value:
            if (RL_UNLIKELY(*p <= ' '))
                p = rl_skip_space(p);
            if (*p == ']') {
                p++;
                break;
            }
            if (RL_UNLIKELY(*p != ','))
                return NULL;
            p = rl_skip_space(p + 1);
        }
    token->size = n;
    token->span = (uint32_t)(d->token - first);
    return rl_in_bounds(f, (int64_t)n) ? p : NULL;
}

static const uint8_t *rl_map_token(
    rl_decoder *d, const rl_field *f, rl_token *token, const uint8_t *p, const rl_input *around)
{
    const rl_field *item_field = f->item;
    rl_input in = *around;
    rl_token *first = d->token, *pair;
    uint64_t n = 0;
    token->kind = RL_TOKEN_MAP;
    token->of.inside = first;
    p = rl_skip_space(p + 1);
    if (*p == '}')
        p++;
    else
        for (;;) {
            pair = rl_take_tokens(d, 2);
            if (RL_UNLIKELY(pair == NULL || *p != '"'))
                return NULL;
            p = rl_string_token(d, pair, p + 1, in);
            if (RL_UNLIKELY(p == NULL))
                return NULL;
            p = rl_skip_space(p);
            if (RL_UNLIKELY(*p != ':'))
                return NULL;
            p = rl_skip_space(p + 1);
            pair[1].span = 0;
            p = rl_value_token(d, NULL, item_field, pair + 1, p, in, around);
            if (RL_UNLIKELY(p == NULL))
                return NULL;
            n++;
            if (RL_UNLIKELY(*p <= ' '))
                p = rl_skip_space(p);
            if (*p == '}') {
                p++;
                break;
            }
            if (RL_UNLIKELY(*p != ','))
                return NULL;
            p = rl_skip_space(p + 1);
        }
    token->size = n;
    token->span = (uint32_t)(d->token - first);
    return p;
}

/* Maps, what may be null or of another kind, and all that is rarer. */
static const uint8_t *rl_nested_token(
    rl_decoder *d, const rl_field *f, rl_token *token, const uint8_t *p, const rl_input *around)
{
    switch (f->kind) {
    case RL_JSON:
        p = rl_json_token(d, f, token, p, around);
        break;
    case RL_INT_CHOICE:
        return rl_choice_token(f, token, p, around);
    case RL_MAP:
        if (RL_UNLIKELY(*p != '{'))
            return rl_null_token(f, token, p, *around);
        p = rl_map_token(d, f, token, p, around);
        break;
    case RL_UNION:
        if (RL_UNLIKELY(*p != (f->types->is_array ? '[' : '{')))
            return rl_null_token(f, token, p, *around);
        p = (f->types->is_array ? rl_array_token : rl_struct_token)(d, f, token, p, around);
        break;
    case RL_UUID:
    case RL_DECIMAL_TEXT:
    case RL_BASE64:
    case RL_DATETIME:
    case RL_DATE:
    case RL_TIME:
        return rl_parsed_token(d, f, token, p, around);
    default:
        return NULL;
    }
    return rl_inside(p, around);
}

#endif
