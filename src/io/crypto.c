/* HMAC and constant-time comparison, by OpenSSL. */
#include <chronik/io/crypto.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>

void crypto_hmac(struct bytes key, struct bytes first, struct bytes second,
                 uint8_t ret_mac[CRYPTO_SHA256])
{
    char digest[] = "SHA256";
    const OSSL_PARAM params[] = { OSSL_PARAM_construct_utf8_string("digest", digest, 0),
                                  OSSL_PARAM_construct_end() };
    static const uint8_t NO_KEY = 0;
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *ctx = EVP_MAC_CTX_new(mac);
    size_t len = 0;

    check(ctx != NULL);
    check(EVP_MAC_init(ctx, key.len > 0 ? key.data : &NO_KEY, key.len > 0 ? key.len : 1,
                       params) == 1);
    check(EVP_MAC_update(ctx, first.data, first.len) == 1);
    check(EVP_MAC_update(ctx, second.data, second.len) == 1);
    check(EVP_MAC_final(ctx, ret_mac, &len, CRYPTO_SHA256) == 1 && len == CRYPTO_SHA256);
    EVP_MAC_CTX_free(ctx);
    EVP_MAC_free(mac);
}

bool crypto_equal(const void *a, const void *b, size_t len)
{
    return CRYPTO_memcmp(a, b, len) == 0;
}
