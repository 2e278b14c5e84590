/* Frames as a client reads them (RFC 6455 section 5.2): headers, and runs of whole messages. */
#ifndef RLFAST_FRAMES_H
#define RLFAST_FRAMES_H

#include "base.h"
#include "utf8.h"

enum {
    RL_OP_TEXT = 1,
    RL_OP_BINARY = 2,
    RL_OP_FIRST_CONTROL = 8,   /* opcodes from here on are those of control frames */
    RL_OP_PONG = 10,
};

/* What rl_read_header says of bytes that are not the whole header of a frame that a server may send. */
enum {
    RL_HEADER_INCOMPLETE = 0,
    RL_BAD_OPCODE = -1,
    RL_CUT_CONTROL = -2,
    RL_MASKED = -3,
    RL_LONG_CONTROL = -4,
    RL_BAD_LENGTH = -5,
};

typedef struct {
    int opcode;
    int fin;
    int rsv;            /* three bits, RSV1 is 4 */
    uint64_t size;      /* of the payload, in bytes */
} rl_frame;

/* Read the header at p: its size in bytes, or one of the above. */
static inline int rl_read_header(const uint8_t *p, const uint8_t *end, rl_frame *frame)
{
    int length;
    if (end - p < 2)
        return RL_HEADER_INCOMPLETE;
    frame->opcode = p[0] & 15;
    frame->fin = p[0] >> 7;
    frame->rsv = p[0] >> 4 & 7;
    length = p[1] & 127;
    if (frame->opcode > RL_OP_PONG || (frame->opcode > RL_OP_BINARY && frame->opcode < RL_OP_FIRST_CONTROL))
        return RL_BAD_OPCODE;
    if (frame->opcode >= RL_OP_FIRST_CONTROL) {
        /* Section 5.5. */
        if (!frame->fin)
            return RL_CUT_CONTROL;
        if (length > 125)
            return RL_LONG_CONTROL;
    }
    /* Section 5.1. */
    if (p[1] & 128)
        return RL_MASKED;
    if (length < 126) {
        frame->size = (uint64_t)length;
        return 2;
    }
    if (length == 126) {
        if (end - p < 4)
            return RL_HEADER_INCOMPLETE;
        frame->size = (uint64_t)p[2] << 8 | p[3];
        return frame->size < 126 ? RL_BAD_LENGTH : 4;
    }
    if (end - p < 10)
        return RL_HEADER_INCOMPLETE;
    frame->size = 0;
    for (int i = 2; i < 10; i++)
        frame->size = frame->size << 8 | p[i];
    return frame->size < 65536 || frame->size >> 63 ? RL_BAD_LENGTH : 10;
}

/* Copy n bytes to where no part of them lies. Returns 0 only if all are ASCII. */
#if defined(__SSE2__) || defined(_M_X64)
RL_INLINE int rl_copy_ascii(uint8_t *to, const uint8_t *from, size_t n)
{
    if (RL_LIKELY(n >= 16)) {
        __m128i seen = _mm_setzero_si128();
        size_t i = 0;
        if (n >= 64) {
            /* The last 64 bytes, which may have been copied in part, end the loop. */
            for (;; i += 64) {
                __m128i a, b, c, d;
                if (i + 64 > n)
                    i = n - 64;
                a = _mm_loadu_si128((const __m128i *)(from + i));
                b = _mm_loadu_si128((const __m128i *)(from + i + 16));
                c = _mm_loadu_si128((const __m128i *)(from + i + 32));
                d = _mm_loadu_si128((const __m128i *)(from + i + 48));
                _mm_storeu_si128((__m128i *)(to + i), a);
                _mm_storeu_si128((__m128i *)(to + i + 16), b);
                _mm_storeu_si128((__m128i *)(to + i + 32), c);
                _mm_storeu_si128((__m128i *)(to + i + 48), d);
                seen = _mm_or_si128(seen, _mm_or_si128(_mm_or_si128(a, b), _mm_or_si128(c, d)));
                if (i + 64 == n)
                    return _mm_movemask_epi8(seen);
            }
        }
        for (;; i += 16) {
            __m128i a;
            if (i + 16 > n)
                i = n - 16;
            a = _mm_loadu_si128((const __m128i *)(from + i));
            _mm_storeu_si128((__m128i *)(to + i), a);
            seen = _mm_or_si128(seen, a);
            if (i + 16 == n)
                return _mm_movemask_epi8(seen);
        }
    }
    if (n >= 8) {
        uint64_t a = rl_load64(from), b = rl_load64(from + n - 8);
        memcpy(to, &a, 8);
        memcpy(to + n - 8, &b, 8);
        return ((a | b) & 0x8080808080808080u) != 0;
    }
    {
        uint8_t seen = 0;
        for (size_t i = 0; i < n; i++)
            seen |= to[i] = from[i];
        return seen & 0x80;
    }
}
#else
RL_INLINE int rl_copy_ascii(uint8_t *to, const uint8_t *from, size_t n)
{
    memcpy(to, from, n);
    return rl_skip_ascii(from, from, from + n) != from + n;
}
#endif

/* Where the payloads of a run of messages go. Everything is borrowed from a block. */
typedef struct {
    uint8_t *data;
    size_t size;            /* bytes in use */
    size_t capacity;
    uint32_t *offsets;      /* payload i ends at offsets[i + 1] */
    uint32_t count;
    uint32_t limit;         /* of count */
    uint64_t binary;        /* messages of the run that were binary */
    size_t wanted;          /* size of a payload that there was no room for */
    int full;               /* there was none for the next one */
} rl_messages;

/* Append the payloads of the messages at p, as long as each is whole, in one frame, not compressed, and UTF-8 if it is
 * text. Returns where the first frame stands that is not taken: it has to be looked at by itself. */
RL_INLINE const uint8_t *rl_take_messages_of(
    const uint8_t *p, const uint8_t *end, size_t largest, rl_messages *run, uint8_t other)
{
    run->full = 0;
    while (end - p >= 2) {
        int text = p[0] == (0x80 | RL_OP_TEXT);
        size_t n = p[1], head = 2;
        if (!text && p[0] != other)
            break;
        if (RL_UNLIKELY(n >= 126)) {
            /* Among these are masked frames, and those whose length has eight bytes. */
            if (n != 126 || end - p < 4)
                break;
            n = (size_t)p[2] << 8 | p[3];
            head = 4;
            if (n < 126)
                break;
        }
        if ((size_t)(end - p) - head < n || n > largest)
            break;
        if (RL_UNLIKELY(run->count == run->limit || n > run->capacity - run->size)) {
            run->full = 1;
            run->wanted = n;
            break;
        }
        p += head;
        if (RL_UNLIKELY(rl_copy_ascii(run->data + run->size, p, n)) && text && rl_utf8_prefix(p, n) != (int64_t)n)
            return p - head;
        run->binary += (uint64_t)!text;
        run->size += n;
        run->offsets[++run->count] = (uint32_t)run->size;
        p += n;
    }
    return p;
}

static const uint8_t *rl_take_text(const uint8_t *p, const uint8_t *end, size_t largest, rl_messages *run)
{
    return rl_take_messages_of(p, end, largest, run, 0x80 | RL_OP_TEXT);
}

static const uint8_t *rl_take_messages(const uint8_t *p, const uint8_t *end, size_t largest, rl_messages *run)
{
    return rl_take_messages_of(p, end, largest, run, 0x80 | RL_OP_BINARY);
}

#endif
