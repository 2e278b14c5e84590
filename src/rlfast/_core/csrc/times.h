/* Dates, times (RFC 3339) and durations (ISO 8601) as text to what Arrow keeps of them. What is not decided here the general path must look at. */
#ifndef RLFAST_TIMES_H
#define RLFAST_TIMES_H

#include "number.h"

/* What is read of a time: digits behind the point beyond these are rounded, half up, as msgspec does it. */
enum { RL_MICRO_DIGITS = 6, RL_NANO_DIGITS = 9 };

/* The two digits at p, or a number over 99. */
RL_INLINE unsigned rl_two_digits(const uint8_t *p)
{
    unsigned tens = (unsigned)p[0] - '0', ones = (unsigned)p[1] - '0';
    return tens > 9 || ones > 9 ? 100 : 10 * tens + ones;
}

/* Days since 1970-01-01 of YYYY-MM-DD at p (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms"). */
RL_INLINE int rl_parse_date(const uint8_t *p, int64_t *days)
{
    static const uint8_t lengths[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    unsigned century = rl_two_digits(p), rest = rl_two_digits(p + 2), month = rl_two_digits(p + 5), day = rl_two_digits(p + 8);
    int64_t year, era, of_era;
    int leap;
    if (century > 99 || rest > 99 || month - 1 > 11 || p[4] != '-' || p[7] != '-')
        return 0;
    year = 100 * century + rest;
    leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    if (year == 0 || day - 1 >= (unsigned)lengths[month - 1] + (month == 2 && leap))
        return 0;
    year -= month <= 2;
    era = year / 400;
    of_era = year - 400 * era;
    *days = 146097 * era + 365 * of_era + of_era / 4 - of_era / 100
        + (153 * ((int64_t)month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1 - 719468;
    return 1;
}

/* A time of day as it is written. */
typedef struct {
    unsigned hour, minute, second;
    int64_t fraction;       /* of a second, in units of 10^-digits; may be a whole one, rounded up */
    int has_zone;
    int sign;               /* of the offset, which is zero for Z */
    unsigned hours, minutes;
} rl_clock;

/* HH:MM:SS at p, with a fraction or without, and Z, an offset or nothing behind it, up to `end`. */
RL_INLINE int rl_read_clock(const uint8_t *p, const uint8_t *end, int digits, rl_clock *clock)
{
    if (end - p < 8 || p[2] != ':' || p[5] != ':')
        return 0;
    memset(clock, 0, sizeof *clock);
    clock->sign = 1;
    clock->hour = rl_two_digits(p), clock->minute = rl_two_digits(p + 3), clock->second = rl_two_digits(p + 6);
    if (clock->hour > 23 || clock->minute > 59 || clock->second > 59)
        return 0;
    p += 8;
    if (p < end && *p == '.') {
        static const int64_t powers[RL_NANO_DIGITS + 1] =
            {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000};
        const uint8_t *first = ++p;
        uint64_t fraction = 0;
        p = rl_digits(p, end, &fraction);
        if (p == first)
            return 0;
        if (RL_LIKELY(p - first <= digits))
            clock->fraction = (int64_t)fraction * powers[digits - (p - first)];
        else {
            int n;
            for (n = 0; n < digits; n++)
                clock->fraction = 10 * clock->fraction + (first[n] - '0');
            clock->fraction += first[n] >= '5';
        }
    }
    clock->has_zone = p < end;
    if (p == end || *p == 'Z' || *p == 'z')
        return end - p <= 1;
    if (end - p != 6 || (*p != '+' && *p != '-') || p[3] != ':')
        return 0;
    clock->sign = *p == '-' ? -1 : 1;
    clock->hours = rl_two_digits(p + 1), clock->minutes = rl_two_digits(p + 4);
    return clock->hours <= 23 && clock->minutes <= 59;
}

/* The same as units of 10^-digits seconds since midnight, less the offset; it may lie outside of the day. */
RL_INLINE int rl_parse_clock(const uint8_t *p, const uint8_t *end, int digits, int64_t *time, int *has_zone)
{
    int64_t per_second = digits == RL_NANO_DIGITS ? 1000000000 : 1000000, offset;
    rl_clock clock;
    if (!rl_read_clock(p, end, digits, &clock))
        return 0;
    offset = clock.sign * (int64_t)(60 * clock.hours + clock.minutes) * 60;
    *has_zone = clock.has_zone;
    *time = (3600 * (int64_t)clock.hour + 60 * (int64_t)clock.minute + (int64_t)clock.second - offset) * per_second
        + clock.fraction;
    return 1;
}

/* Microseconds, or nanoseconds, since 1970-01-01 UTC, or, without a zone, of a calendar that has none. */
RL_INLINE int rl_parse_datetime(const uint8_t *p, size_t n, int digits, int64_t *out, int *has_zone)
{
    int64_t days, time, limit = INT64_MAX / 1000;
    if (n < 19 || (p[10] != 'T' && p[10] != 't' && p[10] != ' ') || !rl_parse_date(p, &days)
        || !rl_parse_clock(p + 11, p + n, digits, &time, has_zone))
        return 0;
    if (digits == RL_MICRO_DIGITS) {
        *out = days * 86400000000 + time;
        /* Rounded up to the year 10000, or close to it. */
        return *out < 253402300799000000 - 86400000000;
    }
    /* From 1678 to 2261, for certain. */
    if (days < -limit / 86400000000 + 1 || days > limit / 86400000000 - 1)
        return 0;
    *out = days * 86400000000000 + time;
    return 1;
}

/* [+-]PnDTnHnMn.nS in microseconds: whole numbers of up to 8 digits, and no more than microseconds. */
RL_INLINE int rl_parse_duration(const uint8_t *p, const uint8_t *end, int64_t *out)
{
    static const struct {
        uint8_t name;
        int64_t micros;
    } units[4] = {{'D', 86400000000}, {'H', 3600000000}, {'M', 60000000}, {'S', 1000000}};
    int negative = p < end && *p == '-', of_day = 0, unit = 0;
    p += negative || (p < end && *p == '+');
    if (p >= end || (*p++ | 0x20) != 'p')
        return 0;
    *out = 0;
    do {
        const uint8_t *first;
        uint64_t whole = 0;
        int64_t fraction = 0, scale = 1000000;
        if (!of_day && p < end && (*p | 0x20) == 't') {
            of_day = unit = 1;
            p++;
        }
        first = p;
        p = rl_digits(p, end, &whole);
        if (p == first || p - first > 8)
            return 0;
        if (p < end && *p == '.') {
            first = ++p;
            while (p < end && rl_is_digit(*p) && scale > 1)
                fraction += (scale /= 10) * (*p++ - '0');
            if (p == first)
                return 0;
        }
        if (p == end)
            return 0;
        while (unit < (of_day ? 4 : 1) && units[unit].name != (*p & ~0x20))
            unit++;
        /* Of seconds alone a fraction is exact. */
        if (unit == (of_day ? 4 : 1) || (scale < 1000000 && unit != 3))
            return 0;
        *out += (int64_t)whole * units[unit++].micros + fraction;
        p++;
    } while (p < end);
    if (negative)
        *out = -*out;
    return 1;
}

#endif
