/* JSON numbers (RFC 8259 section 6) to int64 and to the nearest double.
 *
 * NULL means: not decided here. Either it is no such number, or it is one that the general path must look at.
 */
#ifndef RLFAST_NUMBER_H
#define RLFAST_NUMBER_H

#include "base.h"

/* 5^q for these q, as 128 bits with the top bit set, rounded as in Lemire (below); two words each, high first. */
enum { RL_MIN_POWER = -64, RL_MAX_POWER = 55 };

typedef struct {
    uint64_t word[2 * (RL_MAX_POWER - RL_MIN_POWER + 1)];
} rl_powers;

RL_INLINE int rl_is_digit(uint8_t c)
{
    return (uint8_t)(c - '0') < 10;
}

/* The value of 8 digits, the first in the lowest byte, each as 0 to 9. */
RL_INLINE uint64_t rl_eight_digits(uint64_t digits)
{
    digits = (digits * (1 + (10 << 8))) >> 8;
    digits = ((digits & 0x00FF00FF00FF00FFu) * (1 + (100 << 16))) >> 16;
    return ((digits & 0x0000FFFF0000FFFFu) * (1 + ((uint64_t)10000 << 32))) >> 32;
}

/* Append the run of digits at p to `*value`, modulo 2^64; returns the place behind it. */
RL_INLINE const uint8_t *rl_digits(const uint8_t *p, const uint8_t *end, uint64_t *value)
{
#if defined(_MSC_VER) || __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    static const uint64_t powers[] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000};
    while (end - p >= 8) {
        uint64_t digits = rl_load64(p) ^ 0x3030303030303030u;
        /* The lowest byte with its top bit set is the first that is not a digit; carries only go upwards. */
        uint64_t others = ((digits + 0x7676767676767676u) | digits) & 0x8080808080808080u;
        int n;
        if (others == 0) {
            *value = *value * 100000000 + rl_eight_digits(digits);
            p += 8;
            continue;
        }
        n = rl_lowest_bit64(others) >> 3;
        /* In two shifts, because one by 64 is not defined. */
        *value = *value * powers[n] + rl_eight_digits(digits << 8 * (7 - n) << 8);
        return p + n;
    }
#endif
    while (p < end && rl_is_digit(*p))
        *value = 10 * *value + (uint64_t)(*p++ - '0');
    return p;
}

RL_INLINE const uint8_t *rl_parse_int64(const uint8_t *p, const uint8_t *end, int64_t *out)
{
    const uint8_t *first;
    uint64_t value = 0;
    int negative = p < end && *p == '-';
    p += negative;
    first = p;
    p = rl_digits(p, end, &value);
    /* 19 digits stay below 2^64. */
    if (RL_UNLIKELY(p == first || p - first > 19 || (*first == '0' && p - first > 1)))
        return NULL;
    if (RL_UNLIKELY(value > (uint64_t)INT64_MAX + (uint64_t)negative))
        return NULL;
    *out = (int64_t)(negative ? 0 - value : value);
    return p;
}

RL_INLINE const uint8_t *rl_parse_uint64(const uint8_t *p, const uint8_t *end, uint64_t *out)
{
    const uint8_t *first = p;
    *out = 0;
    p = rl_digits(p, end, out);
    if (p == first || p - first > 20 || (*first == '0' && p - first > 1))
        return NULL;
    /* 20 digits may have wrapped around: then what is left is less than 10^19. */
    return p - first == 20 && (*first != '1' || *out < 10000000000000000000u) ? NULL : p;
}

/* The double nearest to digits * 10^exponent, by Lemire, "Number Parsing at a Gigabyte per Second" (2021), for
 * exponents at which neither subnormal numbers nor overflow occur. Returns 0 where it cannot tell. */
RL_NOINLINE int rl_nearest_double(uint64_t digits, int exponent, const rl_powers *powers, double *out)
{
    const uint64_t *power = &powers->word[2 * (exponent - RL_MIN_POWER)];
    int shift = rl_leading_zeros(digits);
    uint64_t high, low, high2, bits, mantissa;
    int top, binary;
    digits <<= shift;
    low = rl_multiply(digits, power[0], &high);
    if ((high & 0x1FF) == 0x1FF) {
        /* The product of the high words alone does not settle the rounding. */
        rl_multiply(digits, power[1], &high2);
        low += high2;
        high += low < high2;
    }
    if (low == UINT64_MAX && (exponent < -27 || exponent > 55))
        return 0;
    top = (int)(high >> 63);
    mantissa = high >> (top + 9);
    /* floor(log2(10^exponent)) + 63, exact in this range: 217706 / 2^16 is log2(10). */
    binary = ((217706 * exponent) >> 16) + 63 + top - shift + 1023;
    /* Just between two doubles, which takes an exact product: the even one. */
    if (low <= 1 && exponent >= -4 && exponent <= 23 && (mantissa & 3) == 1 && mantissa << (top + 9) == high)
        mantissa &= ~(uint64_t)1;
    mantissa = (mantissa + (mantissa & 1)) >> 1;
    if (mantissa >> 53) {
        mantissa >>= 1;
        binary++;
    }
    bits = (mantissa & (((uint64_t)1 << 52) - 1)) | (uint64_t)binary << 52;
    memcpy(out, &bits, sizeof bits);
    return 1;
}

RL_INLINE const uint8_t *rl_parse_double(const uint8_t *p, const uint8_t *end, const rl_powers *powers, double *out)
{
    static const double exact[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                   1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    const uint8_t *first, *point = NULL, *start;
    uint64_t digits = 0;
    int64_t n;
    int negative = p < end && *p == '-', exponent = 0;
    double value;
    p += negative;
    first = p;
    p = rl_digits(p, end, &digits);
    n = p - first;
    if (RL_UNLIKELY(n == 0 || (*first == '0' && n > 1)))
        return NULL;
    if (p < end && *p == '.') {
        point = ++p;
        p = rl_digits(p, end, &digits);
        if (RL_UNLIKELY(p == point || p - point > 64))
            return NULL;
        n += p - point;
        exponent = -(int)(p - point);
    }
    if (RL_UNLIKELY(n > 19)) {
        /* `digits` has overflowed, unless zeros lead: then it is the digits behind them that count. */
        for (start = first; start < p && (*start == '0' || *start == '.'); start++)
            n -= *start == '0';
        if (n > 19)
            return NULL;
    }
    if (RL_UNLIKELY(p < end && (*p == 'e' || *p == 'E'))) {
        int sign = 1, magnitude = 0;
        p++;
        if (p < end && (*p == '+' || *p == '-'))
            sign = *p++ == '-' ? -1 : 1;
        for (start = p; p < end && rl_is_digit(*p); p++)
            magnitude = magnitude < 10000 ? 10 * magnitude + (*p - '0') : magnitude;
        if (p == start)
            return NULL;
        exponent += sign * magnitude;
    }
    else if (RL_UNLIKELY(point == NULL && negative && digits == 0))
        return NULL;    /* -0 without a point is an integer for msgspec, and loses its sign. */
    if (RL_LIKELY(digits >> 53 == 0 && exponent >= -22 && exponent <= 22))
        value = exponent < 0 ? (double)digits / exact[-exponent] : (double)digits * exact[exponent];
    else if (digits == 0)
        value = 0.0;
    else if (exponent == 0)
        value = (double)digits;
    else if (exponent < RL_MIN_POWER || exponent > RL_MAX_POWER
             || !rl_nearest_double(digits, exponent, powers, &value))
        return NULL;
    *out = negative ? -value : value;
    return p;
}

#endif
