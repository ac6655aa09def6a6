/* Fuzzes the decoder of every message: what decodes must survive encoding and decoding again.
 *
 * An input is a byte 0 and a request frame, or a byte 1, the key and version of a request, and the
 * frame of the response to it; frames without their length. The mutator knows the schemas: now and
 * then it puts a random message of a random API in place of the input. */
#include <chronik/wire/api.h>
#include <chronik/wire/frame.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

enum { BUDGET = 4 * 1024 * 1024 };

struct message {
    const struct wire_struct *table;
    int16_t version;
    bool flexible;
};

static struct bytes flatten(const struct chain *chain)
{
    uint8_t *data = mem_alloc(chain->len);
    chain_copy(chain, data);
    return bytes_of(data, chain->len);
}

static struct bytes encode(const struct message *m, const void *in)
{
    struct chain chain = { 0 };
    wire_encode(m->table, m->version, m->flexible, in, &chain);
    struct bytes bytes = flatten(&chain);
    chain_release(&chain);
    return bytes;
}

static void check_message(const struct message *m, struct bytes body)
{
    struct arena arena;
    size_t left;
    arena_init(&arena, BUDGET);
    void *first = mem_alloc(m->table->size), *second = mem_alloc(m->table->size);
    struct wire_error e =
        wire_decode(m->table, m->version, m->flexible, body, &arena, first, &left);

    check(arena.used <= BUDGET);
    if (e.result == WIRE_OK) {
        struct buf line = { 0 };
        struct bytes encoded = encode(m, first);
        arena.budget = 0;
        e = wire_decode(m->table, m->version, m->flexible, encoded, &arena, second, &left);
        check(e.result == WIRE_OK && left == 0);
        check(wire_equal(m->table, m->version, first, second));
        struct bytes again = encode(m, second);
        check(bytes_equal(encoded, again));
        wire_print(m->table, m->version, first, &line);
        buf_release(&line);
        free((void *)(uintptr_t)encoded.data);
        free((void *)(uintptr_t)again.data);
    }
    free(first);
    free(second);
    arena_release(&arena);
}

static void check_request(struct bytes frame, const struct wire_api *api, int16_t version)
{
    struct message m = { api->request, version, wire_is_flexible(api, version) };
    struct request_header header;
    struct bytes body;
    if (frame_parse(frame, api, &header, &body).result == WIRE_OK) {
        check_message(&m, body);
    }
}

static void check_response(struct bytes frame, const struct wire_api *api, int16_t version)
{
    struct message m = { api->response, version, wire_is_flexible(api, version) };
    size_t header = wire_response_header_version(api, version) >= 1 ? 5 : 4;
    if (frame.len >= header) {
        check_message(&m, bytes_part(frame, header, frame.len - header));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 5) {
        return 0;
    }
    struct bytes frame = bytes_of(data + 1, size - 1);
    const struct wire_api *api = wire_api_find((int16_t)load_be16(frame.data));
    int16_t version = (int16_t)load_be16(frame.data + 2);
    if (api == NULL || version < api->min_version || version > api->max_version) {
        return 0;
    }
    if (data[0] & 1) {
        check_response(bytes_part(frame, 4, frame.len - 4), api, version);
    } else {
        check_request(frame, api, version);
    }
    return 0;
}

/* A random message as an input, cut to `max_size`. */
static size_t invent(uint8_t *data, size_t max_size, struct prng *prng)
{
    const struct wire_api *api = wire_apis[prng_below(prng, wire_api_count)];
    uint64_t n_versions = (uint64_t)(api->max_version - api->min_version) + 1;
    int16_t version = (int16_t)(api->min_version + (int16_t)prng_below(prng, n_versions));
    bool response = prng_percent(prng, 50);
    const struct wire_struct *table = response ? api->response : api->request;
    struct request_header header = { api->key, version, 7, text_of("fuzz") };
    struct chain chain = { 0 };
    struct arena arena;
    struct buf out = { 0 };

    arena_init(&arena, 0);
    void *message = arena_alloc(&arena, table->size);
    wire_random(table, version, prng, &arena, message);
    buf_put_u8(&out, response);
    if (response) {
        buf_put_be16(&out, (uint16_t)api->key);
        buf_put_be16(&out, (uint16_t)version);
        frame_put_response(&chain, api, version, 7, message);
    } else {
        frame_put_request(&chain, api, &header, message);
    }
    struct bytes frame = flatten(&chain);
    buf_put(&out, frame.data + FRAME_PREFIX, frame.len - FRAME_PREFIX);
    size_t len = min_u64(out.len, max_size);
    memcpy(data, out.data, len);

    free((void *)(uintptr_t)frame.data);
    chain_release(&chain);
    buf_release(&out);
    arena_release(&arena);
    return len;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    struct prng prng;
    prng_init(&prng, seed);
    if (max_size > 0 && (size < 5 || prng_percent(&prng, 2))) {
        size = invent(data, max_size, &prng);
    }
    return LLVMFuzzerMutate(data, size, max_size);
}
