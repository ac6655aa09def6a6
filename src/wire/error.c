/* The error table: wire/error.def as an array in order of code, which has no gaps from -1 on. */
#include <chronik/wire/error.h>

static const struct {
    int16_t code;
    bool retriable;
    const char *name, *text;
} errors[] = {
#define X(code, name, retriable, text) { code, retriable, #name, text },
#include <chronik/wire/error.def>
#undef X
};

enum { FIRST = KAFKA_UNKNOWN_SERVER_ERROR };

/* The row of a code, or -1: a peer may send a code that a later Kafka has added. */
static int row_of(enum kafka_error error)
{
    int row = (int)error - FIRST;
    if (row < 0 || row >= (int)countof(errors)) {
        return -1;
    }
    check(errors[row].code == (int)error);
    return row;
}

const char *kafka_error_name(enum kafka_error error)
{
    int row = row_of(error);
    return row < 0 ? "UNKNOWN_ERROR_CODE" : errors[row].name;
}

const char *kafka_error_text(enum kafka_error error)
{
    int row = row_of(error);
    return row < 0 ? "An error code that this version does not know" : errors[row].text;
}

bool kafka_error_retriable(enum kafka_error error)
{
    int row = row_of(error);
    return row >= 0 && errors[row].retriable;
}
