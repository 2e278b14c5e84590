/* 16 bytes at once, with what every x86-64 has. */
#ifndef RLFAST_SIMD_SSE2_H
#define RLFAST_SIMD_SSE2_H

#include <emmintrin.h>
#include "plan.h"
#include "uuid.h"

#define RL_SIMD "sse2"

RL_INLINE uint32_t rl_stops(__m128i v)
{
    /* As signed bytes, those that are not ASCII are below the space, too. */
    __m128i low = _mm_cmplt_epi8(v, _mm_set1_epi8(0x20));
    __m128i quote = _mm_cmpeq_epi8(v, _mm_set1_epi8('"'));
    __m128i backslash = _mm_cmpeq_epi8(v, _mm_set1_epi8('\\'));
    return (uint32_t)_mm_movemask_epi8(_mm_or_si128(low, _mm_or_si128(quote, backslash)));
}

RL_INLINE const uint8_t *rl_scan(const uint8_t *p, rl_input in)
{
    const uint8_t *last = in.end - 16;
    uint32_t stops;
    if (RL_UNLIKELY(in.tail == NULL))
        return rl_scan_bytewise(p, in.end);
    while (p < last) {
        stops = rl_stops(_mm_loadu_si128((const __m128i *)p));
        if (RL_LIKELY(stops != 0))
            return p + rl_lowest_bit(stops);
        p += 16;
    }
    /* The last whole vector, without what is before p. */
    stops = rl_stops(_mm_loadu_si128((const __m128i *)last)) >> (p - last);
    return stops != 0 ? p + rl_lowest_bit(stops) : in.end;
}

RL_INLINE int rl_short_text(const uint8_t *p, uint8_t *out)
{
    __m128i first = _mm_loadu_si128((const __m128i *)p), second = _mm_loadu_si128((const __m128i *)(p + 16));
    _mm_storeu_si128((__m128i *)out, first);
    _mm_storeu_si128((__m128i *)(out + 16), second);
    return rl_lowest_bit64(rl_stops(first) | (uint64_t)rl_stops(second) << 16 | (uint64_t)1 << 32);
}

RL_INLINE int rl_match_long(const uint8_t *p, const rl_field *f)
{
    __m128i a = _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)p), _mm_loadu_si128((const __m128i *)f->text));
    __m128i b = _mm_cmpeq_epi8(
        _mm_loadu_si128((const __m128i *)(p + 16)), _mm_loadu_si128((const __m128i *)(f->text + 16)));
    uint32_t same = (uint32_t)_mm_movemask_epi8(a) | (uint32_t)_mm_movemask_epi8(b) << 16;
    return (same & f->mask) == f->mask;
}

/* Sixteen hexadecimal digits as nibbles; *valid says for each whether it is one. */
RL_INLINE __m128i rl_nibbles(__m128i digits, __m128i *valid)
{
    __m128i lower = _mm_or_si128(digits, _mm_set1_epi8(0x20));
    __m128i decimal =
        _mm_and_si128(_mm_cmpgt_epi8(digits, _mm_set1_epi8('0' - 1)), _mm_cmplt_epi8(digits, _mm_set1_epi8('9' + 1)));
    __m128i letter =
        _mm_and_si128(_mm_cmpgt_epi8(lower, _mm_set1_epi8('a' - 1)), _mm_cmplt_epi8(lower, _mm_set1_epi8('f' + 1)));
    *valid = _mm_or_si128(decimal, letter);
    return _mm_add_epi8(_mm_and_si128(lower, _mm_set1_epi8(0x0F)), _mm_and_si128(letter, _mm_set1_epi8(9)));
}

/* Each pair of digits as one number of 16 bits. */
RL_INLINE __m128i rl_octets(__m128i nibbles)
{
    __m128i high = _mm_slli_epi16(_mm_and_si128(nibbles, _mm_set1_epi16(0x00FF)), 4);
    return _mm_or_si128(high, _mm_srli_epi16(nibbles, 8));
}

RL_INLINE int rl_parse_uuid(const uint8_t *p, uint8_t *out)
{
    /* The digits without the dashes at 8, 13, 18, 23. */
    __m128i first = _mm_set_epi64x(
        (int64_t)(rl_load32(p + 9) | (uint64_t)rl_load32(p + 14) << 32), (int64_t)rl_load64(p));
    __m128i second = _mm_set_epi64x(
        (int64_t)rl_load64(p + 28), (int64_t)(rl_load32(p + 19) | (uint64_t)rl_load32(p + 24) << 32));
    __m128i valid_first, valid_second;
    first = rl_octets(rl_nibbles(first, &valid_first));
    second = rl_octets(rl_nibbles(second, &valid_second));
    _mm_storeu_si128((__m128i *)out, _mm_packus_epi16(first, second));
    return p[8] == '-' && p[13] == '-' && p[18] == '-' && p[23] == '-'
        && _mm_movemask_epi8(_mm_and_si128(valid_first, valid_second)) == 0xFFFF;
}

#endif
