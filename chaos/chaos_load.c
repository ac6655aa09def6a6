/* chaos_load: arguments and commands.
 *
 *     chaos_load create -b HOST:PORT -t TOPIC -n PARTITIONS -r REPLICAS [-C name=value]…
 *     chaos_load send   -b … -t … -n … -H HISTORY -i 2 -p 1 -c 1 -R 200    until SIGTERM
 *     chaos_load read   -b … -t … -n … -H HISTORY -P 100                  from start to end
 */
#include "chaos_load.h"

#include <chronik/base/text.h>

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t stop_signal;

static void on_signal(int number)
{
    stop_signal = number;
}

bool stopped(void)
{
    return stop_signal != 0;
}

int run_create(const struct options *o)
{
    rd_kafka_t *rk = kafka_client_new(RD_KAFKA_PRODUCER, o->bootstrap, o->settings, NULL, NULL);
    rd_kafka_resp_err_t code = kafka_create_topic(rk, o->topic, o->partitions, o->replication,
                                                  o->configs, o->n_configs);
    rd_kafka_destroy(rk);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        fprintf(stderr, "creating %s: %s\n", o->topic, rd_kafka_err2name(code));
    }
    return code == RD_KAFKA_RESP_ERR_NO_ERROR ? 0 : 2;
}

/* ---- arguments ------------------------------------------------------------------------------- */

static int number(const char *text)
{
    int64_t n;
    if (!text_to_i64(text_of(text), &n) || n < 0 || n > INT32_MAX) {
        fprintf(stderr, "not a number: %s\n", text);
        exit(2);
    }
    return (int)n;
}

static void add_setting(struct options *o, const char *text)
{
    struct text value = text_of(text);
    check(o->n_settings < SETTINGS_MAX - 1);
    char *name = text_dup(text_cut(&value, '='));
    o->settings[o->n_settings++] = (struct client_setting){ name, value.data };
}

/* Each option is one letter with a value. */
static void parse(int argc, char **argv, struct options *o)
{
    const struct {
        int letter;
        const char **text;
        int *number;
    } OPTIONS[] = {
        { 'b', &o->bootstrap, NULL },     { 't', &o->topic, NULL },
        { 'H', &o->history, NULL },       { 'n', NULL, &o->partitions },
        { 'r', NULL, &o->replication },   { 'P', NULL, &o->first_process },
        { 'i', NULL, &o->idempotent },    { 'p', NULL, &o->plain },
        { 'c', NULL, &o->consumers },     { 'R', NULL, &o->rate },
        { 'k', NULL, &o->count },         { 's', NULL, &o->record_bytes },
        { 'T', NULL, &o->timeout_ms },
    };
    int letter;
    while ((letter = getopt(argc, argv, "b:t:H:n:r:P:i:p:c:R:k:s:T:X:C:")) != -1) {
        size_t i = 0;
        while (i < countof(OPTIONS) && OPTIONS[i].letter != letter) {
            i++;
        }
        if (letter == 'X') {
            add_setting(o, optarg);
        } else if (letter == 'C' && o->n_configs < SETTINGS_MAX) {
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

static bool in_range(const struct options *o)
{
    return o->partitions >= 1 && o->partitions <= PARTITIONS_MAX &&
           o->idempotent + o->plain + o->consumers <= PROCESSES_MAX &&
           o->record_bytes > RECORD_ID_DIGITS + 1;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(const struct options *o);
    } COMMANDS[] = { { "create", run_create }, { "send", run_send }, { "read", run_read } };
    struct options o = { .bootstrap = "127.0.0.1:9092",
                         .topic = "chaos",
                         .history = "history",
                         .partitions = 1,
                         .replication = 3,
                         .record_bytes = 300,
                         .timeout_ms = 120000 };
    if (argc > 1) {
        parse(argc - 1, argv + 1, &o);
    }
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    for (size_t i = 0; argc > 1 && in_range(&o) && i < countof(COMMANDS); i++) {
        if (strcmp(argv[1], COMMANDS[i].name) == 0) {
            int code = COMMANDS[i].run(&o);
            for (size_t s = 0; s < o.n_settings; s++) {
                free((char *)o.settings[s].name);
            }
            return code;
        }
    }
    fprintf(stderr, "usage: chaos_load create|send|read [-letter value]…: chaos/chaos_load.h\n");
    return 2;
}
