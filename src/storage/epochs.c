/* The leader epochs of a log, and their checkpoint file.
 *
 * The list is short (one entry a leader change), so it is searched from the end, where the answers
 * are. It stays strictly rising in both columns: epochs_assign() drops what contradicts it. */
#include <chronik/storage/epochs.h>

#include <chronik/storage/kafka_files.h>

#include <errno.h>
#include <inttypes.h>

bool epochs_assign(struct epochs *epochs, int32_t epoch, int64_t start_offset)
{
    check(epoch >= 0 && start_offset >= 0);
    if (epochs->n > 0) {
        const struct epoch_entry *last = &epochs->entries[epochs->n - 1];
        if (last->epoch == epoch && last->start_offset <= start_offset) {
            return false;
        }
    }
    while (epochs->n > 0 && (epochs->entries[epochs->n - 1].epoch >= epoch ||
                             epochs->entries[epochs->n - 1].start_offset >= start_offset)) {
        epochs->n--;
    }
    epochs->entries =
        mem_grow(epochs->entries, &epochs->cap, epochs->n + 1, sizeof *epochs->entries);
    epochs->entries[epochs->n++] = (struct epoch_entry){ epoch, start_offset };
    return true;
}

int32_t epochs_last(const struct epochs *epochs)
{
    return epochs->n > 0 ? epochs->entries[epochs->n - 1].epoch : -1;
}

int32_t epochs_at(const struct epochs *epochs, int64_t offset)
{
    size_t n = epochs->n;
    while (n > 0 && epochs->entries[n - 1].start_offset > offset) {
        n--;
    }
    return n > 0 ? epochs->entries[n - 1].epoch : -1;
}

void epochs_end(const struct epochs *epochs, int32_t epoch, int64_t log_end, int32_t *ret_epoch,
                int64_t *ret_end)
{
    size_t n = epochs->n;
    if (epoch < 0 || epoch > epochs_last(epochs)) {
        *ret_epoch = -1;
        *ret_end = -1;
        return;
    }
    while (n > 0 && epochs->entries[n - 1].epoch > epoch) {
        n--;
    }
    *ret_epoch = n > 0 ? epochs->entries[n - 1].epoch : epoch;
    *ret_end = n < epochs->n ? epochs->entries[n].start_offset : log_end;
}

bool epochs_truncate(struct epochs *epochs, int64_t offset)
{
    size_t n = epochs->n;
    while (epochs->n > 0 && epochs->entries[epochs->n - 1].start_offset >= offset) {
        epochs->n--;
    }
    return epochs->n < n;
}

bool epochs_trim(struct epochs *epochs, int64_t log_start)
{
    size_t below = 0;
    while (below < epochs->n && epochs->entries[below].start_offset <= log_start) {
        below++;
    }
    if (below == 0 || (below == 1 && epochs->entries[0].start_offset == log_start)) {
        return false;
    }
    epochs->n -= below - 1;
    memmove(epochs->entries, epochs->entries + below - 1, epochs->n * sizeof *epochs->entries);
    epochs->entries[0].start_offset = log_start;
    return true;
}

void epochs_encode(const struct epochs *epochs, struct buf *out)
{
    checkpoint_begin(out, epochs->n);
    for (size_t i = 0; i < epochs->n; i++) {
        buf_printf(out, "%" PRId32 " %" PRId64 "\n", epochs->entries[i].epoch,
                   epochs->entries[i].start_offset);
    }
}

static bool decode_entry(struct epochs *epochs, const struct text fields[2])
{
    int64_t epoch, start, last = epochs->n > 0 ? epochs->entries[epochs->n - 1].start_offset : -1;
    if (!text_to_i64(fields[0], &epoch) || !text_to_i64(fields[1], &start) ||
        epoch <= epochs_last(epochs) || epoch > INT32_MAX || start <= last) {
        return false;
    }
    return epochs_assign(epochs, (int32_t)epoch, start);
}

int epochs_decode(struct epochs *epochs, struct bytes file)
{
    struct checkpoint_reader reader;
    struct text fields[2];

    epochs->n = 0;
    int error = checkpoint_open(&reader, file, 2);
    while (error == 0 && checkpoint_next(&reader, fields)) {
        error = decode_entry(epochs, fields) ? 0 : -EINVAL;
    }
    if (error != 0) {
        epochs->n = 0;
    }
    return error;
}

void epochs_release(struct epochs *epochs)
{
    free(epochs->entries);
    *epochs = (struct epochs){ 0 };
}
