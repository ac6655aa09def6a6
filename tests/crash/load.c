/* Ids, values and arguments: what the load generators share. */
#include "load.h"

#include <chronik/base/random.h>

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

/* ---- ids --------------------------------------------------------------------------------------*/

uint64_t load_id_pack(struct load_id id)
{
    return (uint64_t)id.run << 52 | (uint64_t)id.idempotent << 51 | (uint64_t)id.producer << 44 |
           (uint64_t)id.partition << 32 | id.n;
}

struct load_id load_id_unpack(uint64_t id)
{
    return (struct load_id){
        .run = (unsigned)(id >> 52),
        .idempotent = (id >> 51 & 1) != 0,
        .producer = (unsigned)(id >> 44 & 0x7f),
        .partition = (unsigned)(id >> 32 & 0xfff),
        .n = (uint32_t)id,
    };
}

size_t load_value(uint64_t id, size_t max_bytes, char *to)
{
    struct prng prng;
    prng_init(&prng, id);
    size_t len = LOAD_ID_DIGITS + 1 + prng_below(&prng, max_bytes - LOAD_ID_DIGITS);
    char digits[LOAD_ID_DIGITS + 2];
    snprintf(digits, sizeof digits, "%016" PRIx64 ".", id);
    memcpy(to, digits, LOAD_ID_DIGITS + 1);
    uint64_t letters = 0;
    for (size_t i = LOAD_ID_DIGITS + 1; i < len; i++) {
        letters = letters < 16 ? prng_u64(&prng) : letters >> 4;
        to[i] = (char)('a' + (letters & 15));
    }
    return len;
}

bool load_value_check(const void *value, size_t len, size_t max_bytes, uint64_t *ret_id)
{
    char digits[LOAD_ID_DIGITS + 1] = { 0 }, *end;
    if (len <= LOAD_ID_DIGITS || len > max_bytes) {
        return false;
    }
    memcpy(digits, value, LOAD_ID_DIGITS);
    uint64_t id = strtoull(digits, &end, 16);
    char *expected = mem_alloc(max_bytes);
    bool ok = *end == 0 && load_value(id, max_bytes, expected) == len &&
              memcmp(expected, value, len) == 0;
    free(expected);
    *ret_id = id;
    return ok;
}

/* ---- arguments --------------------------------------------------------------------------------*/

static int number(const char *text)
{
    int64_t n;
    if (!text_to_i64(text_of(text), &n) || n < INT32_MIN || n > INT32_MAX) {
        fprintf(stderr, "not a number: %s\n", text);
        exit(2);
    }
    return (int)n;
}

/* Each option is one letter with a value. */
static void parse(int argc, char **argv, struct load_options *o)
{
    const struct {
        int letter;
        const char **text;
        int *number;
    } OPTIONS[] = {
        { 'b', &o->bootstrap, NULL },  { 't', &o->topic, NULL },
        { 'a', &o->acked, NULL },      { 'd', &o->directory, NULL },
        { 'I', &o->io, NULL },         { 'n', NULL, &o->partitions },
        { 'R', NULL, &o->run },        { 'i', NULL, &o->idempotent },
        { 'p', NULL, &o->plain },      { 's', NULL, &o->record_bytes },
        { 'r', NULL, &o->rate },       { 'k', NULL, &o->count },
        { 'T', NULL, &o->timeout_ms }, { 'o', NULL, &o->offset },
        { 'S', NULL, &o->seed },
    };
    int letter;
    while ((letter = getopt(argc, argv, "b:t:a:d:I:n:R:i:p:s:r:k:T:o:S:c:")) != -1) {
        size_t i = 0;
        while (i < countof(OPTIONS) && OPTIONS[i].letter != letter) {
            i++;
        }
        if (letter == 'c' && o->n_configs < LOAD_CONFIGS_MAX) {
            o->configs[o->n_configs++] = optarg;
        } else if (i == countof(OPTIONS)) {
            exit(2);
        } else if (OPTIONS[i].text != NULL) {
            *OPTIONS[i].text = optarg;
        } else {
            *OPTIONS[i].number = number(optarg);
        }
    }
}

int load_main(int argc, char **argv, const struct load_command *commands, size_t n)
{
    struct load_options o = { .bootstrap = "127.0.0.1:9092",
                              .topic = "crash",
                              .acked = "acked",
                              .directory = "data",
                              .io = "auto",
                              .partitions = 1,
                              .record_bytes = 1000,
                              .timeout_ms = 120000 };
    if (argc > 1) {
        parse(argc - 1, argv + 1, &o);
    }
    check(o.partitions > 0 && o.partitions <= LOAD_PARTITIONS_MAX);
    check(o.record_bytes > LOAD_ID_DIGITS);
    for (size_t i = 0; argc > 1 && i < n; i++) {
        if (strcmp(argv[1], commands[i].name) == 0) {
            return commands[i].run(&o);
        }
    }
    fprintf(stderr, "usage: %s", argv[0]);
    for (size_t i = 0; i < n; i++) {
        fprintf(stderr, "%c%s", i == 0 ? ' ' : '|', commands[i].name);
    }
    fprintf(stderr, " [-letter value]…; see tests/crash/load.h\n");
    return 2;
}
