/* Produce requests made once and stamped often: correlation id, ids, CRC of each batch. */
#include "loadgen.h"

#include <chronik/base/crc32c.h>
#include <chronik/base/random.h>
#include <time.h>

/* Where the values begin, from the records themselves. */
static void find_values(struct template *t, struct bytes raw)
{
    struct batch batch;
    struct record_iter it;
    struct record record;
    check(batch_parse(raw, &batch) == KAFKA_NONE);
    check(record_iter_init(&it, &batch, 0, NULL) == 0);
    t->values = mem_alloc((size_t)batch.count * sizeof *t->values);
    while (record_iter_next(&it, &record)) {
        t->values[t->n_values++] = (size_t)(record.value.data - raw.data);
    }
}

static struct bytes build_batch(struct batch_builder *builder, const struct options *o)
{
    struct prng prng;
    uint8_t *value = mem_alloc((size_t)o->size);
    int64_t now_ms = (int64_t)time(NULL) * 1000;
    prng_init(&prng, 1);
    batch_builder_init(builder);
    for (int64_t i = 0; i < o->records; i++) {
        prng_fill(&prng, value, (size_t)o->size);
        batch_builder_add(builder, now_ms, bytes_of(NULL, 0), bytes_of(value, (size_t)o->size),
                          bytes_of(NULL, 0), 0);
    }
    free(value);
    return batch_builder_finish(builder);
}

void template_init(struct template *t, const struct options *o, const char *topic, int32_t first,
                   int32_t n_partitions)
{
    struct batch_builder builder;
    struct bytes raw = build_batch(&builder, o);
    struct produce_request_partition *partitions =
        mem_zalloc_array((size_t)n_partitions, sizeof *partitions);
    for (int32_t i = 0; i < n_partitions; i++) {
        partitions[i].partition_index = first + i;
        partitions[i].records.view = raw;
    }
    struct produce_request_topic in_topic = { .name = text_of(topic),
                                              .partitions = partitions,
                                              .n_partitions = n_partitions };
    struct produce_request request = { .acks = (int16_t)o->acks,
                                       .timeout_ms = 30000,
                                       .topics = &in_topic,
                                       .n_topics = 1 };
    *t = (struct template){ .frame = client_frame(&wire_produce, PRODUCE_VERSION, &request),
                            .batches = mem_alloc((size_t)n_partitions * sizeof *t->batches),
                            .n_batches = (size_t)n_partitions,
                            .batch_len = raw.len,
                            .ids = o->ids && o->size >= 8,
                            /* correlation id, topics, name, partitions, index */
                            .error_at = 4 + 4 + 2 + strlen(topic) + 4 + 4 };
    /* Each partition is its index, the length, the batch; the last one ends the frame. */
    for (size_t i = 0; i < t->n_batches; i++) {
        size_t behind = t->n_batches - 1 - i;
        t->batches[i] = t->frame.len - raw.len - behind * (8 + raw.len);
    }
    find_values(t, raw);
    batch_builder_release(&builder);
    free(partitions);
}

void template_release(struct template *t)
{
    buf_release(&t->frame);
    free(t->batches);
    free(t->values);
}

void template_put(const struct template *t, int32_t correlation, uint64_t *next_id,
                  struct buf *out)
{
    uint8_t *frame = buf_reserve(out, t->frame.len);
    memcpy(frame, t->frame.data, t->frame.len);
    out->len += t->frame.len;
    store_be32(frame + FRAME_CORRELATION, (uint32_t)correlation);
    for (size_t i = 0; t->ids && i < t->n_batches; i++) {
        uint8_t *batch = frame + t->batches[i];
        for (size_t v = 0; v < t->n_values; v++) {
            store_be64(batch + t->values[v], (*next_id)++);
        }
        store_be32(batch + 17, crc32c(0, batch + BATCH_CRC_FROM, t->batch_len - BATCH_CRC_FROM));
    }
}
