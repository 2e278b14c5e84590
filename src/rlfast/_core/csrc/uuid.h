/* UUIDs without SIMD. */
#ifndef RLFAST_UUID_H
#define RLFAST_UUID_H

#include "text.h"

RL_INLINE int rl_parse_uuid_bytewise(const uint8_t *p, uint8_t *out)
{
    static const uint8_t places[16] = {0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34};
    int i, bad = 0;
    for (i = 0; i < 16; i++) {
        int high = rl_hex_digit(p[places[i]]), low = rl_hex_digit(p[places[i] + 1]);
        bad |= high | low;
        out[i] = (uint8_t)((unsigned)high << 4 | (low & 0x0F));
    }
    return bad >= 0 && p[8] == '-' && p[13] == '-' && p[18] == '-' && p[23] == '-';
}

#endif
