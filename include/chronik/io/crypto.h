/* The little cryptography that the broker needs (OpenSSL). */
#ifndef CHRONIK_IO_CRYPTO_H
#define CHRONIK_IO_CRYPTO_H

#include <chronik/base/bytes.h>

enum { CRYPTO_SHA256 = 32 }; /* bytes */

/* HMAC-SHA-256 (RFC 2104) of two pieces, one behind the other. */
void crypto_hmac(struct bytes key, struct bytes first, struct bytes second,
                 uint8_t ret_mac[CRYPTO_SHA256]);

/* Equality in a time that does not depend on the content. */
bool crypto_equal(const void *a, const void *b, size_t len);

#endif
