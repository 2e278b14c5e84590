/* The numbers in messages, by which a feed says in which order they are: found, and compared with the ones before.
 * lex.h has the rules. */
#ifndef RLFAST_SEQUENCE_H
#define RLFAST_SEQUENCE_H

#include "documents.h"
#include "lex.h"

/* What is looked for. RL_EACH: the array each element of which has a number. */
enum { RL_FIRST, RL_LAST, RL_WHOSE, RL_EACH, RL_PLACES };

/* Beside RL_OK and its like. */
enum { RL_UNDECIDED = 1 };

/* Whose numbers are remembered: so many, each with a name of at most so many bytes. */
enum { RL_MAX_WHOSE = 65536, RL_LONGEST_WHOSE = 256 };

/* A name that a JSON Pointer leads through. */
typedef struct {
    rl_span name;           /* borrowed */
    int64_t index;          /* of an element of an array; -1: the name is none */
} rl_step;

/* Where something is: in a message, or in an element of RL_EACH. */
typedef struct {
    const rl_step *steps;   /* n_steps, borrowed */
    uint32_t n_steps;
} rl_pointer;

/* From -2^63 up to 2^64 - 1. */
typedef struct {
    uint64_t bits;
    int negative;
} rl_number;

typedef struct {
    rl_number number;       /* the last one */
    int64_t received_at;
} rl_known;

/* A number that does not follow the one before. */
typedef struct {
    rl_number from, to;
    int64_t received_at;    /* of `from` */
    uint32_t message;       /* index of that with `to` in its block */
    int32_t whose;          /* code in `names` */
} rl_jump;

typedef struct {
    rl_pointer places[RL_PLACES];
    uint32_t in_message;    /* bits of the places that are looked for in a message; and in each element */
    uint32_t in_element;
    int64_t step;           /* at least 0: a message names the last number of the one before */
    uint8_t separator;      /* of the documents of a message; 0: it is one */
    size_t rest;            /* bytes of the message that is being looked at which are done */
    rl_span undecided;      /* a document that the general path must look at; borrowed */
    rl_decoder lexer;       /* of which only `scratch` is used; owned */
    rl_span found[RL_PLACES];   /* JSON, in the message that is being looked at; text NULL: absent */
    rl_string_table names;  /* owned; of whose numbers are known, as JSON; "" where nobody is named */
    rl_buffer known;        /* owned; rl_known, by the code of the name */
    rl_buffer jumps;        /* owned; rl_jump, at most `room` of them, until somebody takes them */
    size_t room;
    uint64_t more;          /* jumps for which there was no room, and the first message of them */
    uint32_t more_from;
    uint64_t checked;       /* numbers over all, and those of them that did not follow */
    uint64_t n_jumps;
    uint64_t skipped;       /* numbers that were jumped over, and UINT64_MAX if that is more */
    uint64_t unchecked;     /* that are no integers, or of somebody for whom there was no room */
} rl_sequence;

RL_INLINE int rl_leads_to(const rl_pointer *place, uint32_t level, rl_span name)
{
    const rl_span *wanted = &place->steps[level].name;
    return wanted->size == name.size && rl_same(wanted->text, name.text, name.size);
}

/* The value at p to `found`, and what is inside of it: of each place of `wanted` the first `level` steps lead there.
 * Returns the place behind the value, or NULL. */
static const uint8_t *rl_find(rl_sequence *s, const uint8_t *p, const rl_input *in, uint32_t level, uint32_t wanted)
{
    const uint8_t *start = p, *end = in->end;
    uint32_t here = 0, next, i;
    int64_t index;
    uint8_t close;
    for (i = 0; i < RL_PLACES; i++)
        if (wanted >> i & 1) {
            /* Of members with the same name the last one counts. */
            s->found[i].text = NULL;
            here |= (uint32_t)(s->places[i].n_steps == level) << i;
        }
    wanted &= ~here;
    if (p >= end)
        return NULL;
    if (wanted == 0 || (*p != '{' && *p != '['))
        p = rl_skip_value(&s->lexer, p, in);
    else {
        close = *p == '{' ? '}' : ']';
        p = rl_skip_space_to(p + 1, end);
        if (p < end && *p == close)
            p++;
        else
            for (index = 0;; index++) {
                next = 0;
                if (close == '}') {
                    rl_input around;
                    rl_span name;
                    if (p >= end || *p != '"')
                        return NULL;
                    p = rl_string(&s->lexer, p + 1, *in, &name, &around);
                    if (p == NULL)
                        return NULL;
                    for (i = 0; i < RL_PLACES; i++)
                        if (wanted >> i & 1)
                            next |= (uint32_t)rl_leads_to(&s->places[i], level, name) << i;
                    p = rl_skip_space_to(p, end);
                    if (p >= end || *p != ':')
                        return NULL;
                    p = rl_skip_space_to(p + 1, end);
                }
                else
                    for (i = 0; i < RL_PLACES; i++)
                        if (wanted >> i & 1)
                            next |= (uint32_t)(s->places[i].steps[level].index == index) << i;
                if (RL_UNLIKELY(next != 0))
                    p = rl_find(s, p, in, level + 1, next);
                else if (RL_UNLIKELY(p >= end))
                    return NULL;
                else if (*p == '"')
                    p = rl_skip_string(&s->lexer, p + 1, *in, in);
                else
                    p = rl_skip_value(&s->lexer, p, in);
                if (p == NULL)
                    return NULL;
                p = rl_skip_space_to(p, end);
                if (p >= end)
                    return NULL;
                if (*p == close) {
                    p++;
                    break;
                }
                if (*p != ',')
                    return NULL;
                p = rl_skip_space_to(p + 1, end);
            }
    }
    if (p != NULL)
        for (i = 0; i < RL_PLACES; i++)
            if (here >> i & 1) {
                s->found[i].text = start;
                s->found[i].size = (size_t)(p - start);
            }
    return p;
}

/* An integer, or a text of digits, as JSON. Returns whether it is one that there is room for. */
RL_INLINE int rl_read_number(rl_span json, rl_number *out)
{
    const uint8_t *p = json.text, *end = p + json.size;
    int64_t negative;
    if (*p == '"') {
        p++, end--;
        /* As texts they have the same width, mostly. */
        while (end - p > 1 && *p == '0')
            p++;
    }
    out->negative = *p == '-' && *json.text == '-';
    if (!out->negative)
        return rl_parse_uint64(p, end, &out->bits) == end;
    p = rl_parse_int64(p, end, &negative);
    out->bits = (uint64_t)negative;
    out->negative = negative < 0;
    return p == end;
}

RL_INLINE int rl_is_less(rl_number a, rl_number b)
{
    return a.negative != b.negative ? a.negative : a.bits < b.bits;
}

RL_NOINLINE int rl_note_jump(rl_sequence *s, const rl_known *known, rl_number to, uint32_t message, int32_t whose)
{
    rl_number next = known->number;
    uint64_t step = (uint64_t)s->step, missing, below, above, rest, sum;
    rl_jump *jump;
    s->n_jumps++;
    next.bits += step;
    next.negative = next.negative && next.bits >> 63;
    /* Behind the largest number there is none. */
    if (step && (known->number.negative || next.bits >= known->number.bits) && rl_is_less(next, to)) {
        /* From next up to 0, and on from there: the two together may be more than 2**64. */
        below = next.negative && !to.negative ? 0 - next.bits : 0;
        above = to.bits - (below ? 0 : next.bits);
        rest = below % step + above % step;
        missing = below / step + above / step;
        missing = missing < above / step ? UINT64_MAX : missing + rest / step + (rest % step != 0);
        sum = s->skipped + missing;
        s->skipped = sum < missing ? UINT64_MAX : sum;
    }
    if (s->jumps.size == s->room * sizeof(rl_jump)) {
        if (s->more++ == 0)
            s->more_from = message;
        return RL_OK;
    }
    if (rl_buffer_reserve(&s->jumps, sizeof(rl_jump)) != RL_OK)
        return RL_NO_MEMORY;
    jump = (rl_jump *)(s->jumps.data + s->jumps.size);
    jump->from = known->number;
    jump->to = to;
    jump->received_at = known->received_at;
    jump->message = message;
    jump->whose = whose;
    s->jumps.size += sizeof(rl_jump);
    return RL_OK;
}

/* Compare what was found with what came before. */
RL_INLINE int rl_check_order(rl_sequence *s, const uint8_t *begin, uint32_t message, int64_t received_at)
{
    rl_span first = s->found[RL_FIRST], last = s->found[RL_LAST], whose = s->found[RL_WHOSE];
    rl_number to;
    rl_known now, *known;
    int32_t code;
    if (first.text == NULL || *first.text == 'n')
        return RL_OK;
    if (whose.text == NULL) {
        whose.text = begin;
        whose.size = 0;
    }
    now.received_at = received_at;
    if (!rl_read_number(first, &to) || whose.size > RL_LONGEST_WHOSE
        || (s->places[RL_LAST].steps != NULL && (last.text == NULL || !rl_read_number(last, &now.number)))) {
        s->unchecked++;
        return RL_OK;
    }
    if (s->places[RL_LAST].steps == NULL)
        now.number = to;
    code = rl_table_find(&s->names, whose.text, whose.size, begin);
    if (RL_UNLIKELY(code < 0)) {
        if (s->names.count == RL_MAX_WHOSE) {
            s->unchecked++;
            return RL_OK;
        }
        if (rl_buffer_reserve(&s->known, sizeof now) != RL_OK || rl_table_add(&s->names, whose.text, whose.size) < 0)
            return RL_NO_MEMORY;
        s->checked++;
        return rl_buffer_append(&s->known, &now, sizeof now);
    }
    s->checked++;
    known = (rl_known *)s->known.data + code;
    if (RL_UNLIKELY(to.bits != known->number.bits + (uint64_t)s->step
                    || to.negative != (known->number.negative && to.bits >> 63)
                    || (!to.negative && !known->number.negative && to.bits < known->number.bits))
        && rl_note_jump(s, known, to, message, code) != RL_OK)
        return RL_NO_MEMORY;
    *known = now;
    return RL_OK;
}

/* The elements of the array at p, which was looked at already. */
static int rl_check_elements(
    rl_sequence *s, const uint8_t *p, const rl_input *in, uint32_t message, int64_t received_at)
{
    const uint8_t *begin = in->begin, *end = in->end;
    p = rl_skip_space_to(p + 1, end);
    if (p < end && *p == ']')
        return RL_OK;
    while (p < end) {
        p = rl_find(s, p, in, 0, s->in_element);
        if (p == NULL || rl_check_order(s, begin, message, received_at) != RL_OK)
            return RL_NO_MEMORY;
        p = rl_skip_space_to(p, end);
        if (p == end || *p != ',')
            break;
        p = rl_skip_space_to(p + 1, end);
    }
    return RL_OK;
}

/* Check one document of a message. Returns RL_OK; RL_NO_MEMORY; or RL_UNDECIDED, having changed nothing. */
static int rl_check_document(
    rl_sequence *s, const uint8_t *p, const uint8_t *end, uint32_t message, int64_t received_at)
{
    rl_input in;
    rl_span each;
    while (end > p && rl_is_space(end[-1]))
        end--;
    /* What skips values counts on it. */
    if (end == p || (end[-1] != '}' && end[-1] != ']'))
        return RL_UNDECIDED;
    in = rl_input_of(p, end);
    p = rl_find(s, rl_skip_space_to(p, end), &in, 0, s->in_message);
    if (p == NULL || rl_skip_space_to(p, end) != end)
        return RL_UNDECIDED;
    if (s->in_element == 0)
        return rl_check_order(s, in.begin, message, received_at);
    each = s->found[RL_EACH];
    return each.text != NULL && *each.text == '[' ? rl_check_elements(s, each.text, &in, message, received_at) : RL_OK;
}

/* Check messages [at, stop) of a block. Returns how far it came: up to `stop`, to a message of which the general path must
 * look at `undecided`, or, with `no_memory` set, to where memory was short. Needs no GIL.
 *
 * With a separator, `rest` is where it goes on in a message that it returns. */
static uint32_t rl_check_messages(
    rl_sequence *s, const uint8_t *data, const uint32_t *offsets, uint32_t at, uint32_t stop, int64_t received_at)
{
    for (; at < stop; at++) {
        const uint8_t *begin = data + offsets[at], *end = data + offsets[at + 1];
        const uint8_t *p = begin + s->rest, *document = begin, *behind = end;
        s->rest = 0;
        while (s->separator == 0 || (document = rl_next_document(&p, end, &behind, s->separator)) != NULL) {
            int result = rl_check_document(s, document, behind, at, received_at);
            if (RL_UNLIKELY(result != RL_OK)) {
                s->lexer.no_memory = result == RL_NO_MEMORY;
                s->undecided.text = document;
                s->undecided.size = (size_t)(behind - document);
                s->rest = (size_t)(p - begin);
                return at;
            }
            if (s->separator == 0)
                break;
        }
    }
    return at;
}

/* Forget whose numbers were which: they begin anew. */
static void rl_forget_order(rl_sequence *s)
{
    rl_table_clear(&s->names);
    s->known.size = 0;
}

static void rl_free_sequence(rl_sequence *s)
{
    rl_table_free(&s->names);
    rl_buffer_free(&s->known);
    rl_buffer_free(&s->jumps);
    rl_buffer_free(&s->lexer.scratch);
}

#endif
