/* What keep-alives of an application look like: whole texts, and texts near the beginning of a message. */
#ifndef RLFAST_SCREEN_H
#define RLFAST_SCREEN_H

#include "base.h"

typedef struct {
    const uint8_t *text;    /* borrowed */
    size_t size;
    size_t rare;            /* where in the text its least common byte stands */
} rl_needle;

/* A text of at least one byte. The most common bytes of JSON, in this order, are the worst ones to look for first. */
static inline rl_needle rl_make_needle(const uint8_t *text, size_t size)
{
    static const char common[] = "\"e:t0,1asnidpcor2547l93mu{6_-b}gy8.[]fhTvkBx DSCUqAEZIwPMzL/";
    rl_needle needle = {text, size, 0};
    size_t best = 0;
    for (size_t i = 0; i < size; i++) {
        const char *found = text[i] ? strchr(common, text[i]) : NULL;
        size_t rank = found ? (size_t)(found - common) : sizeof common;
        if (rank > best) {
            best = rank;
            needle.rare = i;
        }
    }
    return needle;
}

static inline int rl_contains(const uint8_t *p, size_t n, const rl_needle *needle)
{
    const uint8_t *at = p + needle->rare, *end;
    if (n < needle->size)
        return 0;
    end = at + (n - needle->size) + 1;
    while ((at = memchr(at, needle->text[needle->rare], (size_t)(end - at))) != NULL) {
        const uint8_t *start = at - needle->rare;
        if (*start == *needle->text && !memcmp(start, needle->text, needle->size))
            return 1;
        if (++at == end)
            return 0;
    }
    return 0;
}

/* What people call white space, and not only JSON. */
static inline int rl_is_white(uint8_t byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

/* Whether the n bytes at p are one of the texts, or nothing, apart from white space around them. */
static inline int rl_is_one_of(const uint8_t *p, size_t n, const rl_needle *texts, size_t count)
{
    while (n && rl_is_white(p[0]))
        p++, n--;
    while (n && rl_is_white(p[n - 1]))
        n--;
    if (n == 0)
        return 1;
    for (size_t i = 0; i < count; i++)
        if (texts[i].size == n && !memcmp(texts[i].text, p, n))
            return 1;
    return 0;
}

#endif
