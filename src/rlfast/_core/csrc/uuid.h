/* UUIDs and their canonical text (RFC 9562 section 4), without SIMD by hand. */
#ifndef RLFAST_UUID_H
#define RLFAST_UUID_H

#include "text.h"

/* Where the two digits of each byte stand. */
static const uint8_t rl_uuid_places[16] = {0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34};

RL_INLINE int rl_parse_uuid_bytewise(const uint8_t *p, uint8_t *out)
{
    int i, bad = 0;
    for (i = 0; i < 16; i++) {
        int high = rl_hex_digit(p[rl_uuid_places[i]]), low = rl_hex_digit(p[rl_uuid_places[i] + 1]);
        bad |= high | low;
        out[i] = (uint8_t)((unsigned)high << 4 | (low & 0x0F));
    }
    return bad >= 0 && p[8] == '-' && p[13] == '-' && p[18] == '-' && p[23] == '-';
}

enum { RL_UUID_CHARS = 36 };

/* The texts of `count` UUIDs, one behind the other, and the `count` + 1 offsets of their ends. */
RL_NOINLINE void rl_format_uuids(const uint8_t *raw, size_t count, int32_t *offsets, uint8_t *text)
{
#define RL_HEX(h) h "0" h "1" h "2" h "3" h "4" h "5" h "6" h "7" h "8" h "9" h "a" h "b" h "c" h "d" h "e" h "f"
    static const char digits[] = RL_HEX("0") RL_HEX("1") RL_HEX("2") RL_HEX("3") RL_HEX("4") RL_HEX("5") RL_HEX("6")
        RL_HEX("7") RL_HEX("8") RL_HEX("9") RL_HEX("a") RL_HEX("b") RL_HEX("c") RL_HEX("d") RL_HEX("e") RL_HEX("f");
#undef RL_HEX
    size_t row;
    int i;
    offsets[0] = 0;
    for (row = 0; row < count; row++, raw += 16, text += RL_UUID_CHARS) {
        for (i = 0; i < 16; i++)
            memcpy(text + rl_uuid_places[i], digits + 2 * raw[i], 2);
        text[8] = text[13] = text[18] = text[23] = '-';
        offsets[row + 1] = (int32_t)((row + 1) * RL_UUID_CHARS);
    }
}

#endif
