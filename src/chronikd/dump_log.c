/* `chronikd --dump-log DIR`: prints what storage/dump.h finds.
 *
 * As text, a line for each log, and indented below it one for each batch and record; as JSON, one
 * object in each line, with a "type". Bytes that are not text are escaped in the one, and
 * hexadecimal under another name in the other. */
#include "dump_log.h"

#include <chronik/storage/dump.h>

#include <inttypes.h>
#include <stdio.h>

struct printer {
    const struct options_dump *asked;
    bool (*print)(struct bytes out);
    struct buf out;
    struct codec_scratch scratch;
    bool damaged, any, failed;
};

static const size_t INFLATED_MAX = (size_t)1 << 30;

static void flush(struct printer *p)
{
    p->failed |= !p->print(buf_bytes(&p->out));
    buf_clear(&p->out);
}

static void end_line(struct printer *p)
{
    buf_put_u8(&p->out, '\n');
    if (p->out.len > KIB(64)) {
        flush(p);
    }
}

/* ---- logs -------------------------------------------------------------------------------------*/

static void put_epochs(struct buf *out, const struct epochs *epochs, const char *form)
{
    for (size_t i = 0; i < epochs->n; i++) {
        buf_put(out, i > 0 ? "," : "", i > 0);
        buf_printf(out, form, epochs->entries[i].epoch, epochs->entries[i].start_offset);
    }
}

static void print_log(void *arg, const struct dump_log *log)
{
    struct printer *p = arg;
    struct buf *out = &p->out;
    char id[UUID_TEXT_LEN + 1];
    uuid_format(log->topic_id, id);
    p->any = true;
    if (p->asked->json) {
        buf_printf(out,
                   "{\"type\":\"log\",\"topic\":\"%s\",\"partition\":%" PRId32
                   ",\"id\":\"%s\",\"start\":%" PRId64 ",\"high_watermark\":%" PRId64
                   ",\"end\":%" PRId64 ",\"epochs\":[",
                   log->topic, log->partition, id, log->start, log->high_watermark, log->end);
        put_epochs(out, log->epochs, "{\"epoch\":%" PRId32 ",\"start\":%" PRId64 "}");
        buf_printf(out, "]}");
    } else {
        buf_printf(out,
                   "%s-%" PRId32 " id=%s start=%" PRId64 " checkpointed_high_watermark=%" PRId64
                   " end=%" PRId64 " epochs=",
                   log->topic, log->partition, id, log->start, log->high_watermark, log->end);
        put_epochs(out, log->epochs, "%" PRId32 "@%" PRId64);
    }
    end_line(p);
}

/* ---- records ----------------------------------------------------------------------------------*/

/* In JSON, `name` for text, `name`_hex for other bytes, null for none. */
static void put_json_bytes(struct buf *out, const char *name, struct bytes bytes)
{
    struct text text = text_part((const char *)bytes.data, bytes.len);
    if (bytes.data == NULL) {
        buf_printf(out, "\"%s\":null", name);
    } else if (text_is_utf8(text)) {
        buf_printf(out, "\"%s\":", name);
        text_put_json(text, out);
    } else {
        buf_printf(out, "\"%s_hex\":\"", name);
        for (size_t i = 0; i < bytes.len; i++) {
            buf_printf(out, "%02x", bytes.data[i]);
        }
        buf_put_u8(out, '"');
    }
}

static void put_text_bytes(struct buf *out, struct bytes bytes)
{
    if (bytes.data == NULL) {
        buf_printf(out, "null");
        return;
    }
    buf_put_u8(out, '"');
    for (size_t i = 0; i < bytes.len; i++) {
        uint8_t c = bytes.data[i];
        if (c < ' ' || c > '~' || c == '"' || c == '\\') {
            buf_printf(out, "\\x%02x", c);
        } else {
            buf_put_u8(out, c);
        }
    }
    buf_put_u8(out, '"');
}

static void put_headers(struct buf *out, struct bytes headers, bool json)
{
    struct bytes key, value;
    for (unsigned i = 0; record_header_next(&headers, &key, &value); i++) {
        if (json) {
            buf_printf(out, i > 0 ? ",{" : "{");
            put_json_bytes(out, "key", key);
            buf_put_u8(out, ',');
            put_json_bytes(out, "value", value);
            buf_put_u8(out, '}');
        } else {
            buf_printf(out, i > 0 ? ", " : " headers=");
            put_text_bytes(out, key);
            buf_put_u8(out, ':');
            put_text_bytes(out, value);
        }
    }
}

static void print_record(struct printer *p, const struct record *r)
{
    struct buf *out = &p->out;
    if (p->asked->json) {
        buf_printf(out, "{\"type\":\"record\",\"offset\":%" PRId64 ",\"timestamp\":%" PRId64 ",",
                   r->offset, r->timestamp);
        put_json_bytes(out, "key", r->key);
        buf_put_u8(out, ',');
        put_json_bytes(out, "value", r->value);
        buf_printf(out, ",\"headers\":[");
        put_headers(out, r->headers, true);
        buf_printf(out, "]}");
    } else {
        buf_printf(out, "    offset=%" PRId64 " timestamp=%" PRId64 " key=", r->offset,
                   r->timestamp);
        put_text_bytes(out, r->key);
        buf_printf(out, " value=");
        put_text_bytes(out, r->value);
        put_headers(out, r->headers, false);
    }
    end_line(p);
}

/* ---- batches and what is wrong ----------------------------------------------------------------*/

static void print_remark(void *arg, const char *file, uint64_t at, const char *what, bool damage)
{
    struct printer *p = arg;
    struct buf *out = &p->out;
    const char *type = damage ? "damage" : "note";
    p->damaged |= damage;
    if (p->asked->json) {
        buf_printf(out, "{\"type\":\"%s\",\"file\":", type);
        text_put_json(text_of(file), out);
        buf_printf(out, ",\"at\":%" PRIu64 ",\"what\":", at);
        text_put_json(text_of(what), out);
        buf_put_u8(out, '}');
    } else {
        buf_printf(out, "%s: %s at byte %" PRIu64 ": %s", type, file, at, what);
    }
    end_line(p);
}

static void print_records(struct printer *p, const struct dump_batch *found)
{
    struct record_iter it;
    struct record record;
    if (record_iter_init(&it, &found->batch, INFLATED_MAX, &p->scratch) != 0) {
        print_remark(p, found->file, found->at, "the records cannot be decompressed", true);
        return;
    }
    while (record_iter_next(&it, &record)) {
        print_record(p, &record);
    }
    if (it.next < it.n) {
        print_remark(p, found->file, found->at, "there are fewer records than it says", true);
    }
}

static const char *json_bool(bool value)
{
    return value ? "true" : "false";
}

static void put_json_batch(struct buf *out, const struct dump_log *log,
                           const struct dump_batch *found)
{
    const struct batch *b = &found->batch;
    buf_printf(out,
               "{\"type\":\"batch\",\"topic\":\"%s\",\"partition\":%" PRId32
               ",\"base\":%" PRId64 ",\"last\":%" PRId64 ",\"epoch\":%" PRId32
               ",\"producer_id\":%" PRId64 ",\"producer_epoch\":%d,\"sequence\":%" PRId32,
               log->topic, log->partition, b->base_offset, batch_last_offset(b), b->leader_epoch,
               b->producer_id, b->producer_epoch, b->base_sequence);
    buf_printf(out,
               ",\"codec\":\"%s\",\"count\":%" PRId32 ",\"bytes\":%zu,\"timestamp\":%" PRId64
               ",\"transactional\":%s,\"control\":%s,\"crc_ok\":%s",
               codec_name(batch_codec(b)), b->count, b->raw.len, b->max_timestamp,
               json_bool(b->attributes & BATCH_TRANSACTIONAL),
               json_bool(b->attributes & BATCH_CONTROL), json_bool(found->crc_ok));
    buf_printf(out, ",\"file\":\"%s\",\"at\":%" PRIu64 ",\"lsn\":%" PRIu64 "}", found->file,
               found->at, found->lsn);
}

static void put_text_batch(struct buf *out, const struct dump_batch *found)
{
    const struct batch *b = &found->batch;
    buf_printf(out,
               "  base=%" PRId64 " last=%" PRId64 " epoch=%" PRId32 " count=%" PRId32
               " codec=%s bytes=%zu timestamp=%" PRId64,
               b->base_offset, batch_last_offset(b), b->leader_epoch, b->count,
               codec_name(batch_codec(b)), b->raw.len, b->max_timestamp);
    if (b->producer_id >= 0) {
        buf_printf(out, " producer=%" PRId64 ":%d sequence=%" PRId32, b->producer_id,
                   b->producer_epoch, b->base_sequence);
    }
    buf_printf(out, "%s%s crc=%s in=%s:%" PRIu64,
               b->attributes & BATCH_TRANSACTIONAL ? " transactional" : "",
               b->attributes & BATCH_CONTROL ? " control" : "", found->crc_ok ? "ok" : "wrong",
               found->file, found->at);
    if (found->lsn > 0) {
        buf_printf(out, " lsn=%" PRIu64, found->lsn);
    }
}

static void print_batch(void *arg, const struct dump_log *log, const struct dump_batch *found)
{
    struct printer *p = arg;
    if (p->asked->json) {
        put_json_batch(&p->out, log, found);
    } else {
        put_text_batch(&p->out, found);
    }
    end_line(p);
    if (p->asked->records && found->crc_ok) {
        print_records(p, found);
    }
}

int dump_log(const struct options_dump *asked, bool (*print)(struct bytes out))
{
    static const struct dump_visitor VISITOR = { print_log, print_batch, print_remark };
    struct printer p = { .asked = asked, .print = print };
    const struct dump_request request = { .dir = asked->dir,
                                          .topic = text_of(asked->topic),
                                          .partition = asked->partition,
                                          .records = asked->records,
                                          .visitor = &VISITOR,
                                          .arg = &p };
    char *message = NULL;
    int error = dump_run(&request, &message);
    flush(&p);
    if (error != 0) {
        fprintf(stderr, "%s\n", message);
    } else if (asked->topic != NULL && !p.any) {
        fprintf(stderr, "there is no partition %s-%" PRId32 " in %s\n", asked->topic,
                asked->partition, asked->dir);
        p.failed = true;
    }
    free(message);
    buf_release(&p.out);
    codec_scratch_release(&p.scratch);
    return error != 0 ? EXIT_STORAGE : p.damaged || p.failed ? EXIT_FATAL : EXIT_CLEAN;
}
