/* The arguments that the load generators share. */
#include "load.h"

#include <stdio.h>
#include <unistd.h>

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
        { 'S', NULL, &o->seed },       { 'u', NULL, &o->unordered },
    };
    int letter;
    while ((letter = getopt(argc, argv, "b:t:a:d:I:n:R:i:p:s:r:k:T:o:S:u:c:")) != -1) {
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
    check(o.record_bytes > RECORD_ID_DIGITS);
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
