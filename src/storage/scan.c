/* Walking over the batches of a segment file.
 *
 * The file is read in large pieces; a batch that does not lie in the buffer as a whole moves its
 * start there. What can go wrong: the file ends inside a batch, a length cannot be, the CRC does
 * not match: -EBADMSG with `at` on the batch in question, for the caller to judge. */
#include "scan.h"

#include <chronik/storage/index.h>
#include <chronik/storage/kafka_files.h>

#include <errno.h>

enum { STEP = 1024 * 1024 };

void scan_init(struct scan *scan, struct file *file, uint64_t at, uint64_t limit, bool check_crc)
{
    *scan = (struct scan){
        .file = file, .at = at, .limit = limit, .check_crc = check_crc, .buffered_at = at
    };
}

void scan_release(struct scan *scan)
{
    buf_release(&scan->buffer);
}

/* Gets `len` bytes at the current place into the buffer; fewer only at the limit or the end of the
 * file. Returns how many there are. */
static int64_t fill(struct scan *scan, uint64_t len)
{
    uint64_t skip = scan->at - scan->buffered_at;
    uint64_t have = scan->buffer.len - skip;
    len = min_u64(len, scan->limit - scan->at);
    if (have >= len) {
        return (int64_t)have;
    }
    if (have > 0) {
        memmove(scan->buffer.data, scan->buffer.data + skip, have);
    }
    scan->buffer.len = have;
    scan->buffered_at = scan->at;

    uint64_t want = min_u64(max_u64(len, STEP), scan->limit - scan->at) - have;
    int64_t got =
        file_read_at(scan->file, buf_reserve(&scan->buffer, want), want, scan->at + have);
    if (got < 0) {
        return got;
    }
    scan->buffer.len += (size_t)got;
    return (int64_t)scan->buffer.len;
}

static struct bytes buffered(const struct scan *scan)
{
    size_t skip = scan->at - scan->buffered_at;
    return bytes_of(scan->buffer.data + skip, scan->buffer.len - skip);
}

/* A length is believed, and memory is had for it, only where the file is that long. */
static bool is_there(const struct scan *scan, uint64_t len)
{
    return len <= STEP || (int64_t)(scan->at + len) <= file_size(scan->file);
}

int scan_next(struct scan *scan, struct batch *ret_batch)
{
    if (scan->at >= scan->limit) {
        return 0;
    }
    int64_t have = fill(scan, BATCH_HEADER);
    if (have <= 0) {
        return (int)have;
    }
    int64_t len = batch_peek_length(buffered(scan));
    if (len <= 0 || (uint64_t)len > scan->limit - scan->at || !is_there(scan, (uint64_t)len)) {
        return -EBADMSG;
    }
    have = fill(scan, (uint64_t)len);
    if (have < 0) {
        return (int)have;
    }
    if (have < len || batch_parse(buffered(scan), ret_batch) != KAFKA_NONE ||
        ret_batch->base_offset < scan->next_offset || ret_batch->last_offset_delta < 0 ||
        ret_batch->base_offset > INT64_MAX - 1 - ret_batch->last_offset_delta ||
        (scan->check_crc && !batch_crc_ok(ret_batch))) {
        return -EBADMSG;
    }
    scan->next_offset = batch_last_offset(ret_batch) + 1;
    scan->at += (uint64_t)len;
    return 1;
}

bool batches_go_on(struct bytes batches, int64_t next, bool begins)
{
    while (batches.len > 0) {
        struct batch b;
        if (batch_parse(batches, &b) != KAFKA_NONE || b.base_offset < 0 ||
            b.last_offset_delta < 0 || b.base_offset > INT64_MAX - 1 - b.last_offset_delta ||
            (begins ? batch_last_offset(&b) : b.base_offset) < next || !batch_crc_ok(&b)) {
            return false;
        }
        begins = false;
        next = batch_last_offset(&b) + 1;
        batches = bytes_part(batches, b.raw.len, batches.len - b.raw.len);
    }
    return true;
}

/* ---- producers --------------------------------------------------------------------------------*/

void producers_free(struct producers *producers)
{
    if (producers != NULL) {
        producers_release(producers);
        free(producers);
    }
}

static char *file_in(const char *dir, enum log_file_kind kind, int64_t offset)
{
    char name[LOG_FILE_NAME_SIZE];
    struct log_file_name parsed = { .kind = kind, .offset = offset };
    return mem_sprintf("%s/%s", dir, log_file_format(&parsed, name));
}

int producers_load(struct producers *producers, const char *dir, int64_t offset, bool *ret_whole)
{
    char *snapshot = file_in(dir, LOG_FILE_SNAPSHOT, offset);
    char *window = file_in(dir, LOG_FILE_WINDOW, offset);
    struct buf content = { 0 };
    int error = file_load(snapshot, GIB(1), &content);
    if (error == 0) {
        error = producers_decode(producers, buf_bytes(&content));
    }
    buf_clear(&content);
    *ret_whole = error == 0 && file_load(window, GIB(1), &content) == 0 &&
                 producers_decode_window(producers, buf_bytes(&content)) == 0;
    buf_release(&content);
    free(snapshot);
    free(window);
    return error;
}

static bool is_snapshot(const char *text, int64_t end, struct log_file_name *ret_name)
{
    return log_file_parse(text_of(text), ret_name) && ret_name->kind == LOG_FILE_SNAPSHOT &&
           ret_name->state == LOG_FILE_LIVE && ret_name->offset <= end;
}

/* All records that ever were in the log are in these files, and soon read. */
static bool short_and_whole(const struct segment_file *files, size_t n)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < n; i++) {
        bytes += files[i].bytes;
    }
    return n > 0 && files[0].base == 0 && bytes <= MIB(16);
}

/* Loads the newest usable snapshot at or below `end`: its offset, or -1. One without a window is
 * Kafka's, or the window was lost in a crash: an older one that has its window is better, and so is
 * a short log. */
static int64_t load_newest(struct producers *producers, const char *dir, int64_t end,
                           const struct segment_file *files, size_t n_files)
{
    struct dir_entry *entries;
    struct log_file_name name;
    size_t n;
    int64_t bare = -1;
    bool whole = false;
    if (dir_list(dir, &entries, &n) != 0) {
        return -1;
    }
    for (size_t i = n; i > 0 && !whole; i--) {
        if (is_snapshot(entries[i - 1].name, end, &name) &&
            producers_load(producers, dir, name.offset, &whole) == 0 && !whole) {
            bare = bare < 0 ? name.offset : bare;
        }
    }
    dir_list_free(entries, n);
    if (whole) {
        return name.offset;
    }
    if (bare >= 0 && !short_and_whole(files, n_files) &&
        producers_load(producers, dir, bare, &whole) == 0) {
        return bare;
    }
    producers_clear(producers);
    return -1;
}

/* A place at or before the batch that holds `offset`, by the index file if that can be believed:
 * what lies at the place must be a batch that begins at or below the offset. */
static uint64_t seek(const char *dir, const struct segment_file *from, struct file *file,
                     int64_t offset)
{
    char *path = file_in(dir, LOG_FILE_INDEX, from->base);
    struct buf content = { 0 };
    struct index index = { 0 };
    uint64_t place = 0;
    if (offset - from->base <= INT32_MAX && file_load(path, MIB(64), &content) == 0 &&
        index_decode(&index, buf_bytes(&content), from->bytes) == 0) {
        uint8_t header[BATCH_HEADER];
        place = index_lookup(&index, (uint32_t)(offset - from->base));
        if (file_read_at(file, header, sizeof header, place) != (int64_t)sizeof header ||
            batch_peek_length(bytes_of(header, sizeof header)) <= 0 ||
            (int64_t)load_be64(header) > offset || (int64_t)load_be64(header) < from->base) {
            place = 0;
        }
    }
    index_release(&index);
    buf_release(&content);
    free(path);
    return place;
}

static int apply_file(struct producers *producers, const char *dir, const struct segment_file *from,
                      int64_t offset, int64_t end, int64_t now_ms)
{
    char *path = file_in(dir, LOG_FILE_SEGMENT, from->base);
    struct file *file = NULL;
    struct scan scan;
    struct batch b;
    int found = file_open(path, FILE_READ, &file);
    free(path);
    if (found < 0) {
        return found;
    }
    uint64_t place = offset > from->base ? seek(dir, from, file, offset) : 0;
    scan_init(&scan, file, place, from->bytes, false);
    while ((found = scan_next(&scan, &b)) == 1 && b.base_offset < end) {
        if (b.base_offset >= offset) {
            producers_apply(producers, &b, now_ms);
        }
    }
    scan_release(&scan);
    file_close(file);
    return found < 0 ? found : 0;
}

int producers_rebuild(const char *dir, const struct segment_file *files, size_t n, int64_t end,
                      uint64_t seed, int64_t now_ms, struct producers **ret_producers,
                      int64_t *ret_snapshot)
{
    struct producers *producers = mem_alloc(sizeof *producers);
    int error = 0;
    producers_init(producers, seed);
    *ret_snapshot = load_newest(producers, dir, end, files, n);
    for (size_t i = 0; i < n && error == 0; i++) {
        int64_t next = i + 1 < n ? files[i + 1].base : INT64_MAX;
        bool in_file = files[i].bytes > 0; /* else all of it is in the tail */
        if (in_file && next > *ret_snapshot && files[i].base < end) {
            error = apply_file(producers, dir, &files[i], *ret_snapshot, end, now_ms);
        }
    }
    if (error != 0 || producers_count(producers) == 0) {
        producers_free(producers);
        producers = NULL;
    }
    if (error == 0) {
        *ret_producers = producers;
    }
    return error;
}
