/* What is done with many bytes at once, byte by byte: for machines without SIMD, and the reference for the others. */
#ifndef RLFAST_SIMD_SCALAR_H
#define RLFAST_SIMD_SCALAR_H

#include "plan.h"
#include "uuid.h"

#define RL_SIMD "scalar"

/* The first byte at or behind p that ends a run of plain ASCII text: a quote, a backslash, a control character or
 * a byte that is not ASCII; the input's end if there is none. */
RL_INLINE const uint8_t *rl_scan(const uint8_t *p, rl_input in)
{
    return rl_scan_bytewise(p, in.end);
}

/* Copy 32 bytes, which can be read and written, and return how many of them come before the first that rl_scan would stop
 * at. */
RL_INLINE int rl_short_text(const uint8_t *p, uint8_t *out)
{
    memcpy(out, p, 32);
    return (int)(rl_scan_bytewise(p, p + 32) - p);
}

/* Whether the key at p is the one that is expected; at least 32 bytes can be read. */
RL_INLINE int rl_match_long(const uint8_t *p, const rl_field *f)
{
    return rl_same(p, f->key, f->key_size);
}

/* The 36 characters at p as 16 bytes; 0 if they are no UUID in canonical form (RFC 9562 section 4). */
RL_INLINE int rl_parse_uuid(const uint8_t *p, uint8_t *out)
{
    return rl_parse_uuid_bytewise(p, out);
}

#endif
