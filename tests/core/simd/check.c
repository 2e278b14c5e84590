/* The operations of an instruction set against those that go byte by byte, on texts in memory of their exact size. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "operations.h"

extern const operations OPERATIONS, scalar;

static uint64_t state = 88172645463325252u;

static uint32_t draw(uint32_t n)
{
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return (uint32_t)(state >> 33) % n;
}

static void fail(const char *what, const uint8_t *text, size_t n)
{
    printf("%s differs in %s:", what, OPERATIONS.name);
    while (n--)
        printf(" %02x", *text++);
    printf("\n");
    exit(1);
}

int main(void)
{
    static const char odd[] = "\"\\\x1f\x00\x7f\x80\xff\x20\x21\x5b\x5d", hex[] = "0123456789abcdefABCDEFgG/:@`-";
    for (int round = 0; round < 300000; round++) {
        size_t n = draw(100), at = draw((uint32_t)n + 1);
        uint8_t *text = malloc(n ? n : 1), *id = malloc(36), *long_text = malloc(32), a[16] = {0}, b[16] = {0};
        uint8_t key[32];
        for (size_t i = 0; i < n; i++)
            text[i] = draw(40) ? 'a' + (uint8_t)draw(26) : (uint8_t)odd[draw(11)];
        if (OPERATIONS.scan(text, text + at, text + n) != scalar.scan(text, text + at, text + n))
            fail("scan", text, n);
        if (n >= 32) {
            uint8_t *copy = malloc(32);
            if (OPERATIONS.short_text(text, copy) != scalar.short_text(text, copy) || memcmp(text, copy, 32) != 0)
                fail("short_text", text, 32);
            free(copy);
        }
        for (int i = 0; i < 36; i++)
            id[i] = (uint8_t)hex[draw(22)];
        id[8] = id[13] = id[18] = id[23] = '-';
        if (draw(2))
            id[draw(36)] = draw(2) ? (uint8_t)hex[draw(29)] : (uint8_t)draw(256);
        if (OPERATIONS.uuid(id, a) != scalar.uuid(id, b) || (scalar.uuid(id, b) && memcmp(a, b, 16) != 0))
            fail("uuid", id, 36);
        n = 1 + draw(32);
        for (int i = 0; i < 32; i++)
            key[i] = long_text[i] = (uint8_t)draw(256);
        if (draw(2))
            long_text[draw(32)] ^= (uint8_t)(1 << draw(8));
        if (OPERATIONS.match(long_text, key, n) != scalar.match(long_text, key, n))
            fail("match", long_text, 32);
        free(text), free(id), free(long_text);
    }
    printf("%s is right\n", OPERATIONS.name);
    return 0;
}
