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

/* Days since 1970-01-01 of a date of the proleptic Gregorian calendar, by years that begin in March (Howard Hinnant,
 * "chrono-Compatible Low-Level Date Algorithms"); 0: there is none. */
RL_INLINE int rl_days(unsigned year, unsigned month, unsigned day, int64_t *days)
{
    static const uint8_t lengths[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    if (year == 0 || month - 1 > 11 || day - 1 >= (unsigned)lengths[month - 1] + (month == 2 && leap))
        return 0;
    year -= month <= 2;
    *days = (int64_t)(365 * year + year / 4 - year / 100 + year / 400 + (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5
                      + day - 1) - 719468;
    return 1;
}

/* The same of YYYY-MM-DD at p. */
RL_INLINE int rl_parse_date(const uint8_t *p, int64_t *days)
{
    unsigned century = rl_two_digits(p), rest = rl_two_digits(p + 2), month = rl_two_digits(p + 5), day = rl_two_digits(p + 8);
    return century <= 99 && rest <= 99 && p[4] == '-' && p[7] == '-' && rl_days(100 * century + rest, month, day, days);
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

/* Days, and the time of the day, of p[0:n] as most write it, YYYY-MM-DDTHH:MM:SSZ with a fraction or without; 0: it is
 * written in another way, or wrong. */
RL_INLINE int rl_parse_plain_datetime(const uint8_t *p, size_t n, int digits, int64_t *days, int64_t *time)
{
#if defined(_MSC_VER) || __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    static const uint32_t powers[] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000};
    uint64_t date, clock, second, fraction = 0, wrong;
    int written = (int)n - 21;
    if (n < 20 || written > 8 || written > digits || written == 0 || p[n - 1] != 'Z')
        return 0;
    /* Eight characters each, less those that are expected, a zero for a digit. The sum has the top bit set where a digit is
     * over 9, or something else over 0; carries only go upwards. */
    date = rl_load64(p) ^ 0x2D30302D30303030u;
    clock = rl_load64(p + 8) ^ 0x30303A3030543030u;
    second = (rl_load32(p + 15) >> 8 ^ 0x30303Au) | (uint64_t)(p[19] ^ (written < 0 ? 'Z' : '.')) << 24;
    wrong = (date + 0x7F76767F76767676u) | date | (clock + 0x76767F76767F7676u) | clock
        | (second + 0x7F7F7F7F7F76767Fu) | second;
    if (written > 0) {
        int others = 8 * (8 - written);
        fraction = (rl_load64(p + n - 9) ^ 0x3030303030303030u) >> others << others;
        wrong |= (fraction + 0x7676767676767676u) | fraction;
        fraction = rl_eight_digits(fraction) * powers[digits - written];
    }
    if (wrong & 0x8080808080808080u)
        return 0;
    /* Each digit times 10, and the next one: pairs of them are two-digit numbers. */
    date = 10 * date + (date >> 8);
    clock = 10 * clock + (clock >> 8);
    second = (10 * second + (second >> 8)) >> 8 & 0xFF;
    if ((clock >> 24 & 0xFF) > 23 || (clock >> 48 & 0xFF) > 59 || second > 59)
        return 0;
    *time = (int64_t)(3600 * (clock >> 24 & 0xFF) + 60 * (clock >> 48 & 0xFF) + second) * powers[digits] + (int64_t)fraction;
    return rl_days(
        (unsigned)(100 * (date & 0xFF) + (date >> 16 & 0xFF)), (unsigned)(date >> 40 & 0xFF), (unsigned)(clock & 0xFF), days);
#else
    return 0;
#endif
}

/* Microseconds, or nanoseconds, since 1970-01-01 UTC, or, without a zone, of a calendar that has none. */
RL_INLINE int rl_parse_datetime(const uint8_t *p, size_t n, int digits, int64_t *out, int *has_zone)
{
    int64_t days, time, limit = INT64_MAX / 1000;
    *has_zone = 1;
    if (!rl_parse_plain_datetime(p, n, digits, &days, &time)
        && (n < 19 || (p[10] != 'T' && p[10] != 't' && p[10] != ' ') || !rl_parse_date(p, &days)
            || !rl_parse_clock(p + 11, p + n, digits, &time, has_zone)))
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
