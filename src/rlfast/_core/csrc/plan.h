/* A column plan as the compiled decoder reads it, and what the decoder remembers while it runs. */
#ifndef RLFAST_PLAN_H
#define RLFAST_PLAN_H

#include "column.h"
#include "kinds.h"
#include "text.h"

/* Unknown fields of one event, and nesting; what has more is left to the general path. */
enum { RL_MAX_UNKNOWN = 1024, RL_MAX_DEPTH = 32 };

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

/* What a JSON text may be, by its first byte. Strings, numbers, and so on: bits of `accepts`. */
enum {
    RL_ACCEPT_STRING = 1,
    RL_ACCEPT_INTEGER = 2,
    RL_ACCEPT_NUMBER = 4,   /* with a point or an exponent */
    RL_ACCEPT_BOOL = 8,
    RL_ACCEPT_NULL = 16,
    RL_ACCEPT_ARRAY = 32,
    RL_ACCEPT_OBJECT = 64
};

/* Which datetimes and times a field takes: bits of `accepts`. */
enum { RL_ACCEPT_AWARE = 1, RL_ACCEPT_NAIVE = 2 };

/* One value of an event, for whoever makes an object of it. The texts that it points to are in the payload. */
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
    RL_TOKEN_LISTED,         /* `integer` is the code of one of the field's strings, or choices */
    RL_TOKEN_JSON,           /* text[0:size] is JSON, well-formed, to be decoded by itself */
    RL_TOKEN_VALUES,         /* `size` tokens of `plain.items`, from number `integer` on, are an array or object */
    RL_TOKEN_BASE64,         /* text[0:size], a multiple of four characters */
    RL_TOKEN_DECIMAL,        /* text[0:size] is a number as Python's Decimal takes it */
    RL_TOKEN_UUID,           /* its 16 bytes are those of `size` and `of` */
    RL_TOKEN_DATETIME,       /* `integer` and `size` as rl_pack_date, rl_pack_time and rl_pack_zone make them */
    RL_TOKEN_DATE,
    RL_TOKEN_TIME,
    /* Those with others inside, see rl_token. */
    RL_TOKEN_STRUCT,         /* `size` is the number of its type, `inside` has a token for each field, in their order */
    RL_TOKEN_LIST,           /* `size` values */
    RL_TOKEN_MAP,            /* `size` pairs of a key, which is a text, and a value */
    /* Of plain values only, see rl_values. */
    RL_TOKEN_KEY,            /* `object` is that of a field */
    RL_TOKEN_OPEN_ARRAY,
    RL_TOKEN_OPEN_OBJECT,
    RL_TOKEN_ARRAY,          /* the end of one */
    RL_TOKEN_OBJECT,
    RL_TOKEN_NEW_KEY = 32    /* added to the kind of a text: the key of a member, and of no field */
};

/* Tokens inside of tokens follow each other in the order of the text, each with those inside of it behind it: `span` of
 * them. Only a struct's fields come before what is inside of them, so that each has its place. */
typedef struct rl_token {
    int kind;               /* enum rl_token_kind */
    uint32_t span;
    uint64_t size;
    union {
        const uint8_t *text;
        int64_t integer;
        double number;
        void *object;
        const struct rl_token *inside;
    } of;
} rl_token;

/* Tokens of one event, and how many there is room for at first; what has more is left to the general path. */
enum { RL_MAX_ITEMS = 1 << 18, RL_FEW_ITEMS = 256 };

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
    int64_t multiple_of;    /* of an integer; 0: of nothing */
    double float_min, float_max;
    int64_t length_min, length_max;     /* code points of text, items of a list */
    const uint8_t *default_json;    /* JSON, and a brace behind it; borrowed */
    size_t default_size;    /* without the brace */
    void *object;           /* of plain values: what stands for the key, for whoever makes objects */
    struct rl_types *types; /* of RL_STRUCT, RL_TUPLE and RL_UNION; owned by the plan */
    struct rl_field *item;  /* of RL_LIST and RL_MAP: what each item, or value, is; owned by the plan */
    const int64_t *choices; /* of RL_INT_CHOICE; borrowed */
    uint32_t n_choices;
    uint8_t accepts;        /* of RL_JSON, and of datetimes and times */
    uint8_t part_of;        /* of one of `parts`: which JSON is for it */
    uint8_t n_parts;
    struct rl_field *parts; /* of RL_JSON: what checks values that are not known to be valid by their first byte, each
                             * with a column of which no row stays; owned by the plan */
    int16_t scale;          /* of RL_DECIMAL128 and RL_DECIMAL256: digits behind the point, and in all */
    int16_t precision;
} rl_field;

/* One struct type. */
typedef struct rl_type {
    rl_field *fields;       /* n_fields, the tag the last of them, if there is one; then the start of an object,
                             * which is not a field, but has a `next` */
    uint32_t n_fields;
    rl_field *tag;          /* NULL without one */
    rl_field *start;
    rl_field tag_value;     /* only what it takes to recognise the tag's value, in JSON */
    struct rl_type *next_in_bucket; /* of rl_types.tags */
    rl_string_table names;  /* owned; name -> index in `fields` */
    rl_rows *rows;          /* borrowed; NULL where there are only tokens, and inside other types */
    rl_column *column;      /* of a member of a union: borrowed; NULL if it has no fields */
    int64_t tag_code;       /* of a member of a union: what stands in the column of the tag */
    uint8_t always_fallback; /* every event is left to the general path */
    uint8_t keeps_unknown;
    /* Of an envelope: what is inside, which tells the tables apart, and the envelope of each of them, with the fields of
     * both; owned by the plan. Else NULL. */
    struct rl_types *events;
    struct rl_types *whole; /* one for each type of `events`, with one type */
    uint8_t ordered;        /* of tokens: behind those of the fields there are as many again, the first of them for the
                             * members, in the order of the text: `integer` is the number of the field */
} rl_type;

/* What an object can be: of one struct type, or of one of those of a tagged union. */
typedef struct rl_types {
    rl_type *types;         /* n_types; owned */
    uint32_t n_types;
    uint8_t has_tag;
    uint8_t is_array;       /* JSON has it as an array, the tag first */
    rl_field tag_key;       /* only what it takes to recognise the tag */
    /* The types, in chains by a hash of the first bytes of their tags in JSON: of four, if all tags have so many,
     * which `tag_mask` says. In a chain longer tags come first, because 1 is the beginning of 12, too. */
    rl_type *tags[64];
    uint32_t tag_mask;
    uint32_t tag_at;        /* bytes before the tag among the members of the last object whose first one it was not */
} rl_types;

typedef struct {
    const uint8_t *text;
    size_t size;
} rl_span;

/* Where in an event the decoder is, from the inside to the outside: of unknown fields this is on record. */
typedef struct rl_path {
    const struct rl_path *outer;
    const rl_field *field;  /* whose name comes first, if it has one; or NULL */
    rl_span name;           /* then of a member, as it is in JSON; text NULL: an item of an array, or nothing more */
    int64_t index;          /* of an item; RL_NO_INDEX: nothing more */
} rl_path;

enum {
    RL_NO_PATH = -1,        /* in place of an index: a name with escapes, for which no path is written */
    RL_NO_INDEX = -2
};

/* An unknown field's name, and the object, by its number, that has it. */
typedef struct {
    rl_span name;
    uint64_t object;
} rl_unknown;

typedef struct rl_decoder {
    rl_types root;
    uint8_t splits;         /* messages are arrays, or hold one, each element of which is an event */
    uint8_t separator;      /* behind, or in front of, each document of a message; 0: a message is one */
    uint8_t is_value;       /* a message is the value of the only field of the only type */
    rl_field *events_at;    /* n_events_at names, which lead to the event inside of an envelope; owned */
    uint32_t n_events_at;
    rl_rows **tables;       /* n_tables, borrowed; the array is owned */
    uint32_t n_tables;
    const uint8_t *array;   /* of an envelope that is being read: its array of events, and what is behind that */
    const uint8_t *array_end;
    const uint8_t *element; /* the one of them that becomes a row, and, when it has, what is behind it */
    int64_t item;           /* its place */
    rl_rows *untyped;       /* borrowed; not NULL: every message is one JSON text, of the one column */
    const rl_powers *powers;
    rl_buffer scratch;      /* owned; a text without its escapes */
    rl_buffer unknown;      /* owned; the unknown fields of an event, as JSON */
    rl_buffer items;        /* owned; an event's tokens. They stay where they are while it is read: it is read again when
                             * there is too little room */
    rl_token *token;        /* the next one that is free, and the end of the room */
    rl_token *token_end;
    int full;               /* set when the room was too little */
    rl_field *value;        /* borrowed; of tokens: what a message is, if it is no struct; else NULL */
    struct rl_decoder *plain; /* borrowed; reads the plain values inside of typed ones; or NULL */
    rl_unknown unknown_names[RL_MAX_UNKNOWN];
    int n_unknown;
    const rl_path *path;    /* NULL at the top */
    rl_string_table keys;   /* owned; of a map with many of them */
    rl_field *followers[RL_FOLLOWERS];  /* of plain values: by a hash of the first text, the key behind it */
    uint64_t event;         /* number of the last object, from 1; marks the fields that it has */
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

/* Return the token of the event in [p, end), which lives until the next one; NULL if the general path must look at it, or
 * for want of memory. Needs no GIL. */
typedef const rl_token *(*rl_reader)(rl_decoder *decoder, const uint8_t *p, const uint8_t *end);

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
