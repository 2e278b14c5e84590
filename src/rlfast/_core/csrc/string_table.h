/* A set of texts, each with a code: dictionaries of text columns, names of fields, tags of types. */
#ifndef RLFAST_STRING_TABLE_H
#define RLFAST_STRING_TABLE_H

#include "base.h"

typedef struct {
    uint64_t head;      /* see rl_digest_text; with `tail` and `size` all of a text of at most 16 bytes */
    uint64_t tail;
    uint32_t size;
    int32_t code;       /* plus 1; 0: the slot is free */
} rl_slot;

typedef struct {
    rl_slot *slots;     /* owned; a power of two of them, at most half of them taken */
    uint32_t n_slots;
    int32_t count;
    int shift;          /* 64 less the logarithm of n_slots */
    uint64_t seed[2];   /* odd and random, so that no server can choose texts that collide */
    rl_buffer offsets;  /* int32, count + 1 of them: the strings as an Arrow utf8 array, in order of their codes */
    rl_buffer data;
} rl_string_table;

typedef struct {
    uint64_t head, tail;
} rl_digest;

RL_NOINLINE rl_digest rl_digest_long(const uint8_t *text, size_t n, uint64_t seed, rl_digest out)
{
    uint64_t low, high;
    size_t i;
    for (i = 0; i + 16 < n; i += 8) {
        low = rl_multiply(out.head ^ 0x9E3779B97F4A7C15u, rl_load64(text + i) ^ seed, &high);
        out.head = low ^ high;
    }
    return out;
}

/* The last 16 bytes of the text, zeros before them if it is shorter; of a longer text, all of it, mixed. Reads
 * nothing before `begin`. */
RL_INLINE rl_digest rl_digest_text(const uint8_t *text, size_t n, uint64_t seed, const uint8_t *begin)
{
    static const uint8_t masks[32] = {0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,
                                      0,    0,    0,    0,    0,    0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
                                      0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};
    const uint8_t *last = text + n, *mask = masks + (n < 16 ? n : 16);
    uint8_t copy[16] = {0};
    rl_digest out;
    if (RL_UNLIKELY(last - begin < 16)) {
        if (n != 0 && n < 16)
            memcpy(copy + 16 - n, text, n);
        last = copy + 16;
    }
    out.head = rl_load64(last - 16) & rl_load64(mask);
    out.tail = rl_load64(last - 8) & rl_load64(mask + 8);
    return RL_LIKELY(n <= 16) ? out : rl_digest_long(text, n, seed, out);
}

/* A number of 64 - shift bits. */
RL_INLINE uint32_t rl_spread(rl_digest digest, const uint64_t seed[2], int shift)
{
    return (uint32_t)((digest.head * seed[0] + digest.tail * seed[1]) >> shift);
}

/* The slot where the search for a text begins. */
RL_INLINE uint32_t rl_first_slot(rl_digest digest, const rl_string_table *table)
{
    return rl_spread(digest, table->seed, table->shift);
}

RL_INLINE int rl_table_equal(
    const rl_string_table *table, const rl_slot *slot, rl_digest digest, const uint8_t *text, size_t n)
{
    if (slot->head != digest.head || slot->tail != digest.tail || slot->size != n)
        return 0;
    if (RL_LIKELY(n <= 16))
        return 1;
    return memcmp(table->data.data + ((const int32_t *)table->offsets.data)[slot->code - 1], text, n) == 0;
}

/* The code of a text, or -1. Reads nothing before `begin` and behind the text. */
RL_INLINE int32_t rl_table_find(const rl_string_table *table, const uint8_t *text, size_t n, const uint8_t *begin)
{
    rl_digest digest;
    uint32_t mask = table->n_slots - 1, at;
    if (RL_UNLIKELY(table->n_slots == 0))
        return -1;
    digest = rl_digest_text(text, n, table->seed[0], begin);
    for (at = rl_first_slot(digest, table); table->slots[at].code != 0; at = (at + 1) & mask)
        if (RL_LIKELY(rl_table_equal(table, &table->slots[at], digest, text, n)))
            return table->slots[at].code - 1;
    return -1;
}

RL_NOINLINE int rl_table_rehash(rl_string_table *table)
{
    uint32_t n_old = table->n_slots, i, at;
    rl_slot *old = table->slots, *slots;
    if (n_old >= 1u << 30)
        return RL_NO_MEMORY;
    slots = (rl_slot *)calloc(n_old ? 4 * (size_t)n_old : 64, sizeof(rl_slot));
    if (slots == NULL)
        return RL_NO_MEMORY;
    table->slots = slots;
    table->n_slots = n_old ? 4 * n_old : 64;
    table->shift = n_old ? table->shift - 2 : 64 - 6;
    for (i = 0; i < n_old; i++) {
        rl_digest digest = {old[i].head, old[i].tail};
        if (old[i].code == 0)
            continue;
        at = rl_first_slot(digest, table);
        while (slots[at].code != 0)
            at = (at + 1) & (table->n_slots - 1);
        slots[at] = old[i];
    }
    free(old);
    return RL_OK;
}

/* Add a text that is not in the set. Returns its code, RL_NO_MEMORY or RL_TOO_BIG, then changing nothing. */
RL_NOINLINE int32_t rl_table_add(rl_string_table *table, const uint8_t *text, size_t n)
{
    rl_digest digest;
    rl_slot *slot;
    uint32_t at;
    int32_t end;
    if (table->data.size + n > INT32_MAX)
        return RL_TOO_BIG;
    if (2 * ((uint64_t)table->count + 1) > table->n_slots && rl_table_rehash(table) != RL_OK)
        return RL_NO_MEMORY;
    if (rl_buffer_reserve(&table->offsets, 2 * sizeof end) != RL_OK || rl_buffer_reserve(&table->data, n) != RL_OK)
        return RL_NO_MEMORY;
    if (table->offsets.size == 0) {
        end = 0;
        rl_buffer_append(&table->offsets, &end, sizeof end);
    }
    rl_buffer_append(&table->data, text, n);
    end = (int32_t)table->data.size;
    rl_buffer_append(&table->offsets, &end, sizeof end);
    digest = rl_digest_text(text, n, table->seed[0], text);
    at = rl_first_slot(digest, table);
    while (table->slots[at].code != 0)
        at = (at + 1) & (table->n_slots - 1);
    slot = &table->slots[at];
    slot->head = digest.head;
    slot->tail = digest.tail;
    slot->size = (uint32_t)n;
    slot->code = ++table->count;
    return table->count - 1;
}

/* Forget all texts, whose buffers may have been moved out; the slots stay for reuse, unless they are many. */
RL_INLINE void rl_table_clear(rl_string_table *table)
{
    if (table->n_slots > 1024) {
        free(table->slots);
        table->slots = NULL;
        table->n_slots = 0;
    }
    else if (table->n_slots)
        memset(table->slots, 0, table->n_slots * sizeof(rl_slot));
    table->count = 0;
    table->offsets.size = 0;
    table->data.size = 0;
}

RL_INLINE void rl_table_free(rl_string_table *table)
{
    free(table->slots);
    rl_buffer_free(&table->offsets);
    rl_buffer_free(&table->data);
    table->slots = NULL;
    table->n_slots = 0;
    table->count = 0;
}

#endif
