/* Values of known fields as tokens, for whoever makes objects of them. It knows nothing of columns. What a token
 * points to is in the payload. lex.h has the rules. */
#ifndef RLFAST_TOKENS_H
#define RLFAST_TOKENS_H

#include "lex.h"

/* The string whose opening quote is before p; a string's code where the field has strings. */
RL_INLINE const uint8_t *rl_text_token(rl_decoder *d, const rl_field *f, rl_token *token, const uint8_t *p, rl_input in)
{
    const uint8_t *q = rl_scan(p, in);
    rl_input around = in;
    rl_span text;
    token->of.text = p;
    if (RL_LIKELY(q < in.end && *q == '"')) {
        token->kind = RL_TOKEN_ASCII;
        text.text = p;
        text.size = token->size = (size_t)(q - p);
        q++;
    }
    else {
        q = rl_slow_string(d, p, q, in, &text, &around);
        if (q == NULL)
            return NULL;
        token->kind = text.text == p ? RL_TOKEN_UTF8 : RL_TOKEN_ESCAPED;
        token->size = (size_t)(q - 1 - p);
    }
    if (f->strings != NULL) {
        token->kind = RL_TOKEN_LISTED;
        token->of.integer = rl_table_find(f->strings, text.text, text.size, around.begin);
        return token->of.integer < 0 ? NULL : q;
    }
    if (RL_UNLIKELY(f->limited) && f->kind == RL_UTF8) {
        int64_t length = rl_code_points(text.text, text.size);
        if (length < f->length_min || length > f->length_max)
            return NULL;
    }
    return q;
}

RL_NOINLINE const uint8_t *rl_list_token(
    rl_decoder *d, const rl_field *f, rl_token *token, const uint8_t *p, rl_input in)
{
    rl_token *item;
    int64_t n = 0;
    token->kind = RL_TOKEN_LIST;
    token->of.integer = (int64_t)(d->items.size / sizeof *item);
    p = rl_skip_space(p + 1);
    if (*p == ']')
        p++;
    else
        for (;;) {
            if (*p != '"' || d->items.size >= RL_MAX_ITEMS * sizeof *item)
                return NULL;
            if (rl_buffer_reserve(&d->items, sizeof *item) != RL_OK)
                return rl_checked(d, RL_NO_MEMORY, p);
            item = (rl_token *)(d->items.data + d->items.size);
            d->items.size += sizeof *item;
            p = rl_text_token(d, f, item, p + 1, in);
            if (p == NULL)
                return NULL;
            n++;
            p = rl_skip_space(p);
            if (*p == ']') {
                p++;
                break;
            }
            if (*p != ',')
                return NULL;
            p = rl_skip_space(p + 1);
        }
    token->size = (size_t)n;
    return f->limited && (n < f->length_min || n > f->length_max) ? NULL : p;
}

/* The value at p; returns the place behind it. */
RL_INLINE const uint8_t *rl_value_token(
    rl_decoder *d, const rl_type *t, const rl_field *f, rl_token *token, const uint8_t *p, rl_input in)
{
    switch (f->kind) {
    case RL_UTF8:
        if (RL_UNLIKELY(*p != '"'))
            break;
        return rl_text_token(d, f, token, p + 1, in);
    case RL_INT64:
        if (RL_UNLIKELY(*p == 'n'))
            break;
        token->kind = RL_TOKEN_INTEGER;
        p = rl_parse_int64(p, in.end, &token->of.integer);
        return p == NULL || (f->limited && (token->of.integer < f->int_min || token->of.integer > f->int_max))
            ? NULL : p;
    case RL_FLOAT64:
        if (RL_UNLIKELY(*p == 'n'))
            break;
        token->kind = RL_TOKEN_NUMBER;
        p = rl_parse_double(p, in.end, d->powers, &token->of.number);
        return p == NULL || (f->limited && !(token->of.number >= f->float_min && token->of.number <= f->float_max))
            ? NULL : p;
    case RL_BOOL:
        if (in.end - p >= 4 && memcmp(p, "true", 4) == 0) {
            token->kind = RL_TOKEN_TRUE;
            return p + 4;
        }
        if (in.end - p >= 5 && memcmp(p, "false", 5) == 0) {
            token->kind = RL_TOKEN_FALSE;
            return p + 5;
        }
        break;
    case RL_LIST:
        if (RL_UNLIKELY(*p != '['))
            break;
        return rl_list_token(d, f, token, p, in);
    case RL_TAG:
        return rl_match(p, in, &t->tag_value) ? p + t->tag_value.key_size : NULL;
    default:
        return NULL;
    }
    if (f->nullable && in.end - p >= 4 && memcmp(p, "null", 4) == 0) {
        token->kind = RL_TOKEN_NULL;
        return p + 4;
    }
    return NULL;
}

RL_NOINLINE int rl_mark_absent(const rl_type *t, rl_token *tokens, uint64_t object)
{
    uint32_t i;
    for (i = 0; i < t->n_fields; i++) {
        if (t->fields[i].seen_in == object)
            continue;
        if (t->fields[i].absent == RL_REQUIRED || t->fields[i].absent == RL_ABSENT_FALLBACK)
            return RL_FALLBACK;
        tokens[i].kind = RL_TOKEN_ABSENT;
    }
    return RL_TAKEN;
}

#endif
