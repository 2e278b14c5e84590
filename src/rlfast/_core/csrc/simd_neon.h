/* 16 bytes at once, with what every AArch64 has. */
#ifndef RLFAST_SIMD_NEON_H
#define RLFAST_SIMD_NEON_H

#include <arm_neon.h>
#include "plan.h"
#include "uuid.h"

#define RL_SIMD "neon"

/* Four bits for each byte of a comparison's result. */
RL_INLINE uint64_t rl_nibbles(uint8x16_t v)
{
    return vget_lane_u64(vreinterpret_u64_u8(vshrn_n_u16(vreinterpretq_u16_u8(v), 4)), 0);
}

RL_INLINE uint64_t rl_stops(uint8x16_t v)
{
    /* Less the space, controls wrap round to above what ASCII has left. */
    uint8x16_t odd = vcgeq_u8(vsubq_u8(v, vdupq_n_u8(0x20)), vdupq_n_u8(0x60));
    uint8x16_t quote = vceqq_u8(v, vdupq_n_u8('"'));
    uint8x16_t backslash = vceqq_u8(v, vdupq_n_u8('\\'));
    return rl_nibbles(vorrq_u8(odd, vorrq_u8(quote, backslash)));
}

RL_INLINE const uint8_t *rl_scan(const uint8_t *p, rl_input in)
{
    const uint8_t *last = in.end - 16;
    uint64_t stops;
    if (RL_UNLIKELY(in.tail == NULL))
        return rl_scan_bytewise(p, in.end);
    while (p < last) {
        stops = rl_stops(vld1q_u8(p));
        if (RL_LIKELY(stops != 0))
            return p + rl_lowest_bit64(stops) / 4;
        p += 16;
    }
    if (p == in.end)
        return p;
    /* The last whole vector, without what is before p. */
    stops = rl_stops(vld1q_u8(last)) >> 4 * (p - last);
    return stops != 0 ? p + rl_lowest_bit64(stops) / 4 : in.end;
}

RL_INLINE int rl_short_text(const uint8_t *p, uint8_t *out)
{
    uint8x16_t first = vld1q_u8(p), second = vld1q_u8(p + 16);
    uint64_t stops = rl_stops(first);
    vst1q_u8(out, first);
    vst1q_u8(out + 16, second);
    if (RL_LIKELY(stops != 0))
        return rl_lowest_bit64(stops) / 4;
    stops = rl_stops(second);
    return stops != 0 ? 16 + rl_lowest_bit64(stops) / 4 : 32;
}

RL_INLINE int rl_match_long(const uint8_t *p, const rl_field *f)
{
    return rl_same(p, f->key, f->key_size);
}

RL_INLINE int rl_parse_uuid(const uint8_t *p, uint8_t *out)
{
    static const uint8_t gather[32] = {0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 14, 15, 16, 17,
                                       19, 20, 21, 22, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35};
    uint8x16x3_t text;
    uint8x16_t first, second, bad;
    uint8x16x2_t halves;
    if (p[8] != '-' || p[13] != '-' || p[18] != '-' || p[23] != '-')
        return 0;
    text.val[0] = vld1q_u8(p);
    text.val[1] = vld1q_u8(p + 16);
    /* Characters 20-35, moved so that 32-35 come first. */
    text.val[2] = vextq_u8(vld1q_u8(p + 20), vdupq_n_u8(0), 12);
    first = vqtbl3q_u8(text, vld1q_u8(gather));
    second = vqtbl3q_u8(text, vld1q_u8(gather + 16));
    bad = vdupq_n_u8(0);
    halves.val[0] = first;
    halves.val[1] = second;
    for (int i = 0; i < 2; i++) {
        uint8x16_t c = halves.val[i];
        uint8x16_t decimal = vcltq_u8(vsubq_u8(c, vdupq_n_u8('0')), vdupq_n_u8(10));
        uint8x16_t low = vsubq_u8(vorrq_u8(c, vdupq_n_u8(0x20)), vdupq_n_u8('a'));
        uint8x16_t letter = vcltq_u8(low, vdupq_n_u8(6));
        bad = vorrq_u8(bad, vmvnq_u8(vorrq_u8(decimal, letter)));
        halves.val[i] = vbslq_u8(decimal, vsubq_u8(c, vdupq_n_u8('0')), vaddq_u8(low, vdupq_n_u8(10)));
    }
    /* Digits at even and at odd places. */
    vst1q_u8(out, vorrq_u8(vshlq_n_u8(vuzp1q_u8(halves.val[0], halves.val[1]), 4),
                           vuzp2q_u8(halves.val[0], halves.val[1])));
    return vmaxvq_u8(bad) == 0;
}

#endif
