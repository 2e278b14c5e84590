/* A column plan as the compiled decoder reads it, and what the decoder remembers while it runs. */
#ifndef RLFAST_PLAN_H
#define RLFAST_PLAN_H

#include "column.h"
#include "text.h"

/* Unknown fields of one event, and nesting inside them; what has more is left to the general path. */
enum { RL_MAX_UNKNOWN = 32, RL_MAX_DEPTH = 32 };

/* One socket read: how many messages of the block it completed, and when it was seen. */
typedef struct {
    uint32_t count;
    int64_t received_at;    /* nanoseconds since 1970-01-01 UTC */
} rl_stamp;

enum rl_absent {
    RL_REQUIRED,            /* an event without the field is not an event of this type */
    RL_ABSENT_NULL,
    RL_ABSENT_DEFAULT,      /* `default_json` takes its place */
    RL_ABSENT_FALLBACK      /* the general path knows */
};

/* A field's kind is an enum rl_kind, or this: the tag that tells the types apart, which has no column. */
enum { RL_TAG = 15 };

/* One value of an event, for whoever makes an object of it. What it points to is in the payload. */
enum rl_token_kind {
    RL_TOKEN_ABSENT,
    RL_TOKEN_NULL,
    RL_TOKEN_FALSE,
    RL_TOKEN_TRUE,
    RL_TOKEN_INTEGER,
    RL_TOKEN_NUMBER,
    RL_TOKEN_ASCII,          /* text[0:size] */
    RL_TOKEN_UTF8,           /* the same, well-formed, with at least one byte that is not ASCII */
    RL_TOKEN_ESCAPED,        /* the same with well-formed escapes, see rl_unescape_all */
    RL_TOKEN_LISTED,         /* `integer` is the code of one of the field's strings */
    RL_TOKEN_LIST,           /* `size` tokens of the decoder's `items`, from number `integer` on */
    /* Of plain values only, see rl_values. */
    RL_TOKEN_KEY,            /* `object` is that of a field */
    RL_TOKEN_OPEN_ARRAY,
    RL_TOKEN_OPEN_OBJECT,
    RL_TOKEN_ARRAY,          /* the end of one */
    RL_TOKEN_OBJECT,
    RL_TOKEN_NEW_KEY = 32    /* added to the kind of a text: the key of a member, and of no field */
};

typedef struct {
    int kind;               /* enum rl_token_kind */
    size_t size;
    union {
        const uint8_t *text;
        int64_t integer;
        double number;
        void *object;
    } of;
} rl_token;

/* Items of the lists of one event; what has more is left to the general path. */
enum { RL_MAX_ITEMS = 4096 };

/* Tokens of a message that is read as plain values; what has more is left to the general path. */
enum { RL_MAX_TOKENS = 65536 };

/* A member of the object that is a message, if it is the first one and a text, tells what kind of message it is. So
 * it tells better than its key which key follows. */
enum { RL_FOLLOWERS = 64 };

/* A member of an object that the type knows. What every event needs comes first. */
typedef struct rl_field {
    uint8_t text[32];       /* first bytes of `key`, zeros behind them */
    uint32_t mask;          /* a bit for each byte of `text` that counts; 0: the key is longer */
    uint32_t key_size;
    int kind;
    uint8_t nullable;       /* whether JSON's null is a value */
    uint8_t limited;        /* whether the limits say something */
    /* The field that came after this one when an event of the type last held it. So the order of the members is
     * learned, and learned again when a server changes it. */
    struct rl_field *next;
    rl_column *column;      /* borrowed; NULL where there are only tokens */
    const rl_string_table *strings; /* borrowed; of tokens: the only texts that occur, or NULL */
    uint64_t seen_in;       /* number of the last event that held the field */
    const uint8_t *key;     /* the name with its quotes and the colon, as a compact encoder writes it; borrowed */
    int absent;             /* enum rl_absent */
    int64_t int_min, int_max;
    double float_min, float_max;
    int64_t length_min, length_max;     /* code points of text, items of a list */
    const uint8_t *default_json;    /* JSON, and a brace behind it; borrowed */
    size_t default_size;    /* without the brace */
    void *object;           /* of plain values: what stands for the key, for whoever makes objects */
} rl_field;

/* One struct type. */
typedef struct {
    rl_field *fields;       /* n_fields, the tag the last of them, if there is one; then the start of an object,
                             * which is not a field, but has a `next` */
    uint32_t n_fields;
    rl_field *tag;          /* NULL without one */
    rl_field *start;
    rl_field tag_value;     /* only what it takes to recognise the tag's value, in JSON */
    void *next_in_bucket;   /* rl_type *, of rl_decoder.tags */
    rl_string_table names;  /* owned; name -> index in `fields` */
    rl_rows *rows;          /* borrowed; NULL where there are only tokens */
    uint8_t always_fallback; /* every event is left to the general path */
    uint8_t keeps_unknown;
} rl_type;

typedef struct {
    const uint8_t *text;
    size_t size;
} rl_span;

typedef struct {
    rl_type *types;
    uint32_t n_types;
    uint8_t has_tag;
    rl_field tag_key;       /* only what it takes to recognise the tag */
    /* The types, in chains by a hash of the first bytes of their tags in JSON: of four, if all tags have so many,
     * which `tag_mask` says. In a chain longer tags come first, because 1 is the beginning of 12, too. */
    rl_type *tags[64];
    uint32_t tag_mask;
    rl_rows *untyped;       /* borrowed; not NULL: every message is one JSON text, of the one column */
    const rl_powers *powers;
    rl_buffer scratch;      /* owned; a text without its escapes */
    rl_buffer unknown;      /* owned; the unknown fields of an event, as JSON */
    rl_buffer items;        /* owned; tokens, items of an event's lists */
    rl_span unknown_names[RL_MAX_UNKNOWN];
    int n_unknown;
    rl_field *followers[RL_FOLLOWERS];  /* of plain values: by a hash of the first text, the key behind it */
    uint64_t event;         /* number of the event, from 1; marks the fields that it has */
    int no_memory;          /* set when a run ended for want of it */
} rl_decoder;

RL_INLINE uint32_t rl_tag_bucket(uint32_t first)
{
    return first * 2654435761u >> 26;
}

/* Messages of one block. `stamp` and `stamp_end` say which socket read message `at` belongs to. */
typedef struct {
    const uint8_t *data;
    const uint32_t *offsets;
    const rl_stamp *stamps;
    int64_t first_seq;
    int64_t epoch;
    uint32_t at;
    uint32_t stop;          /* where a message begins that is not for the plan, or `end` */
    uint32_t end;
    uint32_t stamp;
    uint32_t stamp_end;     /* messages up to and with those of `stamp` */
} rl_run;

/* Decode messages from `at` up to `stop` and advance `at` over those that have their row. It ends early at a
 * message that the general path must look at, and for want of memory (`no_memory`). Needs no GIL. */
typedef void (*rl_kernel)(rl_decoder *decoder, rl_run *run);

/* Write the values of the event in [p, end) to `tokens`, in the order of its type's fields, and return the type; NULL
 * if the general path must look at it, or for want of memory. Needs no GIL. */
typedef const rl_type *(*rl_reader)(rl_decoder *decoder, const uint8_t *p, const uint8_t *end, rl_token *tokens);

/* Write the object or array in [p, end) to the decoder's `items` as tokens, in the order of the text, and return how
 * many they are; 0 if the general path must look at it, or for want of memory. The fields of the
 * decoder's only type are the keys that are known; nothing else of them counts. Needs no GIL. */
typedef size_t (*rl_values)(rl_decoder *decoder, const uint8_t *p, const uint8_t *end);

typedef struct {
    const char *name;
    rl_kernel run;
    rl_reader read;
    rl_values values;
} rl_kernel_entry;

/* The kernels that this machine can run, the fastest last; ends with a NULL name. */
const rl_kernel_entry *rl_kernels(void);

#endif
