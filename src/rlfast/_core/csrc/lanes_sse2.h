/* 16 bytes at once, with what every x86-64 has. */
#include <emmintrin.h>

#define RL_LANES "sse2"

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

RL_INLINE int rl_match_long(const uint8_t *p, const rl_field *f)
{
    __m128i a = _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)p), _mm_loadu_si128((const __m128i *)f->text));
    __m128i b = _mm_cmpeq_epi8(
        _mm_loadu_si128((const __m128i *)(p + 16)), _mm_loadu_si128((const __m128i *)(f->text + 16)));
    uint32_t same = (uint32_t)_mm_movemask_epi8(a) | (uint32_t)_mm_movemask_epi8(b) << 16;
    return (same & f->mask) == f->mask;
}

/* Without a byte shuffle there is little to gain. */
RL_INLINE int rl_parse_uuid(const uint8_t *p, uint8_t *out)
{
    return rl_parse_uuid_bytewise(p, out);
}
