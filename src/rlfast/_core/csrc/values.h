/* Any object or array as tokens, for whoever makes plain Python values of them. It knows no types. lex.h has the rules,
 * and this one: the input begins and ends with the brackets of one container. So the place behind a value is inside
 * the input, and needs no check, unless the value is itself a container, which may have taken the last byte.
 */
#ifndef RLFAST_VALUES_H
#define RLFAST_VALUES_H

#include "lex.h"

/* See rl_slow_string. */
RL_NOINLINE const uint8_t *rl_slow_string_token(
    rl_decoder *d, rl_token *token, const uint8_t *p, const uint8_t *q, rl_input in)
{
    rl_input around;
    rl_span text;
    q = rl_slow_string(d, p, q, in, &text, &around);
    if (q == NULL)
        return NULL;
    token->kind = text.text == p ? RL_TOKEN_UTF8 : RL_TOKEN_ESCAPED;
    token->size = (size_t)(q - 1 - p);
    return q;
}

/* The string whose opening quote is before p, as it is in JSON. */
RL_INLINE const uint8_t *rl_string_token(rl_decoder *d, rl_token *token, const uint8_t *p, rl_input in)
{
    const uint8_t *q = rl_scan(p, in);
    token->of.text = p;
    if (RL_UNLIKELY(q == in.end || *q != '"'))
        return rl_slow_string_token(d, token, p, q, in);
    token->kind = RL_TOKEN_ASCII;
    token->size = (size_t)(q - p);
    return q + 1;
}

/* An integer that 64 bits hold, or a number with a point or an exponent. */
RL_INLINE const uint8_t *rl_number_token(const rl_decoder *d, rl_token *token, const uint8_t *p, const uint8_t *end)
{
    const uint8_t *q = rl_parse_int64(p, end, &token->of.integer);
    if (RL_UNLIKELY(q == NULL))
        return NULL;
    if (*q != '.' && (*q | 0x20) != 'e') {
        token->kind = RL_TOKEN_INTEGER;
        return q;
    }
    token->kind = RL_TOKEN_NUMBER;
    return rl_parse_double(p, end, d->powers, &token->of.number);
}

/* A value that is not text and no container. */
RL_INLINE const uint8_t *rl_scalar_token(const rl_decoder *d, rl_token *token, const uint8_t *p, const uint8_t *end)
{
    if (*p < 'a')
        return rl_number_token(d, token, p, end);
    if (end - p < 5)
        return NULL;    /* At least a bracket is behind the four letters. */
    if (memcmp(p, "null", 4) == 0) {
        token->kind = RL_TOKEN_NULL;
        return p + 4;
    }
    if (memcmp(p, "true", 4) == 0) {
        token->kind = RL_TOKEN_TRUE;
        return p + 4;
    }
    token->kind = RL_TOKEN_FALSE;
    return memcmp(p, "false", 5) == 0 ? p + 5 : NULL;
}

/* The key at p, which is not the one that was expected, and in *found its field, or NULL. Returns the place of the
 * value. */
RL_NOINLINE const uint8_t *rl_key_token(
    rl_decoder *d, rl_token *token, const uint8_t *p, rl_input in, rl_field **found)
{
    const rl_type *t = d->root.types;
    int32_t index;
    *found = NULL;
    if (*p != '"')
        return NULL;
    p = rl_string_token(d, token, p + 1, in);
    if (p == NULL)
        return NULL;
    /* Keys are known as they are in JSON, with their escapes. */
    index = rl_table_find(&t->names, token->of.text, token->size, in.begin);
    if (index >= 0) {
        *found = &t->fields[index];
        token->kind = RL_TOKEN_KEY;
        token->of.object = t->fields[index].object;
    }
    else
        token->kind += RL_TOKEN_NEW_KEY;
    p = rl_skip_space(p);
    return *p == ':' ? rl_skip_space(p + 1) : NULL;
}

/* A guess is all that comes of it: what is before a short text may be in it, but nothing before `begin`. */
RL_INLINE uint32_t rl_follower(const uint8_t *text, size_t n, const uint8_t *begin)
{
    uint64_t word = 0;
    if (text + n - begin >= 8)
        word = rl_load64(text + n - 8);
    if (n >= 8)
        word += rl_load64(text);
    return (uint32_t)(word * 0x9E3779B97F4A7C15u >> 58);
}

/* The object or array at p as tokens from `token` on, of which there is room for `n`, which is more than two. Returns the
 * place behind it, and of the last token in *behind. */
static const uint8_t *rl_container_values(
    rl_decoder *d, const uint8_t *p, rl_input in, rl_token *token, size_t n, rl_token **behind)
{
    const rl_type *t = d->root.types;
    const uint8_t *end = in.end;
    rl_field **expected = &t->start->next, *f;
    /* The last one that a value may take: the end of its container may follow, and a key. */
    rl_token *last = token + n - 3;
    /* The first value of the object that is the message, or that is among its values. */
    rl_token *tag = *p == '{' ? token + 2 : NULL;
    uint64_t around = 1;    /* a bit for each container, the inmost the lowest, set for an object; above them a one */
    uint8_t close = 0;
value:
    if (RL_UNLIKELY(token > last))
        return NULL;
    if (*p == '"') {
        p = rl_string_token(d, token, p + 1, in);
        if (RL_UNLIKELY(p == NULL))
            return NULL;
        if (token == tag)
            expected = &d->followers[rl_follower(token->of.text, token->size, in.begin)];
        token++;
    }
    else if (*p == '{' || *p == '[') {
        close = (uint8_t)(*p + 2);
        if (around >> RL_MAX_DEPTH)
            return NULL;
        around = around << 1 | (close == '}');
        token->kind = close == '}' ? RL_TOKEN_OPEN_OBJECT : RL_TOKEN_OPEN_ARRAY;
        token++;
        p = rl_skip_space(p + 1);
        if (*p == close)
            goto end_of_container;
        if (close == ']')
            goto value;
        goto key;
    }
    else {
        p = rl_scalar_token(d, token++, p, end);
        if (RL_UNLIKELY(p == NULL))
            return NULL;
    }
behind_value:
    if (RL_UNLIKELY(*p <= ' '))
        p = rl_skip_space(p);
    if (*p == ',') {
        p = rl_skip_space(p + 1);
        if (close == ']')
            goto value;
    key:
        f = *expected;
        if (RL_LIKELY(rl_match(p, in, f))) {
            token->kind = RL_TOKEN_KEY;
            token->of.object = f->object;
            p = rl_skip_space(p + f->key_size);
        }
        else {
            p = rl_key_token(d, token, p, in, &f);
            if (RL_UNLIKELY(p == NULL))
                return NULL;
            if (f == NULL) {
                token++;
                goto value;
            }
            *expected = f;
        }
        token++;
        expected = &f->next;
        goto value;
    }
    if (RL_UNLIKELY(*p != close))
        return NULL;
end_of_container:
    p++;
    if (RL_UNLIKELY(token > last + 1))
        return NULL;
    token->kind = close == '}' ? RL_TOKEN_OBJECT : RL_TOKEN_ARRAY;
    token++;
    around >>= 1;
    if (around == 1) {
        *behind = token;
        return p;
    }
    if (RL_UNLIKELY(p == end))
        return NULL;
    close = around & 1 ? '}' : ']';
    goto behind_value;
}

/* Room for the tokens of a container at p behind those that there are: how many; 0 for want of memory. Each token is a byte of
 * JSON, or more. */
RL_INLINE size_t rl_room_for_values(rl_decoder *d, const uint8_t *p, const uint8_t *end)
{
    size_t n = (size_t)(end - p) + 3;
    if (n > RL_MAX_TOKENS)
        n = RL_MAX_TOKENS;
    if (rl_buffer_reserve(&d->items, n * sizeof(rl_token)) == RL_OK)
        return n;
    d->no_memory = 1;
    return 0;
}

/* See rl_values. */
static size_t rl_read_values(rl_decoder *d, const uint8_t *p, const uint8_t *end)
{
    rl_token *tokens, *behind;
    size_t n;
    while (p < end && rl_is_space(end[-1]))
        end--;
    p = rl_skip_space_to(p, end);
    if (end - p < 2 || !((*p == '{' && end[-1] == '}') || (*p == '[' && end[-1] == ']')))
        return 0;
    d->items.size = 0;
    n = rl_room_for_values(d, p, end);
    if (n == 0)
        return 0;
    tokens = (rl_token *)d->items.data;
    return rl_container_values(d, p, rl_input_of(p, end), tokens, n, &behind) == end ? (size_t)(behind - tokens) : 0;
}

#endif
