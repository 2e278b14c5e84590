/* UTF-8 (RFC 3629) and the escapes of JSON strings (RFC 8259 section 7). */
#ifndef RLFAST_TEXT_H
#define RLFAST_TEXT_H

#include "number.h"

RL_NOINLINE const uint8_t *rl_scan_bytewise(const uint8_t *p, const uint8_t *end)
{
    while (p < end && *p >= 0x20 && *p < 0x80 && *p != '"' && *p != '\\')
        p++;
    return p;
}

/* Length of the well-formed UTF-8 sequence at p, whose first byte is not ASCII; 0 if there is none. */
RL_INLINE int rl_utf8_sequence(const uint8_t *p, const uint8_t *end)
{
    uint8_t first = p[0], low = 0x80, high = 0xBF;
    if (first < 0xC2 || end - p < 2)
        return 0;
    if (first < 0xE0)
        return (p[1] & 0xC0) == 0x80 ? 2 : 0;
    /* The second byte's range keeps out overlong forms, surrogates, and what lies above U+10FFFF. */
    if (first == 0xE0)
        low = 0xA0;
    else if (first == 0xED)
        high = 0x9F;
    else if (first == 0xF0)
        low = 0x90;
    else if (first == 0xF4)
        high = 0x8F;
    if (first > 0xF4 || end - p < 3 || p[1] < low || p[1] > high || (p[2] & 0xC0) != 0x80)
        return 0;
    if (first < 0xF0)
        return 3;
    return end - p >= 4 && (p[3] & 0xC0) == 0x80 ? 4 : 0;
}

RL_INLINE int rl_hex_digit(uint8_t c)
{
    if (rl_is_digit(c))
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The four hexadecimal digits at p, or -1. */
RL_INLINE int32_t rl_hex4(const uint8_t *p, const uint8_t *end)
{
    int a, b, c, d;
    if (end - p < 4)
        return -1;
    a = rl_hex_digit(p[0]), b = rl_hex_digit(p[1]), c = rl_hex_digit(p[2]), d = rl_hex_digit(p[3]);
    return (a | b | c | d) < 0 ? -1 : a << 12 | b << 8 | c << 4 | d;
}

/* What the escape at p, which is a backslash, stands for, as UTF-8 in out[0:*n]. Returns the place behind the
 * escape, or NULL for one that is malformed or half of a surrogate pair. */
RL_INLINE const uint8_t *rl_unescape(const uint8_t *p, const uint8_t *end, uint8_t out[4], int *n)
{
    int32_t code, second;
    if (end - p < 2)
        return NULL;
    *n = 1;
    switch (p[1]) {
    case '"': case '\\': case '/':
        out[0] = p[1];
        return p + 2;
    case 'b': out[0] = '\b'; return p + 2;
    case 'f': out[0] = '\f'; return p + 2;
    case 'n': out[0] = '\n'; return p + 2;
    case 'r': out[0] = '\r'; return p + 2;
    case 't': out[0] = '\t'; return p + 2;
    case 'u': break;
    default: return NULL;
    }
    code = rl_hex4(p + 2, end);
    if (code < 0)
        return NULL;
    p += 6;
    if (code < 0x80) {
        out[0] = (uint8_t)code;
        return p;
    }
    if (code < 0x800) {
        out[0] = (uint8_t)(0xC0 | code >> 6);
        out[1] = (uint8_t)(0x80 | (code & 0x3F));
        *n = 2;
        return p;
    }
    if (code >= 0xD800 && code < 0xE000) {
        if (code >= 0xDC00 || end - p < 6 || p[0] != '\\' || p[1] != 'u')
            return NULL;
        second = rl_hex4(p + 2, end);
        if (second < 0xDC00 || second > 0xDFFF)
            return NULL;
        p += 6;
        code = 0x10000 + ((code - 0xD800) << 10 | (second - 0xDC00));
        out[0] = (uint8_t)(0xF0 | code >> 18);
        out[1] = (uint8_t)(0x80 | (code >> 12 & 0x3F));
        out[2] = (uint8_t)(0x80 | (code >> 6 & 0x3F));
        out[3] = (uint8_t)(0x80 | (code & 0x3F));
        *n = 4;
        return p;
    }
    out[0] = (uint8_t)(0xE0 | code >> 12);
    out[1] = (uint8_t)(0x80 | (code >> 6 & 0x3F));
    out[2] = (uint8_t)(0x80 | (code & 0x3F));
    *n = 3;
    return p;
}

/* The text p[0:n], whose escapes are well-formed, without them, in out[0:n]; returns its size. */
RL_NOINLINE size_t rl_unescape_all(const uint8_t *p, size_t n, uint8_t *out)
{
    const uint8_t *end = p + n;
    uint8_t *write = out;
    int size;
    while (p != NULL && p < end) {
        if (*p != '\\') {
            *write++ = *p++;
            continue;
        }
        p = rl_unescape(p, end, write, &size);
        write += p == NULL ? 0 : size;
    }
    return (size_t)(write - out);
}

#endif
