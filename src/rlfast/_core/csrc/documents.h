/* The JSON documents of a message with several of them. */
#ifndef RLFAST_DOCUMENTS_H
#define RLFAST_DOCUMENTS_H

#include "lex.h"

/* The next document in [*p, end), without the spaces around it: where it begins, and in *stop where it ends; NULL: there is
 * none. *p is then behind its separator, which, as a control character, is nowhere inside a document. */
static inline const uint8_t *rl_next_document(
    const uint8_t **p, const uint8_t *end, const uint8_t **stop, uint8_t separator)
{
    while (*p < end) {
        const uint8_t *start = *p, *at = (const uint8_t *)memchr(start, separator, (size_t)(end - start));
        *p = at == NULL ? end : at + 1;
        if (at == NULL)
            at = end;
        while (start < at && rl_is_space(*start))
            start++;
        while (start < at && rl_is_space(at[-1]))
            at--;
        if (start < at) {
            *stop = at;
            return start;
        }
    }
    return NULL;
}

#endif
