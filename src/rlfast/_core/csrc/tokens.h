/* Values of known fields as tokens, for whoever makes objects of them. It knows nothing of columns. What a token
 * points to is in the payload. lex.h has the rules. */
#ifndef RLFAST_TOKENS_H
#define RLFAST_TOKENS_H

#include "lex.h"

/* The string whose opening quote is before p, and that ends at q or goes on there, of a field that not every text is
 * good for, or with escapes, or with bytes that are not ASCII; a string's code where the field has strings. */
RL_NOINLINE const uint8_t *rl_checked_text_token(
    rl_decoder *d, const rl_field *f, rl_token *token, const uint8_t *p, const uint8_t *q, const rl_input *where)
{
    rl_input in = *where, around = in;
    rl_span text;
    if (q < in.end && *q == '"') {
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

/* The string whose opening quote is before p. `in` and `*around` are the same, see rl_value_token. */
RL_INLINE const uint8_t *rl_text_token(
    rl_decoder *d, const rl_field *f, rl_token *token, const uint8_t *p, rl_input in, const rl_input *around)
{
    const uint8_t *q = rl_scan(p, in);
    token->of.text = p;
    if (RL_UNLIKELY(q >= in.end || *q != '"' || f->limited))
        return rl_checked_text_token(d, f, token, p, q, around);
    if (f->strings != NULL) {
        token->kind = RL_TOKEN_LISTED;
        token->of.integer = rl_table_find(f->strings, p, (size_t)(q - p), in.begin);
        return token->of.integer < 0 ? NULL : q + 1;
    }
    token->kind = RL_TOKEN_ASCII;
    token->size = (size_t)(q - p);
    return q + 1;
}

/* See token_containers.h. The place behind these may be the input's end. */
static const uint8_t *rl_list_token(
    rl_decoder *d, const rl_field *f, rl_token *token, const uint8_t *p, const rl_input *in);
static const uint8_t *rl_array_token(
    rl_decoder *d, const rl_field *f, rl_token *token, const uint8_t *p, const rl_input *in);
static const uint8_t *rl_struct_token(
    rl_decoder *d, const rl_field *f, rl_token *token, const uint8_t *p, const rl_input *in);

/* The values that are not decided in rl_value_token. */
static const uint8_t *rl_nested_token(
    rl_decoder *d, const rl_field *f, rl_token *token, const uint8_t *p, const rl_input *in);

/* The place behind a container inside an event, whose last byte closes the event itself. */
RL_INLINE const uint8_t *rl_inside(const uint8_t *p, const rl_input *in)
{
    return p != NULL && p < in->end ? p : NULL;
}

/* JSON's null at p, where the field takes it; returns the place behind it. */
RL_INLINE const uint8_t *rl_null_token(const rl_field *f, rl_token *token, const uint8_t *p, rl_input in)
{
    if (f->nullable && in.end - p >= 4 && memcmp(p, "null", 4) == 0) {
        token->kind = RL_TOKEN_NULL;
        return p + 4;
    }
    return NULL;
}

/* The value at p; returns the place behind it. `in` and `*around` are the same: what is called for each value gets a
 * pointer, because to write a copy for it, and to read that at once, would cost more than the value. */
RL_INLINE const uint8_t *rl_value_token(
    rl_decoder *d, const rl_type *t, const rl_field *f, rl_token *token, const uint8_t *p, rl_input in,
    const rl_input *around)
{
    switch (f->kind) {
    case RL_UTF8:
        if (RL_UNLIKELY(*p != '"'))
            break;
        return rl_text_token(d, f, token, p + 1, in, around);
    case RL_INT64:
        if (RL_UNLIKELY(*p == 'n'))
            break;
        token->kind = RL_TOKEN_INTEGER;
        p = rl_parse_int64(p, in.end, &token->of.integer);
        return p == NULL || !rl_in_range(f, token->of.integer) ? NULL : p;
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
        return rl_inside(rl_list_token(d, f, token, p, around), around);
    case RL_TUPLE:
        if (RL_UNLIKELY(*p != '['))
            break;
        return rl_inside(rl_array_token(d, f, token, p, around), around);
    case RL_STRUCT:
        if (RL_UNLIKELY(*p != '{'))
            break;
        return rl_inside(rl_struct_token(d, f, token, p, around), around);
    case RL_TAG:
        return rl_match(p, in, &t->tag_value) ? p + t->tag_value.key_size : NULL;
    default:
        return rl_nested_token(d, f, token, p, around);
    }
    return rl_null_token(f, token, p, in);
}
/* Mark the fields that the object with the number `object` did not hold. */
RL_NOINLINE int rl_mark_absent(const rl_type *t, rl_token *tokens, uint64_t object)
{
    uint32_t i, n = 0;
    for (i = 0; i < t->n_fields; i++) {
        if (t->fields[i].seen_in == object)
            continue;
        if (t->fields[i].absent == RL_REQUIRED || t->fields[i].absent == RL_ABSENT_FALLBACK)
            return RL_FALLBACK;
        tokens[i].kind = RL_TOKEN_ABSENT;
        n++;
    }
    for (i = t->n_fields; t->ordered && n != 0; n--)
        tokens[2 * i - n].kind = RL_TOKEN_ABSENT;
    return RL_TAKEN;
}

#endif
