/* DescribeLogDirs (key 35): the log directory of this broker, and how large each partition in it
 * is. User interfaces decide by it whether a cluster is online.
 *
 * All partitions that have a log here (null), or those named; what has none is left out. A
 * directory that failed is a KAFKA_STORAGE_ERROR. There is one directory, so nothing ever moves
 * between them.
 *
 * Version notes: an error of the whole from 3 on; total and usable bytes of the file system from
 * 4 on (KIP-827), asked for in a job, since that may block; cordoned directories from 5 on
 * (KIP-1066): never. */
#include "handlers.h"

#include <chronik/io/file.h>
#include <chronik/io/job.h>
#include <chronik/wire/api.h>
#include <errno.h>

struct dirs_state {
    struct request *request;
    struct job job;
    const char *path; /* a copy: the job outlives nothing, but sees only what is its own */
    struct disk_space space;
    int error;        /* of asking for the space */
};

/* ---- partitions -------------------------------------------------------------------------------*/

static void put_partition(const struct topic_replicas *topic, int32_t index,
                          struct describe_log_dirs_response_topic *to)
{
    const struct partition *p = topic_partition(topic, index);
    if (p == NULL || p->log == NULL) {
        return;
    }
    to->partitions[to->n_partitions++] = (struct describe_log_dirs_response_partition){
        .partition_index = index,
        .partition_size = (int64_t)log_size(p->log),
        .offset_lag = max_i64(0, p->high_watermark - log_end(p->log)),
    };
}

/* Opens the next topic of the reply; one that stays without partitions is given up again. */
static struct describe_log_dirs_response_topic *
begin_topic(struct request *request, struct describe_log_dirs_response_result *result,
            const struct topic_replicas *topic, size_t n_partitions)
{
    struct describe_log_dirs_response_topic *to = &result->topics[result->n_topics];
    to->name = request_text(request, topic->name);
    to->partitions = request_items(request, n_partitions, describe_log_dirs_response_partition);
    return to;
}

static void put_all(struct request *request, struct describe_log_dirs_response_result *result)
{
    const struct image *image = meta_image(request->api->meta);
    size_t n = image_topic_count(image);

    result->topics = request_items(request, n, describe_log_dirs_response_topic);
    for (size_t i = 0; i < n; i++) {
        const struct topic_replicas *topic =
            replicas_topic_by_id(request->api->replicas, &image_topic_at(image, i)->id);
        if (topic == NULL) {
            continue;
        }
        struct describe_log_dirs_response_topic *to =
            begin_topic(request, result, topic, (size_t)topic->n_partitions);
        for (int32_t k = 0; k < topic->n_partitions; k++) {
            put_partition(topic, k, to);
        }
        result->n_topics += to->n_partitions > 0;
    }
}

static void put_named(struct request *request, struct describe_log_dirs_response_result *result)
{
    const struct describe_log_dirs_request *in = request->body;

    result->topics =
        request_items(request, (size_t)in->n_topics, describe_log_dirs_response_topic);
    for (int32_t i = 0; i < in->n_topics; i++) {
        const struct describe_log_dirs_request_topic *asked = &in->topics[i];
        const struct topic_replicas *topic = replicas_topic(request->api->replicas, asked->name);
        if (topic == NULL) {
            continue;
        }
        struct describe_log_dirs_response_topic *to =
            begin_topic(request, result, topic, (size_t)asked->n_partitions);
        for (int32_t k = 0; k < asked->n_partitions; k++) {
            put_partition(topic, asked->partitions[k], to);
        }
        result->n_topics += to->n_partitions > 0;
    }
}

/* ---- the answer -------------------------------------------------------------------------------*/

static void answer(struct dirs_state *state)
{
    struct request *request = state->request;
    const struct describe_log_dirs_request *in = request->body;
    struct describe_log_dirs_response *out = request->reply;
    struct describe_log_dirs_response_result *result =
        request_items(request, 1, describe_log_dirs_response_result);

    out->results = result;
    out->n_results = 1;
    result->log_dir = text_of(state->path);
    if (state->error != 0 || store_writable(request->api->store) == -EIO) {
        result->error = KAFKA_KAFKA_STORAGE_ERROR;
    } else {
        result->total_bytes = (int64_t)min_u64(state->space.total, INT64_MAX);
        result->usable_bytes = (int64_t)min_u64(state->space.available, INT64_MAX);
        if (in->n_topics < 0) {
            put_all(request, result);
        } else {
            put_named(request, result);
        }
    }
    request_reply(request);
}

static void ask_space(struct job *job)
{
    struct dirs_state *state = container_of(job, struct dirs_state, job);
    state->error = dir_space(state->path, &state->space);
}

static void space_known(struct job *job)
{
    answer(container_of(job, struct dirs_state, job));
}

void handle_describe_log_dirs(struct request *request)
{
    struct dirs_state *state = request_alloc(request, 1, sizeof *state);
    const char *path = store_path(request->api->store);

    state->request = request;
    state->path = arena_dup(&request->arena, path, strlen(path) + 1);
    if (request->header.api_version >= 4) {
        job_start(request->api->loop, &state->job, ask_space, space_known);
    } else {
        answer(state);
    }
}
