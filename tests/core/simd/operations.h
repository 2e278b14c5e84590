/* The operations of one simd_*.h, under names of their own. */
#include <stddef.h>
#include <stdint.h>

typedef struct {
    const char *name;
    ptrdiff_t (*scan)(const uint8_t *begin, const uint8_t *p, const uint8_t *end);
    int (*short_text)(const uint8_t *p, uint8_t *out);
    int (*match)(const uint8_t *p, const uint8_t *key, size_t size);
    int (*uuid)(const uint8_t *p, uint8_t *out);
} operations;
