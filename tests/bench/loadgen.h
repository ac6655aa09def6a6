/* What the modes of the load generator share: options, the measured window, topics, templates of
 * Produce requests. */
#ifndef CHRONIK_TESTS_BENCH_LOADGEN_H
#define CHRONIK_TESTS_BENCH_LOADGEN_H

#include "client.h"
#include "histogram.h"

struct options {
    const char *mode;
    const char *connect;     /* host:port */
    const char *topic;
    const char *log;         /* first: where the output of the command goes */
    const char *pid_file;    /* first: where its process id is written at once; NULL: nowhere */
    int64_t partitions;      /* of the topic; connection i uses partition i modulo this */
    int64_t topics;          /* create: how many */
    int64_t size, records;   /* bytes of a value, records of a batch */
    int64_t connections, inflight;
    int64_t acks;
    int64_t rate;            /* requests a second in all, open loop; 0: closed loop */
    int64_t requests;        /* round: how many requests a round is split into */
    int64_t max_bytes;       /* fetch */
    int64_t count;           /* storm, idle: connections in all */
    int64_t pid;             /* of the broker, for its CPU time and memory; 0: not ours */
    int64_t seconds_ms, warmup_ms;
    int64_t ids;             /* 1: each value begins with its id; fetch checks them */
    int64_t loop;            /* fetch: start over at the end, rather than wait there */
    char **command;          /* first: behind "--" */
};

void run_create(const struct options *o);
void run_produce(const struct options *o);
void run_round(const struct options *o);
void run_fetch(const struct options *o);
void run_e2e(const struct options *o);
void run_storm(const struct options *o);
void run_idle(const struct options *o);
void run_first(const struct options *o);

/* ---- the window that is measured ------------------------------------------------------------ */

struct window {
    uint64_t from_ns, until_ns; /* planned */
    bool began, ended;
    uint64_t began_ns, ended_ns; /* as they were */
    uint64_t broker_ns, own_ns, all_ns; /* CPU time within */
    int pid;
};

void window_plan(struct window *w, const struct options *o);

/* Called in each turn of the loop: notes begin and end. */
void window_tick(struct window *w, uint64_t now);

static inline bool window_open(const struct window *w)
{
    return w->began && !w->ended;
}

/* When the loop has to look again. */
static inline uint64_t window_next(const struct window *w)
{
    return w->began ? w->until_ns : w->from_ns;
}

double window_seconds(const struct window *w);

/* Prints " seconds=… broker_cpu_s=… client_cpu_s=… foreign_percent=…": foreign is CPU time of
 * neither broker nor generator. */
void window_print(const struct window *w);

/* ---- topics --------------------------------------------------------------------------------- */

/* Creates the topics and waits until every partition has a leader; existing ones are fine. False
 * when the connection breaks. */
bool topics_create(struct conn *conn, const char *name, int64_t n_topics, int64_t n_partitions);

/* Where the leader of each partition of the topic listens. */
void topics_leaders(struct conn *conn, const struct options *o, struct sockaddr_in *ret_at);

/* ---- templates ------------------------------------------------------------------------------ */

enum { PRODUCE_VERSION = 8 }; /* the last one whose error code has a fixed place */

/* A Produce request with one batch for each of some partitions, all of the same shape. */
struct template {
    struct buf frame;
    size_t *batches; /* where each batch begins in the frame */
    size_t n_batches, batch_len;
    size_t *values;  /* where each value begins in a batch */
    size_t n_values;
    size_t error_at; /* of the first partition, in the response frame */
    bool ids;
};

void template_init(struct template *t, const struct options *o, const char *topic, int32_t first,
                   int32_t n_partitions);
void template_release(struct template *t);

/* Appends a request made of it; each value gets the next id. */
void template_put(const struct template *t, int32_t correlation, uint64_t *next_id,
                  struct buf *out);

#endif
