/* UTF-8 (RFC 3629) of whole messages, and of messages that arrive in pieces. */
#ifndef RLFAST_UTF8_H
#define RLFAST_UTF8_H

#include "base.h"

#if defined(__SSE2__) || defined(_M_X64)
#include <emmintrin.h>

static inline uint32_t rl_high_bits(const uint8_t *p)
{
    return (uint32_t)_mm_movemask_epi8(_mm_loadu_si128((const __m128i *)p));
}

/* First byte in [p, end) that is not ASCII, or end. What lies in [text, p) may be read, too. */
static inline const uint8_t *rl_skip_ascii(const uint8_t *text, const uint8_t *p, const uint8_t *end)
{
    uint32_t bits;
    while (end - p >= 64) {
        __m128i a = _mm_loadu_si128((const __m128i *)p), b = _mm_loadu_si128((const __m128i *)(p + 16));
        __m128i c = _mm_loadu_si128((const __m128i *)(p + 32)), d = _mm_loadu_si128((const __m128i *)(p + 48));
        if (_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(a, b), _mm_or_si128(c, d))))
            break;
        p += 64;
    }
    while (end - p >= 16) {
        bits = rl_high_bits(p);
        if (bits)
            return p + rl_lowest_bit(bits);
        p += 16;
    }
    if (end - text >= 16) {
        /* The last bytes, together with some that were looked at already. */
        bits = rl_high_bits(end - 16) >> (16 - (end - p));
        return bits ? p + rl_lowest_bit(bits) : end;
    }
    while (p < end && *p < 0x80)
        p++;
    return p;
}
#else
/* First byte in [p, end) that is not ASCII, or end. */
static inline const uint8_t *rl_skip_ascii(const uint8_t *text, const uint8_t *p, const uint8_t *end)
{
    (void)text;
    while (end - p >= 32) {
        uint64_t words[4];
        memcpy(words, p, 32);
        if ((words[0] | words[1] | words[2] | words[3]) & 0x8080808080808080u)
            break;
        p += 32;
    }
    while (end - p >= 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        if (word & 0x8080808080808080u)
            break;
        p += 8;
    }
    while (p < end && *p < 0x80)
        p++;
    return p;
}
#endif

/* Length of the sequence that begins at p, whose first byte is not ASCII; 0: none does; -1: it may, with more bytes. */
static inline int rl_sequence(const uint8_t *p, const uint8_t *end)
{
    uint8_t first = p[0], low = 0x80, high = 0xBF;
    int n = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    if (first < 0xC2 || first > 0xF4)
        return 0;
    /* The second byte's range keeps out overlong forms, surrogates, and what lies above U+10FFFF. */
    if (first == 0xE0)
        low = 0xA0;
    else if (first == 0xED)
        high = 0x9F;
    else if (first == 0xF0)
        low = 0x90;
    else if (first == 0xF4)
        high = 0x8F;
    for (int i = 1; i < n; i++) {
        if (p + i == end)
            return -1;
        if (p[i] < low || p[i] > high)
            return 0;
        low = 0x80;
        high = 0xBF;
    }
    return n;
}

/* How many bytes of text are whole sequences, or -1 if no bytes that follow could make it UTF-8. */
static inline int64_t rl_utf8_prefix(const uint8_t *text, size_t n)
{
    const uint8_t *p = text, *end = text + n;
    while ((p = rl_skip_ascii(text, p, end)) < end) {
        int length = rl_sequence(p, end);
        if (length == 0)
            return -1;
        if (length < 0)
            break;
        p += length;
    }
    return p - text;
}

#endif
