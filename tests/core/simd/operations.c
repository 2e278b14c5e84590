/* Compiled once for each simd_*.h: -DSIMD='"simd_sse2.h"' -DOPERATIONS=sse2. */
#include "plan.h"
#include "uuid.h"

#include SIMD

#include "operations.h"

static ptrdiff_t scan(const uint8_t *begin, const uint8_t *p, const uint8_t *end)
{
    return rl_scan(p, rl_input_of(begin, end)) - begin;
}

static int short_text(const uint8_t *p, uint8_t *out)
{
    return rl_short_text(p, out);
}

static int match(const uint8_t *p, const uint8_t *key, size_t size)
{
    rl_field field = {0};
    memcpy(field.text, key, size);
    field.mask = (uint32_t)(((uint64_t)1 << size) - 1);
    field.key_size = (uint32_t)size;
    field.key = key;
    return rl_match_long(p, &field);
}

static int uuid(const uint8_t *p, uint8_t *out)
{
    return rl_parse_uuid(p, out);
}

const operations OPERATIONS = {RL_SIMD, scan, short_text, match, uuid};
