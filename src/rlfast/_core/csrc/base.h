/* Growable buffers, unaligned loads and the compilers' differences. */
#ifndef RLFAST_BASE_H
#define RLFAST_BASE_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(_MSC_VER) && !defined(__clang__)
#include <intrin.h>
#define RL_LIKELY(x) (x)
#define RL_UNLIKELY(x) (x)
#define RL_INLINE static __forceinline
#define RL_NOINLINE static __declspec(noinline)
#else
#define RL_LIKELY(x) __builtin_expect(!!(x), 1)
#define RL_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define RL_INLINE static inline __attribute__((always_inline))
#define RL_NOINLINE static __attribute__((noinline, unused))
#endif

/* Results of what may fail. RL_TOO_BIG: over the int32 offsets of Arrow's utf8, binary and list types. RL_NOT_IN_TABLE: a text
 * that a fixed set of strings does not have. */
enum { RL_OK = 0, RL_NO_MEMORY = -1, RL_TOO_BIG = -2, RL_NOT_IN_TABLE = -3 };

typedef struct {
    uint8_t *data;      /* owned by whoever owns the struct */
    size_t size;        /* bytes in use */
    size_t capacity;
} rl_buffer;

/* Make room for `extra` more bytes; the buffer is unchanged when that fails. */
RL_NOINLINE int rl_buffer_grow(rl_buffer *buffer, size_t extra)
{
    size_t capacity = 2 * buffer->capacity;
    uint8_t *grown;
    if (capacity < buffer->size + extra)
        capacity = buffer->size + extra;
    if (capacity < 256)
        capacity = 256;
    grown = (uint8_t *)realloc(buffer->data, capacity);
    if (grown == NULL)
        return RL_NO_MEMORY;
    buffer->data = grown;
    buffer->capacity = capacity;
    return RL_OK;
}

RL_INLINE int rl_buffer_reserve(rl_buffer *buffer, size_t extra)
{
    if (RL_LIKELY(extra <= buffer->capacity - buffer->size))
        return RL_OK;
    return rl_buffer_grow(buffer, extra);
}

RL_INLINE int rl_buffer_append(rl_buffer *buffer, const void *data, size_t n)
{
    if (rl_buffer_reserve(buffer, n) != RL_OK)
        return RL_NO_MEMORY;
    if (n != 0)
        memcpy(buffer->data + buffer->size, data, n);
    buffer->size += n;
    return RL_OK;
}

RL_INLINE void rl_buffer_free(rl_buffer *buffer)
{
    free(buffer->data);
    memset(buffer, 0, sizeof *buffer);
}

RL_INLINE uint64_t rl_load64(const uint8_t *p)
{
    uint64_t value;
    memcpy(&value, p, 8);
    return value;
}

RL_INLINE uint32_t rl_load32(const uint8_t *p)
{
    uint32_t value;
    memcpy(&value, p, 4);
    return value;
}

/* Whether a[0:n] equals b[0:n]. */
RL_INLINE int rl_same(const uint8_t *a, const uint8_t *b, size_t n)
{
    if (n >= 8 && n <= 16)
        return rl_load64(a) == rl_load64(b) && rl_load64(a + n - 8) == rl_load64(b + n - 8);
    if (n >= 4 && n < 8)
        return rl_load32(a) == rl_load32(b) && rl_load32(a + n - 4) == rl_load32(b + n - 4);
    return memcmp(a, b, n) == 0;
}

/* What is being read: a payload, or part of one. */
typedef struct {
    const uint8_t *begin;
    const uint8_t *end;
    const uint8_t *tail;    /* end - 32, or NULL if there are fewer bytes: where the last whole vector begins */
} rl_input;

RL_INLINE rl_input rl_input_of(const uint8_t *begin, const uint8_t *end)
{
    rl_input in = {begin, end, end - begin >= 32 ? end - 32 : NULL};
    return in;
}

/* Copy n bytes, n small, with few branches: `dst` has room for n + 32, `src` may be read up to `src_end`. */
RL_INLINE void rl_copy_short(uint8_t *dst, const uint8_t *src, size_t n, const uint8_t *src_end)
{
    if (RL_LIKELY(n <= 32 && src_end - src >= 32))
        memcpy(dst, src, 32);
    else if (n != 0)
        memcpy(dst, src, n);
}

RL_INLINE uint64_t rl_multiply(uint64_t a, uint64_t b, uint64_t *high)
{
#if defined(__SIZEOF_INT128__)
    unsigned __int128 product = (unsigned __int128)a * b;
    *high = (uint64_t)(product >> 64);
    return (uint64_t)product;
#elif defined(_MSC_VER) && defined(_M_X64)
    return _umul128(a, b, high);
#else
    uint64_t a0 = (uint32_t)a, a1 = a >> 32, b0 = (uint32_t)b, b1 = b >> 32;
    uint64_t low = a0 * b0, cross = a1 * b0 + (low >> 32), middle = a0 * b1 + (uint32_t)cross;
    *high = a1 * b1 + (cross >> 32) + (middle >> 32);
    return middle << 32 | (uint32_t)low;
#endif
}

RL_INLINE int rl_lowest_bit64(uint64_t bits)
{
#if defined(_MSC_VER) && !defined(__clang__)
    unsigned long index;
    if ((uint32_t)bits == 0) {
        _BitScanForward(&index, (uint32_t)(bits >> 32));
        return (int)index + 32;
    }
    _BitScanForward(&index, (uint32_t)bits);
    return (int)index;
#else
    return __builtin_ctzll(bits);
#endif
}

/* Index of the lowest set bit of a number that is not 0. */
RL_INLINE int rl_lowest_bit(uint32_t bits)
{
#if defined(_MSC_VER) && !defined(__clang__)
    unsigned long index;
    _BitScanForward(&index, bits);
    return (int)index;
#else
    return __builtin_ctz(bits);
#endif
}

RL_INLINE int rl_leading_zeros(uint64_t bits)
{
#if defined(_MSC_VER) && !defined(__clang__)
    int n = 0;
    while (!(bits >> 63)) {
        bits <<= 1;
        n++;
    }
    return n;
#else
    return __builtin_clzll(bits);
#endif
}

#endif
