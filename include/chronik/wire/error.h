/* Kafka's error codes: what a client sees. wire/error.def is the one list. */
#ifndef CHRONIK_WIRE_ERROR_H
#define CHRONIK_WIRE_ERROR_H

#include <chronik/base/mem.h>

enum kafka_error {
#define X(code, name, retriable, text) KAFKA_##name = code,
#include <chronik/wire/error.def>
#undef X
};

/* "NOT_LEADER_OR_FOLLOWER"; "UNKNOWN_ERROR_CODE" for a code that is not in the list. */
const char *kafka_error_name(enum kafka_error error);

/* A sentence for people: used as the error message of replies that carry one. */
const char *kafka_error_text(enum kafka_error error);

/* May a client try again as it is? */
bool kafka_error_retriable(enum kafka_error error);

#endif
