/* JSON's lexical grammar: spaces, strings, and values that are skipped. */
#ifndef RLFAST_LEX_H
#define RLFAST_LEX_H

#include "plan.h"
#include "simd.h"

/* Rules for every function here, and in what includes it. Bytes are read from the input only. NULL, or RL_FALLBACK,
 * means that the general path shall look at the event. When in doubt, ask: what is taken here must be what msgspec
 * would have made of it. Where the input is an object, its last byte is the closing brace: no key, and no value of a known
 * field, ends with a brace, so the place behind one is inside the input, and needs no check.
 */

enum { RL_FALLBACK = 0, RL_TAKEN = 1 };

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
RL_NOINLINE const uint8_t *rl_slow_string(
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
    return rl_slow_string(d, p, q, in, out, around);
}

RL_NOINLINE int64_t rl_code_points(const uint8_t *text, size_t n)
{
    int64_t count = 0;
    size_t i;
    for (i = 0; i < n; i++)
        count += (text[i] & 0xC0) != 0x80;
    return count;
}

RL_INLINE const uint8_t *rl_checked(rl_decoder *d, int result, const uint8_t *p)
{
    if (RL_LIKELY(result == RL_OK))
        return p;
    if (result == RL_NO_MEMORY)
        d->no_memory = 1;
    return NULL;
}

/* Whether an integer is one that the field's limits admit. */
RL_INLINE int rl_in_range(const rl_field *f, int64_t integer)
{
    return !f->limited
        || (integer >= f->int_min && integer <= f->int_max && (f->multiple_of == 0 || integer % f->multiple_of == 0));
}

/* -- values that nobody wants --------------------------------------------------------------------------------- */

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

/* The place behind the string whose opening quote is before p, or NULL. `in` and `*around` are the same. */
RL_INLINE const uint8_t *rl_skip_string(rl_decoder *d, const uint8_t *p, rl_input in, const rl_input *around)
{
    const uint8_t *q = rl_scan(p, in);
    rl_input here;
    rl_span text;
    return RL_LIKELY(q < in.end && *q == '"') ? q + 1 : rl_slow_string(d, p, q, *around, &text, &here);
}

/* The same of a value that is not text and no container. */
RL_INLINE const uint8_t *rl_skip_scalar(const uint8_t *p, const uint8_t *end)
{
    if (end - p >= 4 && (memcmp(p, "true", 4) == 0 || memcmp(p, "null", 4) == 0))
        return p + 4;
    if (end - p >= 5 && memcmp(p, "false", 5) == 0)
        return p + 5;
    return rl_skip_number(p, end);
}

/* The place behind the JSON value at p, or NULL. The input ends with a bracket. */
RL_NOINLINE const uint8_t *rl_skip_value(rl_decoder *d, const uint8_t *p, const rl_input *around)
{
    rl_input in = *around;
    uint64_t open = 1;      /* a bit for each container, the inmost the lowest, set for an object; above them a one */
    uint8_t close = 0;
    if (*p != '{' && *p != '[')
        return *p == '"' ? rl_skip_string(d, p + 1, in, around) : rl_skip_scalar(p, in.end);
value:
    /* Most values are strings. */
    if (RL_LIKELY(*p == '"')) {
        p = rl_skip_string(d, p + 1, in, around);
        if (RL_UNLIKELY(p == NULL))
            return NULL;
    }
    else if (*p == '{' || *p == '[') {
        if (RL_UNLIKELY(open >> RL_MAX_DEPTH))
            return NULL;
        close = (uint8_t)(*p + 2);
        open = open << 1 | (close == '}');
        p = rl_skip_space(p + 1);
        if (*p == close)
            goto behind_container;
        if (close == '}')
            goto key;
        goto value;
    }
    else {
        p = rl_skip_scalar(p, in.end);
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
        if (RL_UNLIKELY(*p != '"'))
            return NULL;
        p = rl_skip_string(d, p + 1, in, around);
        if (RL_UNLIKELY(p == NULL))
            return NULL;
        p = rl_skip_space(p);
        if (RL_UNLIKELY(*p != ':'))
            return NULL;
        p = rl_skip_space(p + 1);
        goto value;
    }
    if (RL_UNLIKELY(*p != close))
        return NULL;
behind_container:
    p++;
    open >>= 1;
    if (open == 1)
        return p;
    /* Only a container takes the last byte of the input. */
    if (RL_UNLIKELY(p == in.end))
        return NULL;
    close = open & 1 ? '}' : ']';
    goto behind_value;
}

#endif
