/* Random messages, valid for a version: for tests, fuzzers and the simulator. Mostly small, now and
 * then with the values where mistakes live: limits, null, empty, lengths that need two bytes. */
#include <chronik/wire/codec.h>

#include "fields.h"

static void random_number(uint8_t kind, struct prng *prng, void *to)
{
    static const uint64_t edges[] = { 0,         1,          UINT64_MAX,        INT8_MAX,
                                      INT16_MAX, INT32_MAX,  INT64_MAX,         0x80,
                                      0x8000,    0x80000000, 0x8000000000000000 };
    uint64_t n = prng_u64(prng);
    double real = (double)(int64_t)n / 1024;

    if (prng_percent(prng, 40)) {
        n = edges[prng_below(prng, countof(edges))];
    }
    switch (kind) {
    case WIRE_BOOL:
        *(bool *)to = n & 1;
        break;
    case WIRE_FLOAT64:
        memcpy(to, &real, sizeof real);
        break;
    case WIRE_UUID:
        prng_fill(prng, to, sizeof(struct uuid));
        break;
    default: /* the low bytes come first (base/bytes.h) */
        memcpy(to, &n, kind_c_size[kind]);
        break;
    }
}

/* Mostly a few; seldom so many that their number takes two bytes as a varint. */
static size_t random_length(struct prng *prng, size_t few, size_t many)
{
    return prng_below(prng, prng_percent(prng, 2) ? many : few);
}

static struct bytes random_bytes(struct prng *prng, struct arena *arena)
{
    size_t len = random_length(prng, 12, 400);
    uint8_t *data = arena_alloc(arena, len);
    check(data != NULL);
    prng_fill(prng, data, len);
    return bytes_of(data, len);
}

static struct text random_text(struct prng *prng, struct arena *arena)
{
    struct bytes b = random_bytes(prng, arena);
    char *data = (char *)(uintptr_t)b.data;
    for (size_t i = 0; i < b.len; i++) {
        data[i] = (char)(' ' + (unsigned char)data[i] % ('~' - ' '));
    }
    return text_part(data, b.len);
}

static void random_value(const struct wire_field *f, uint8_t kind, int16_t version,
                         struct prng *prng, struct arena *arena, void *to)
{
    bool null = f->kind != WIRE_ARRAY && field_can_be_null(f, version) && prng_percent(prng, 20);
    struct bytes nothing = { .data = NULL };

    if (kind < WIRE_STRING) {
        random_number(kind, prng, to);
    } else if (kind == WIRE_STRING) {
        *(struct text *)to = null ? TEXT_NULL : random_text(prng, arena);
    } else if (kind == WIRE_BYTES) {
        *(struct bytes *)to = null ? nothing : random_bytes(prng, arena);
    } else if (kind == WIRE_RECORDS) {
        *(struct records *)to =
            (struct records){ .view = null ? nothing : random_bytes(prng, arena) };
    } else {
        wire_random(f->of, version, prng, arena, to);
    }
}

static void random_array(const struct wire_field *f, int16_t version, struct prng *prng,
                         struct arena *arena, void *out)
{
    size_t size = element_size(f);
    size_t n = random_length(prng, 4, f->element == WIRE_STRUCT ? 8 : 200);
    uint8_t *at = arena_zalloc_array(arena, n, size);

    check(at != NULL);
    if (field_can_be_null(f, version) && prng_percent(prng, 20)) {
        store_pointer((uint8_t *)out + f->offset, NULL);
        *field_count(f, out) = -1;
        return;
    }
    store_pointer((uint8_t *)out + f->offset, at);
    *field_count(f, out) = (int32_t)n;
    for (size_t i = 0; i < n; i++) {
        random_value(f, f->element, version, prng, arena, at + i * size);
    }
}

static void random_pointer(const struct wire_field *f, int16_t version, struct prng *prng,
                           struct arena *arena, void *to)
{
    void *inner = NULL;
    if (!field_can_be_null(f, version) || prng_percent(prng, 70)) {
        inner = arena_alloc(arena, f->of->size);
        check(inner != NULL);
        wire_random(f->of, version, prng, arena, inner);
    }
    store_pointer(to, inner);
}

void wire_random(const struct wire_struct *s, int16_t version, struct prng *prng,
                 struct arena *arena, void *out)
{
    wire_defaults(s, out);
    for (unsigned i = 0; i < s->n_fields; i++) {
        const struct wire_field *f = &s->fields[i];
        void *to = (uint8_t *)out + f->offset;
        if (!field_in(f, version) || (f->tag >= 0 && prng_percent(prng, 40))) {
            continue;
        }
        if (f->kind == WIRE_ARRAY) {
            random_array(f, version, prng, arena, out);
        } else if (field_is_pointer(f)) {
            random_pointer(f, version, prng, arena, to);
        } else {
            random_value(f, f->kind, version, prng, arena, to);
        }
    }
}
