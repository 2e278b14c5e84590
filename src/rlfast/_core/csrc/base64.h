/* Bytes as text in base64 (RFC 4648 section 4), with its padding. */
#ifndef RLFAST_BASE64_H
#define RLFAST_BASE64_H

#include "base.h"

/* The six bits that a character stands for, or over 63. */
RL_INLINE unsigned rl_base64_digit(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return (unsigned)c - 'A';
    if (c >= 'a' && c <= 'z')
        return (unsigned)c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return (unsigned)c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : 64;
}

/* The bytes of p[0:n], n a multiple of four, in `out`, which has room for n / 4 * 3; returns how many they are, or -1. */
RL_NOINLINE int64_t rl_parse_base64(const uint8_t *p, size_t n, uint8_t *out)
{
    const uint8_t *end = p + n;
    uint8_t *write = out;
    int padding = n == 0 ? 0 : (end[-1] == '=') + (end[-1] == '=' && end[-2] == '=');
    for (; p < end; p += 4) {
        int last = p + 4 == end ? padding : 0;
        unsigned a = rl_base64_digit(p[0]), b = rl_base64_digit(p[1]);
        unsigned c = last > 1 ? 0 : rl_base64_digit(p[2]), d = last > 0 ? 0 : rl_base64_digit(p[3]);
        if ((a | b | c | d) > 63)
            return -1;
        *write++ = (uint8_t)(a << 2 | b >> 4);
        if (last < 2)
            *write++ = (uint8_t)(b << 4 | c >> 2);
        if (last < 1)
            *write++ = (uint8_t)(c << 6 | d);
    }
    return write - out;
}

#endif
