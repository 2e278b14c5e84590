/* What a value of JSON becomes in a column. schema/kinds.py has a row for each, and a test holds the two equal. */
#ifndef RLFAST_KINDS_H
#define RLFAST_KINDS_H

enum rl_kind {
    RL_INT64 = 0,
    RL_FLOAT64 = 1,
    RL_BOOL = 2,
    RL_UTF8 = 3,
    RL_UUID = 4,
    RL_CATEGORY = 5,
    RL_LIST = 6,
    RL_STRUCT = 7,
    RL_TUPLE = 8,           /* a struct that JSON has as an array */
    RL_UNION = 9,           /* of structs, by their tag */
    RL_MAP = 10,
    RL_JSON = 11,
    RL_INT8 = 12,
    RL_INT16 = 13,
    RL_INT32 = 14,
    RL_UINT8 = 15,
    RL_UINT16 = 16,
    RL_UINT32 = 17,
    RL_UINT64 = 18,
    RL_INT_CHOICE = 19,     /* one of a few integers */
    RL_FLOAT32 = 20,
    RL_FLOAT_TEXT = 21,
    RL_INT_TEXT = 22,
    RL_DECIMAL_TEXT = 23,   /* a decimal as it is written */
    RL_DECIMAL128 = 24,
    RL_DECIMAL256 = 25,
    RL_DATETIME = 26,       /* microseconds since 1970-01-01 UTC, as all of these but for the next two */
    RL_DATETIME_NANOS = 27,
    RL_NAIVE_DATETIME = 28, /* of no time zone */
    RL_DATE = 29,
    RL_TIME = 30,
    RL_DURATION = 31,
    RL_EPOCH_SECONDS = 32,
    RL_EPOCH_MILLIS = 33,
    RL_EPOCH_MICROS = 34,
    RL_EPOCH_NANOS = 35,
    RL_BASE64 = 36,
    RL_BINARY = 37,         /* these two never come from JSON */
    RL_TIMESTAMP = 38,
    RL_EVENT = 61,          /* of an envelope: the event, or what it is inside of; its fields are columns of the table */
    RL_GENERAL = 62,        /* only msgspec can say what is valid */
    RL_TAG = 63             /* the tag that tells structs apart; it has no column of its own */
};

#endif
