/* Values that JSON has as strings, and the rarer ones, as tokens. lex.h has the rules, and what is not decided here the
 * general path must look at. */
#ifndef RLFAST_TOKEN_VALUES_H
#define RLFAST_TOKEN_VALUES_H

#include "decimals.h"
#include "times.h"
#include "tokens.h"
#include "values.h"

/* -- times: as they are written, because Python's objects keep their offset --------------------------------------------- */

enum { RL_MAX_MICROS = 1000000 };

/* 23 bits, above those of a time. */
RL_INLINE int64_t rl_pack_date(unsigned year, unsigned month, unsigned day)
{
    return (int64_t)((year << 9) | (month << 5) | day) << 40;
}

/* 37 bits. */
RL_INLINE int64_t rl_pack_time(unsigned hour, unsigned minute, unsigned second, unsigned micros)
{
    return (int64_t)((hour << 12) | (minute << 6) | second) << 20 | micros;
}

/* 0: no time zone; else the minutes that its clocks are ahead of UTC, and a day. */
RL_INLINE uint64_t rl_pack_zone(int ahead, unsigned hours, unsigned minutes)
{
    int offset = (int)(60 * hours + minutes);
    return (uint64_t)(1440 + (ahead ? offset : -offset));
}

/* YYYY-MM-DD at p. */
RL_INLINE int rl_date_bits(const uint8_t *p, int64_t *bits)
{
    int64_t days;
    if (!rl_parse_date(p, &days))
        return 0;
    *bits = rl_pack_date(
        100 * rl_two_digits(p) + rl_two_digits(p + 2), rl_two_digits(p + 5), rl_two_digits(p + 8));
    return 1;
}

/* HH:MM:SS at p, with a fraction or without, and Z, an offset or nothing behind it, up to `end`. */
RL_INLINE int rl_time_bits(const uint8_t *p, const uint8_t *end, int64_t *bits, uint64_t *zone)
{
    rl_clock clock;
    /* Rounded up to the next second, and perhaps to the next year. */
    if (!rl_read_clock(p, end, RL_MICRO_DIGITS, &clock) || clock.fraction == RL_MAX_MICROS)
        return 0;
    *bits = rl_pack_time(clock.hour, clock.minute, clock.second, (unsigned)clock.fraction);
    *zone = clock.has_zone ? rl_pack_zone(clock.sign > 0, clock.hours, clock.minutes) : 0;
    return 1;
}

/* A date, a time or both of them. */
static int rl_calendar_token(const rl_field *f, rl_token *token, const uint8_t *p, size_t n)
{
    int64_t date = 0, time = 0;
    uint64_t zone = 0;
    if (f->kind != RL_TIME) {
        if (n < 10 || !rl_date_bits(p, &date))
            return 0;
        if (f->kind == RL_DATE) {
            token->kind = RL_TOKEN_DATE;
            token->of.integer = date;
            return n == 10;
        }
        if (n < 19 || (p[10] != 'T' && p[10] != 't' && p[10] != ' '))
            return 0;
        p += 11;
        n -= 11;
    }
    if (!rl_time_bits(p, p + n, &time, &zone) || !(f->accepts & (zone ? RL_ACCEPT_AWARE : RL_ACCEPT_NAIVE)))
        return 0;
    token->kind = f->kind == RL_TIME ? RL_TOKEN_TIME : RL_TOKEN_DATETIME;
    token->of.integer = date | time;
    token->size = zone;
    return 1;
}

/* -- the rest ------------------------------------------------------------------------------------------------------------ */

RL_INLINE int rl_decimal_token(rl_token *token, const uint8_t *p, size_t n)
{
    token->kind = RL_TOKEN_DECIMAL;
    token->of.text = p;
    token->size = n;
    return rl_decimal_end(p, p + n, 1) == p + n;
}

/* Bytes in base64; whether all characters are digits of it is seen when they become bytes. */
RL_INLINE int rl_base64_token(const rl_field *f, rl_token *token, const uint8_t *p, size_t n)
{
    int64_t size = (int64_t)(n / 4 * 3);
    if (n % 4 != 0)
        return 0;
    if (n != 0)
        size -= (p[n - 1] == '=') + (p[n - 2] == '=');
    token->kind = RL_TOKEN_BASE64;
    token->of.text = p;
    token->size = n;
    return !f->limited || (size >= f->length_min && size <= f->length_max);
}

RL_NOINLINE const uint8_t *rl_parsed_token(
    rl_decoder *d, const rl_field *f, rl_token *token, const uint8_t *p, const rl_input *around)
{
    rl_input in = *around, text_around;
    rl_span text;
    const uint8_t *start = p;
    uint8_t raw[16];
    if (*p != '"') {
        if (f->kind != RL_DECIMAL_TEXT || *p == 'n')
            return rl_null_token(f, token, p, in);
        p = rl_skip_number(p, in.end);
        /* -0 is an integer for msgspec, and loses its sign. */
        if (p == NULL || (p - start == 2 && start[0] == '-' && start[1] == '0'))
            return NULL;
        return rl_decimal_token(token, start, (size_t)(p - start)) ? p : NULL;
    }
    p = rl_string(d, p + 1, in, &text, &text_around);
    /* A text without its escapes does not live as long as the token. */
    if (p == NULL || text.text != start + 1)
        return NULL;
    switch (f->kind) {
    case RL_UUID:
        if (text.size != RL_UUID_CHARS || in.end - text.text < RL_UUID_CHARS || !rl_parse_uuid(text.text, raw))
            return NULL;
        token->kind = RL_TOKEN_UUID;
        memcpy(&token->size, raw, 8);
        memcpy(&token->of, raw + 8, 8);
        return p;
    case RL_DECIMAL_TEXT:
        return rl_decimal_token(token, text.text, text.size) ? p : NULL;
    case RL_BASE64:
        return rl_base64_token(f, token, text.text, text.size) ? p : NULL;
    default:
        return rl_calendar_token(f, token, text.text, text.size) ? p : NULL;
    }
}

/* One of a few integers. */
RL_NOINLINE const uint8_t *rl_choice_token(const rl_field *f, rl_token *token, const uint8_t *p, const rl_input *around)
{
    rl_input in = *around;
    int64_t integer;
    uint32_t i;
    if (*p == 'n')
        return rl_null_token(f, token, p, in);
    p = rl_parse_int64(p, in.end, &integer);
    if (p == NULL)
        return NULL;
    for (i = 0; i < f->n_choices; i++)
        if (f->choices[i] == integer) {
            token->kind = RL_TOKEN_LISTED;
            token->of.integer = i;
            return p;
        }
    return NULL;
}

/* The array or object at p; NULL: to be asked. */
RL_INLINE const uint8_t *rl_plain_token(rl_decoder *plain, rl_token *token, const uint8_t *p, rl_input in)
{
    rl_token *first, *behind;
    size_t room;
    if (plain->items.size > RL_MAX_ITEMS * sizeof *first)
        return NULL;
    room = rl_room_for_values(plain, p, in.end);
    if (room == 0)
        return NULL;
    first = (rl_token *)(plain->items.data + plain->items.size);
    p = rl_container_values(plain, p, in, first, room, &behind);
    if (p == NULL)
        return NULL;
    token->kind = RL_TOKEN_VALUES;
    token->size = (uint64_t)(behind - first);
    token->of.integer = (int64_t)(plain->items.size / sizeof *first);
    plain->items.size += (size_t)(behind - first) * sizeof *first;
    return p;
}

/* A value of any kind, or an array, or an object: `accepts` says which; if it names none, a value that is decoded by
 * itself, whatever it is. */
RL_NOINLINE const uint8_t *rl_json_token(
    rl_decoder *d, const rl_field *f, rl_token *token, const uint8_t *p, const rl_input *around)
{
    rl_input in = *around;
    const uint8_t *start = p;
    if (f->accepts && !(f->accepts & (*p == '{' ? RL_ACCEPT_OBJECT : *p == '[' ? RL_ACCEPT_ARRAY : 0))) {
        if (f->accepts & RL_ACCEPT_STRING)
            return *p == '"' ? rl_string_token(d, token, p + 1, in) : rl_scalar_token(d, token, p, in.end);
        return rl_null_token(f, token, p, in);
    }
    if (f->accepts && d->plain != NULL) {
        const uint8_t *after = rl_plain_token(d->plain, token, p, in);
        if (RL_LIKELY(after != NULL))
            return after;
    }
    p = rl_skip_value(d, p, around);
    if (p == NULL)
        return NULL;
    token->kind = RL_TOKEN_JSON;
    token->of.text = start;
    token->size = (uint64_t)(p - start);
    return p;
}

#endif
