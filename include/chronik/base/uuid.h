/* UUIDs, printed as Kafka prints them: URL-safe base64 without padding, 22 characters. */
#ifndef CHRONIK_BASE_UUID_H
#define CHRONIK_BASE_UUID_H

#include <chronik/base/text.h>

struct uuid {
    uint8_t bytes[16];
};

#define UUID_ZERO ((struct uuid){ { 0 } })

enum { UUID_TEXT_LEN = 22 };

static inline bool uuid_equal(const struct uuid *a, const struct uuid *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

static inline bool uuid_is_zero(const struct uuid *id)
{
    return uuid_equal(id, &UUID_ZERO);
}

/* Makes a random (version 4) UUID out of 16 random bytes, never one whose text begins with '-',
 * which command lines would take for an option (as Kafka does). */
struct uuid uuid_from_random(const uint8_t random[16]);

/* Writes 22 characters and a terminator. Returns `to`. */
char *uuid_format(const struct uuid *id, char to[UUID_TEXT_LEN + 1]);

/* False when the text is not a UUID in this form. */
bool uuid_parse(struct text t, struct uuid *ret_id);

#endif
