/* What holds for every message in every version: it survives the way there and back, and nothing
 * that arrives can do harm. Messages are random, with fixed seeds. */
#include "messages.h"

enum { ROUNDS = 12 };

struct round {
    struct prng prng;
    struct arena invented, decoded;
    unsigned n;
};

static void setup(struct round *r, uint64_t seed, size_t budget)
{
    *r = (struct round){ 0 };
    prng_init(&r->prng, seed);
    arena_init(&r->invented, 0);
    arena_init(&r->decoded, budget);
}

static void teardown(struct round *r)
{
    arena_release(&r->invented);
    arena_release(&r->decoded);
}

static void again(struct round *r)
{
    arena_reset(&r->invented);
    arena_reset(&r->decoded);
    r->n++;
}

/* ---- there and back ---------------------------------------------------------------------------*/

static void there_and_back(const struct message *m, void *arg)
{
    struct round *r = arg;
    for (int i = 0; i < ROUNDS; i++, again(r)) {
        size_t len, len_again, left = 1;
        void *copy, *message = invent(m, &r->prng, &r->invented);
        uint8_t *bytes = encode(m, message, &len);

        if (decode(m, bytes, len, &r->decoded, &copy, &left) != WIRE_OK || left != 0 ||
            !wire_equal(m->table, m->version, message, copy)) {
            fail_msg("%s does not survive", m->name);
        }
        uint8_t *bytes_again = encode(m, copy, &len_again);
        if (len != len_again || memcmp(bytes, bytes_again, len) != 0) {
            fail_msg("%s is encoded differently the second time", m->name);
        }
        free(bytes);
        free(bytes_again);
        free(copy);
    }
}

static void messages_survive_encoding_and_decoding(void **state)
{
    (void)state;
    struct round r;
    setup(&r, 1, 0);
    each_message(there_and_back, &r);
    assert_true(r.n > 500 * ROUNDS);
    teardown(&r);
}

/* Two messages are equal exactly when their bytes are. */
static void compare(const struct message *m, void *arg)
{
    struct round *r = arg;
    for (int i = 0; i < ROUNDS; i++, again(r)) {
        size_t len_a, len_b;
        void *a = invent(m, &r->prng, &r->invented), *b = invent(m, &r->prng, &r->invented);
        uint8_t *bytes_a = encode(m, a, &len_a), *bytes_b = encode(m, b, &len_b);
        bool same = len_a == len_b && memcmp(bytes_a, bytes_b, len_a) == 0;

        if (wire_equal(m->table, m->version, a, b) != same) {
            fail_msg("%s: equality and bytes disagree", m->name);
        }
        free(bytes_a);
        free(bytes_b);
    }
}

static void messages_are_equal_when_their_bytes_are(void **state)
{
    (void)state;
    struct round r;
    setup(&r, 2, 0);
    each_message(compare, &r);
    teardown(&r);
}

/* ---- bad input --------------------------------------------------------------------------------*/

static void cut(const struct message *m, void *arg)
{
    struct round *r = arg;
    size_t len, left;
    void *copy;
    uint8_t *bytes = encode(m, invent(m, &r->prng, &r->invented), &len);

    for (size_t n = 0; n < len; n++) {
        uint8_t *exact = malloc(n > 0 ? n : 1);
        memcpy(exact, bytes, n);
        enum wire_result result = decode(m, exact, n, &r->decoded, &copy, &left);
        if (result != WIRE_SHORT && result != WIRE_MALFORMED) {
            fail_msg("%s cut after %zu of %zu bytes: %s", m->name, n, len,
                     wire_result_text(result));
        }
        free(exact);
        free(copy);
    }
    free(bytes);
    again(r);
}

static void messages_cut_short_are_refused(void **state)
{
    (void)state;
    struct round r;
    setup(&r, 3, 0);
    for (int i = 0; i < 3; i++) {
        each_message(cut, &r);
    }
    teardown(&r);
}

/* Changes a few bytes; whatever still decodes must survive like any message. */
static void damage(const struct message *m, void *arg)
{
    struct round *r = arg;
    for (int i = 0; i < 4 * ROUNDS; i++, again(r)) {
        size_t len, len_again, left;
        void *copy, *copy_again;
        uint8_t *bytes = encode(m, invent(m, &r->prng, &r->invented), &len);

        for (uint64_t n = 1 + prng_below(&r->prng, 3); n > 0 && len > 0; n--) {
            static const uint8_t nasty[] = { 0, 1, 0x7f, 0x80, 0xff };
            uint8_t *byte = &bytes[prng_below(&r->prng, len)];
            *byte = prng_percent(&r->prng, 70) ? nasty[prng_below(&r->prng, countof(nasty))]
                                               : (uint8_t)prng_u64(&r->prng);
        }
        if (decode(m, bytes, len, &r->decoded, &copy, &left) == WIRE_OK) {
            uint8_t *bytes_again = encode(m, copy, &len_again);
            assert_int_equal(decode(m, bytes_again, len_again, &r->decoded, &copy_again, &left),
                             WIRE_OK);
            assert_true(wire_equal(m->table, m->version, copy, copy_again));
            free(bytes_again);
            free(copy_again);
        }
        assert_true(r->decoded.used <= r->decoded.budget);
        free(bytes);
        free(copy);
    }
}

static void damaged_messages_do_no_harm(void **state)
{
    (void)state;
    struct round r;
    setup(&r, 4, MIB(1));
    each_message(damage, &r);
    teardown(&r);
}

static void noise(const struct message *m, void *arg)
{
    struct round *r = arg;
    for (int i = 0; i < ROUNDS; i++, again(r)) {
        size_t len = prng_below(&r->prng, 60), left;
        uint8_t *bytes = malloc(len > 0 ? len : 1);
        void *copy;
        prng_fill(&r->prng, bytes, len);
        decode(m, bytes, len, &r->decoded, &copy, &left);
        assert_true(r->decoded.used <= r->decoded.budget);
        free(bytes);
        free(copy);
    }
}

static void noise_does_no_harm(void **state)
{
    (void)state;
    struct round r;
    setup(&r, 5, KIB(16));
    each_message(noise, &r);
    teardown(&r);
}

/* ---- least sizes ------------------------------------------------------------------------------*/

/* Structs reachable from `s`, each encoded by itself. */
static void check_least_size(struct round *r, const struct message *m, const struct wire_struct *s)
{
    struct message inner = { .table = s, .version = m->version, .flexible = m->flexible };
    size_t len;
    uint8_t *bytes = encode(&inner, invent(&inner, &r->prng, &r->invented), &len);

    if (len < s->min_size) {
        fail_msg("%s takes %zu bytes in v%d, not at least %u", s->name, len, m->version,
                 s->min_size);
    }
    free(bytes);
    for (unsigned i = 0; i < s->n_fields; i++) {
        const struct wire_field *f = &s->fields[i];
        if (f->of != NULL && m->version >= f->since && m->version <= f->until) {
            check_least_size(r, m, f->of);
        }
    }
}

static void least_size(const struct message *m, void *arg)
{
    struct round *r = arg;
    for (int i = 0; i < ROUNDS; i++, again(r)) {
        check_least_size(r, m, m->table);
    }
}

static void no_struct_is_shorter_than_its_least_size(void **state)
{
    (void)state;
    struct round r;
    setup(&r, 6, 0);
    each_message(least_size, &r);
    teardown(&r);
}

/* ---- printing ---------------------------------------------------------------------------------*/

static void print(const struct message *m, void *arg)
{
    struct round *r = arg;
    struct buf line = { 0 };
    wire_print(m->table, m->version, invent(m, &r->prng, &r->invented), &line);
    assert_true(line.len >= 2);
    assert_int_equal(line.data[0], '{');
    assert_int_equal(line.data[line.len - 1], '}');
    assert_null(memchr(line.data, '\n', line.len));
    buf_release(&line);
    again(r);
}

static void every_message_prints_as_one_line(void **state)
{
    (void)state;
    struct round r;
    setup(&r, 7, 0);
    each_message(print, &r);
    teardown(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_survive_encoding_and_decoding),
        cmocka_unit_test(messages_are_equal_when_their_bytes_are),
        cmocka_unit_test(messages_cut_short_are_refused),
        cmocka_unit_test(damaged_messages_do_no_harm),
        cmocka_unit_test(noise_does_no_harm),
        cmocka_unit_test(no_struct_is_shorter_than_its_least_size),
        cmocka_unit_test(every_message_prints_as_one_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
