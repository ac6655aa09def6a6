/* UUIDs and their base64 form (RFC 4648 section 5, no padding). */
#include <chronik/base/uuid.h>

static const char ALPHABET[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

struct uuid uuid_from_random(const uint8_t random[16])
{
    struct uuid id;
    memcpy(id.bytes, random, sizeof id.bytes);
    id.bytes[6] = (uint8_t)((id.bytes[6] & 0x0f) | 0x40);
    id.bytes[8] = (uint8_t)((id.bytes[8] & 0x3f) | 0x80);
    if (id.bytes[0] >> 2 == 62) { /* the first character would be '-' */
        id.bytes[0] &= 0x7f;
    }
    return id;
}

char *uuid_format(const struct uuid *id, char to[UUID_TEXT_LEN + 1])
{
    uint32_t bits = 0;
    unsigned have = 0, n = 0;
    for (unsigned i = 0; i < sizeof id->bytes; i++) {
        bits = bits << 8 | id->bytes[i];
        for (have += 8; have >= 6; have -= 6) {
            to[n++] = ALPHABET[bits >> (have - 6) & 0x3f];
        }
    }
    to[n++] = ALPHABET[bits << (6 - have) & 0x3f];
    to[n] = '\0';
    return to;
}

bool uuid_parse(struct text t, struct uuid *ret_id)
{
    struct uuid id;
    uint32_t bits = 0;
    unsigned have = 0, n = 0;
    if (t.len != UUID_TEXT_LEN) {
        return false;
    }
    for (size_t i = 0; i < t.len; i++) {
        const char *at = t.data[i] ? strchr(ALPHABET, t.data[i]) : NULL;
        if (at == NULL) {
            return false;
        }
        bits = bits << 6 | (uint32_t)(at - ALPHABET);
        have += 6;
        if (have >= 8) {
            have -= 8;
            id.bytes[n++] = (uint8_t)(bits >> have);
        }
    }
    if ((bits & ((1u << have) - 1)) != 0) {
        return false;
    }
    *ret_id = id;
    return true;
}
