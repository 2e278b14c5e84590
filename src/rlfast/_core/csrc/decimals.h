/* Decimal numbers, digit by digit: nothing is rounded. What is not decided here the general path must look at. */
#ifndef RLFAST_DECIMALS_H
#define RLFAST_DECIMALS_H

#include "number.h"

/* Digits of the widest decimal of Arrow. */
enum { RL_MAX_PRECISION = 76 };

/* Where a number ends that begins at p: digits, with a point between them or without, an exponent if `exponent`. NULL:
 * it is written in another way. */
RL_INLINE const uint8_t *rl_decimal_end(const uint8_t *p, const uint8_t *end, int exponent)
{
    const uint8_t *first;
    p += p < end && *p == '-';
    for (first = p; p < end && rl_is_digit(*p); p++)
        ;
    if (p == first)
        return NULL;
    if (p < end && *p == '.') {
        for (first = ++p; p < end && rl_is_digit(*p); p++)
            ;
        if (p == first)
            return NULL;
    }
    if (exponent && p < end && (*p == 'e' || *p == 'E')) {
        p++;
        p += p < end && (*p == '+' || *p == '-');
        for (first = p; p < end && rl_is_digit(*p); p++)
            ;
        if (p == first || p - first > 6)
            return NULL;
    }
    return p;
}

/* words[0:4], the lowest first, times 10^n plus `digits`. */
RL_INLINE void rl_append_digits(uint64_t words[4], uint64_t digits, uint64_t power)
{
    uint64_t high, low, carry = digits;
    int i;
    for (i = 0; i < 4; i++) {
        low = rl_multiply(words[i], power, &high);
        words[i] = low + carry;
        carry = high + (words[i] < low);
    }
}

/* The number p[0:n], without an exponent, times 10^scale, as an integer of `width` bytes, two's complement, at `out`. 0: digits
 * would be lost, or there are more than `precision`. */
RL_INLINE int rl_parse_decimal(const uint8_t *p, size_t n, int precision, int scale, size_t width, uint8_t *out)
{
    const uint8_t *end = p + n, *point, *behind;
    uint64_t words[4] = {0, 0, 0, 0}, digits = 0, power = 1;
    int negative = *p == '-', count = 0, before, n_behind, i;
    p += negative;
    point = (const uint8_t *)memchr(p, '.', (size_t)(end - p));
    behind = point != NULL ? point + 1 : end;
    while (end - behind > scale)
        if (*--end != '0')
            return 0;
    n_behind = (int)(end - behind);
    for (point = point != NULL ? point : end; p + 1 < point && *p == '0'; p++)
        ;
    if (point - p > RL_MAX_PRECISION + 1)
        return 0;
    before = (int)(point - p);
    for (i = 0; i < before + scale; i++) {
        int digit = i < before ? p[i] - '0' : i - before < n_behind ? behind[i - before] - '0' : 0;
        if (count == 0 && digit == 0)
            continue;
        if (++count > precision)
            return 0;
        digits = 10 * digits + (uint64_t)digit;
        power *= 10;
        if (power == 10000000000000000000u) {
            rl_append_digits(words, digits, power);
            digits = 0;
            power = 1;
        }
    }
    rl_append_digits(words, digits, power);
    if (negative) {
        uint64_t carry = 1;
        for (i = 0; i < 4; i++) {
            words[i] = ~words[i] + carry;
            carry = carry && words[i] == 0;
        }
    }
    memcpy(out, words, width);
    return 1;
}

#endif
