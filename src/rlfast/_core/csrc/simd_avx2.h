/* 32 bytes at once. */
#ifndef RLFAST_SIMD_AVX2_H
#define RLFAST_SIMD_AVX2_H

#include <immintrin.h>
#include "plan.h"
#include "uuid.h"

#define RL_SIMD "avx2"

RL_INLINE uint32_t rl_stops(__m256i v)
{
    /* As signed bytes, those that are not ASCII are below the space, too. */
    __m256i low = _mm256_cmpgt_epi8(_mm256_set1_epi8(0x20), v);
    __m256i quote = _mm256_cmpeq_epi8(v, _mm256_set1_epi8('"'));
    __m256i backslash = _mm256_cmpeq_epi8(v, _mm256_set1_epi8('\\'));
    return (uint32_t)_mm256_movemask_epi8(_mm256_or_si256(low, _mm256_or_si256(quote, backslash)));
}

RL_INLINE const uint8_t *rl_scan(const uint8_t *p, rl_input in)
{
    uint64_t stops;
    if (RL_UNLIKELY(in.tail == NULL))
        return rl_scan_bytewise(p, in.end);
    while (p < in.tail) {
        stops = rl_stops(_mm256_loadu_si256((const __m256i *)p));
        if (RL_LIKELY(stops != 0))
            return p + rl_lowest_bit64(stops);
        p += 32;
    }
    /* The last whole vector, without what is before p. */
    stops = (uint64_t)rl_stops(_mm256_loadu_si256((const __m256i *)in.tail)) >> (p - in.tail);
    return stops != 0 ? p + rl_lowest_bit64(stops) : in.end;
}

RL_INLINE int rl_short_text(const uint8_t *p, uint8_t *out)
{
    __m256i v = _mm256_loadu_si256((const __m256i *)p);
    _mm256_storeu_si256((__m256i *)out, v);
    return rl_lowest_bit64(rl_stops(v) | (uint64_t)1 << 32);
}

RL_INLINE int rl_match_long(const uint8_t *p, const rl_field *f)
{
    __m256i same =
        _mm256_cmpeq_epi8(_mm256_loadu_si256((const __m256i *)p), _mm256_loadu_si256((const __m256i *)f->text));
    return ((uint32_t)_mm256_movemask_epi8(same) & f->mask) == f->mask;
}

RL_INLINE int rl_parse_uuid(const uint8_t *p, uint8_t *out)
{
    /* Characters 0-15, 16-31 and 20-35; the digits are gathered from them without the dashes at 8, 13, 18, 23. */
    __m128i a = _mm_loadu_si128((const __m128i *)p);
    __m128i b = _mm_loadu_si128((const __m128i *)(p + 16));
    __m128i c = _mm_loadu_si128((const __m128i *)(p + 20));
    const __m128i first_a = _mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 14, 15, -1, -1);
    const __m128i first_b = _mm_setr_epi8(-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 0, 1);
    const __m128i second_b = _mm_setr_epi8(3, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1);
    const __m128i second_c = _mm_setr_epi8(-1, 0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    __m128i dash = _mm_set1_epi8('-');
    uint32_t dashes_a = (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(a, dash));
    uint32_t dashes_b = (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(b, dash));
    __m256i digits = _mm256_set_m128i(
        _mm_or_si128(_mm_shuffle_epi8(b, second_b), _mm_shuffle_epi8(c, second_c)),
        _mm_or_si128(_mm_shuffle_epi8(a, first_a), _mm_shuffle_epi8(b, first_b)));
    __m256i lower = _mm256_or_si256(digits, _mm256_set1_epi8(0x20));
    __m256i decimal = _mm256_and_si256(
        _mm256_cmpgt_epi8(digits, _mm256_set1_epi8('0' - 1)), _mm256_cmpgt_epi8(_mm256_set1_epi8('9' + 1), digits));
    __m256i letter = _mm256_and_si256(
        _mm256_cmpgt_epi8(lower, _mm256_set1_epi8('a' - 1)), _mm256_cmpgt_epi8(_mm256_set1_epi8('f' + 1), lower));
    __m256i nibbles = _mm256_add_epi8(
        _mm256_and_si256(lower, _mm256_set1_epi8(0x0F)), _mm256_and_si256(letter, _mm256_set1_epi8(9)));
    /* Each pair of digits: the first one times 16, plus the second one. */
    __m256i octets = _mm256_maddubs_epi16(nibbles, _mm256_set1_epi16(0x0110));
    __m128i packed = _mm_packus_epi16(_mm256_castsi256_si128(octets), _mm256_extracti128_si256(octets, 1));
    _mm_storeu_si128((__m128i *)out, packed);
    return (dashes_a & 0x2100) == 0x2100 && (dashes_b & 0x0084) == 0x0084
        && _mm256_movemask_epi8(_mm256_or_si256(decimal, letter)) == -1;
}

#endif
