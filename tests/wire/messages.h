/* Every message there is, in every version, for tests that hold for all of them. */
#ifndef CHRONIK_TESTS_WIRE_MESSAGES_H
#define CHRONIK_TESTS_WIRE_MESSAGES_H

#include "../support/test.h"

#include <chronik/test/sample.h>
#include <chronik/wire/api.h>
#include <chronik/wire/codec.h>

struct message {
    const struct wire_struct *table;
    int16_t version;
    bool flexible;
    char name[80]; /* "fetch_response v12" */
};

/* Visits the request and the response of each API in each version, then the sample records. */
typedef void (*message_fn)(const struct message *m, void *arg);

static inline void visit(const struct wire_api *api, const struct wire_struct *table, message_fn fn,
                         void *arg)
{
    for (int16_t v = api->min_version; table != NULL && v <= api->max_version; v++) {
        struct message m = { .table = table, .version = v, .flexible = wire_is_flexible(api, v) };
        snprintf(m.name, sizeof m.name, "%s v%d", table->name, v);
        fn(&m, arg);
    }
}

static inline void each_message(message_fn fn, void *arg)
{
    for (unsigned i = 0; i < wire_api_count; i++) {
        visit(wire_apis[i], wire_apis[i]->request, fn, arg);
        visit(wire_apis[i], wire_apis[i]->response, fn, arg);
    }
    for (unsigned i = 0; i < test_sample_count; i++) {
        visit(test_samples[i], test_samples[i]->request, fn, arg);
    }
}

/* The encoded message in memory of exactly its size, so that a sanitizer sees every step beyond.
 * Released with free(). */
static inline uint8_t *encode(const struct message *m, const void *in, size_t *ret_len)
{
    struct chain chain = { 0 };
    wire_encode(m->table, m->version, m->flexible, in, &chain);
    uint8_t *bytes = malloc(chain.len > 0 ? chain.len : 1);
    chain_copy(&chain, bytes);
    *ret_len = chain.len;
    chain_release(&chain);
    return bytes;
}

static inline enum wire_result decode(const struct message *m, const uint8_t *bytes, size_t len,
                                      struct arena *arena, void **ret_out, size_t *ret_left)
{
    *ret_out = malloc(m->table->size);
    return wire_decode(m->table, m->version, m->flexible, bytes_of(bytes, len), arena, *ret_out,
                       ret_left)
        .result;
}

static inline void *invent(const struct message *m, struct prng *prng, struct arena *arena)
{
    void *out = arena_zalloc(arena, m->table->size);
    wire_random(m->table, m->version, prng, arena, out);
    return out;
}

#endif
