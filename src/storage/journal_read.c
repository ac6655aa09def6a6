/* Reading a journal back. */
#include "journal_read.h"

#include "repair.h"

#include <chronik/base/crc32c.h>
#include <chronik/base/text.h>

#include <errno.h>

/* ---- finding chunks ---------------------------------------------------------------------------*/

static int read_header(struct found_chunk *chunk, const char *path, const struct uuid *directory_id)
{
    struct file *file;
    uint8_t block[JOURNAL_BLOCK];
    int error = file_open(path, FILE_READ, &file);
    if (error != 0) {
        return error;
    }
    int64_t size = file_size(file);
    int64_t got = size < 0 ? size : file_read_at(file, block, sizeof block, 0);
    file_close(file);
    if (got < 0) {
        return (int)got;
    }
    chunk->bytes = (uint64_t)size;
    error = got < (int64_t)sizeof block ? -EINVAL : journal_chunk_decode(block, &chunk->header);
    chunk->begun =
        error == 0 && uuid_equal(&chunk->header.directory_id, directory_id);
    return error == -EINVAL ? 0 : error;
}

static int order(const void *a, const void *b)
{
    const struct found_chunk *x = a, *y = b;
    if (x->begun != y->begun) {
        return x->begun ? -1 : 1;
    }
    uint64_t p = x->begun ? x->header.number : x->slot, q = y->begun ? y->header.number : y->slot;
    return p < q ? -1 : p > q;
}

static int find_chunks(struct journal_reader *r, const struct uuid *directory_id)
{
    struct dir_entry *entries;
    size_t n, cap = 0;
    int error = dir_list(r->dir, &entries, &n);
    if (error != 0) {
        return error == -ENOENT ? 0 : error;
    }
    for (size_t i = 0; i < n && error == 0; i++) {
        int64_t slot;
        if (entries[i].is_dir || !text_to_i64(text_of(entries[i].name), &slot) || slot < 0 ||
            slot > INT32_MAX) {
            continue;
        }
        r->chunks = mem_grow(r->chunks, &cap, r->n + 1, sizeof *r->chunks);
        struct found_chunk *chunk = &r->chunks[r->n++];
        *chunk = (struct found_chunk){ .slot = (unsigned)slot };
        char *path = journal_chunk_path(r->dir, chunk->slot);
        error = read_header(chunk, path, directory_id);
        free(path);
        r->n_begun += chunk->begun;
    }
    dir_list_free(entries, n);
    if (r->n > 0) {
        qsort(r->chunks, r->n, sizeof *r->chunks, order);
    }
    return error;
}

int journal_reader_open(struct journal_reader *r, const char *dir, const struct uuid *directory_id,
                        uint64_t first_lsn)
{
    *r = (struct journal_reader){ .dir = mem_strdup(dir), .first_lsn = first_lsn };
    int error = find_chunks(r, directory_id);
    journal_reader_rewind(r);
    return error;
}

static void leave_chunk(struct journal_reader *r)
{
    file_close(r->file);
    r->file = NULL;
}

void journal_reader_close(struct journal_reader *r)
{
    leave_chunk(r);
    buf_release(&r->group);
    free(r->chunks);
    free(r->dir);
}

/* ---- the walk ---------------------------------------------------------------------------------*/

/* Chunk `i` counts up to this LSN: later ones say where they go on. */
static uint64_t limit_of(const struct journal_reader *r, size_t i)
{
    uint64_t limit = UINT64_MAX;
    for (i++; i < r->n_begun; i++) {
        limit = min_u64(limit, r->chunks[i].header.first_lsn);
    }
    return limit;
}

void journal_reader_rewind(struct journal_reader *r)
{
    leave_chunk(r);
    r->chunk = 0;
    /* The last chunk that begins at or below what is wanted holds it. */
    for (size_t i = 0; i < r->n_begun; i++) {
        if (r->chunks[i].header.first_lsn <= r->first_lsn) {
            r->chunk = i;
        }
    }
    while (r->chunk > 0 && r->chunks[r->chunk - 1].header.first_lsn ==
                               r->chunks[r->chunk].header.first_lsn) {
        r->chunk--;
    }
    r->next_lsn = r->n_begun > 0 ? r->chunks[r->chunk].header.first_lsn : r->first_lsn;
    r->at = JOURNAL_BLOCK;
    r->any = false;
    r->bytes = 0;
    r->damage = r->next_lsn > r->first_lsn ? "its beginning is missing" : NULL;
    r->damage = r->salvage ? NULL : r->damage;
}

static bool enter_chunk(struct journal_reader *r)
{
    if (r->file == NULL) {
        char *path = journal_chunk_path(r->dir, r->chunks[r->chunk].slot);
        if (file_open(path, FILE_READ, &r->file) != 0) {
            r->damage = "a chunk cannot be read";
        }
        free(path);
    }
    return r->file != NULL;
}

/* Reads `len` bytes at the current place into r->group; false when they are not there. */
static bool read_here(struct journal_reader *r, uint64_t len)
{
    buf_clear(&r->group);
    if (r->at + len > r->chunks[r->chunk].bytes) {
        return false;
    }
    int64_t got = file_read_at(r->file, buf_reserve(&r->group, len), len, r->at);
    if (got < 0) {
        r->damage = "a chunk cannot be read";
        return false;
    }
    r->group.len = (size_t)got;
    return r->group.len == len;
}

/* Makes the header what it has to be, if it differs from that in one bit at most. */
static bool mend_header(struct journal_reader *r, struct journal_group_header *ret_header)
{
    const struct journal_group_header expected = {
        .salt = r->chunks[r->chunk].header.salt, .lsn = r->next_lsn
    };
    uint8_t *have = r->group.data, want[JOURNAL_GROUP_HEADER];
    unsigned bits = 0;
    journal_group_encode(&expected, want);
    for (unsigned i = 0; i < 32; i++) { /* magic, salt and LSN; not the CRC */
        if (i < 4 || i >= JOURNAL_CRC_FROM) {
            bits += (unsigned)__builtin_popcount(have[i] ^ want[i]);
            have[i] = want[i];
        }
    }
    return bits <= 1 && journal_group_decode(have, ret_header) && ret_header->len > 0;
}

static bool verify(struct journal_reader *r, uint32_t len, uint32_t crc)
{
    return read_here(r, JOURNAL_GROUP_HEADER + (uint64_t)len) &&
           journal_group_crc(r->group.data, r->group.len) == crc;
}

/* Tries whether the group is there but for one flipped bit. */
static bool mend(struct journal_reader *r)
{
    struct journal_group_header header;
    uint64_t len = JOURNAL_GROUP_HEADER;
    if (!read_here(r, len) || !mend_header(r, &header)) {
        return false;
    }
    uint8_t good[JOURNAL_GROUP_HEADER];
    for (int bit = -1; bit < 32; bit++) {
        struct journal_group_header other = header;
        other.len ^= bit < 0 ? 0 : UINT32_C(1) << bit;
        if (other.len == 0 || !read_here(r, JOURNAL_GROUP_HEADER + (uint64_t)other.len)) {
            continue;
        }
        journal_group_encode(&other, good);
        memcpy(r->group.data, good, sizeof good);
        uint32_t crc = journal_group_crc(r->group.data, r->group.len);
        if (crc == header.crc || (bit < 0 && __builtin_popcount(crc ^ header.crc) == 1) ||
            (bit < 0 && repair_bit(r->group.data + JOURNAL_CRC_FROM,
                                   r->group.len - JOURNAL_CRC_FROM, header.crc))) {
            return true;
        }
    }
    return false;
}

/* Gets the group at the current place, which must be `next_lsn`, into r->group. */
static bool read_group(struct journal_reader *r)
{
    struct journal_group_header header;
    const struct journal_salt *salt = &r->chunks[r->chunk].header.salt;
    if (!read_here(r, JOURNAL_GROUP_HEADER)) {
        return false;
    }
    if (journal_group_decode(r->group.data, &header) && header.lsn == r->next_lsn &&
        memcmp(header.salt.bytes, salt->bytes, sizeof salt->bytes) == 0 && header.len > 0 &&
        verify(r, header.len, header.crc)) {
        return true;
    }
    return r->damage == NULL && mend(r);
}

/* Goes to the chunk that goes on where this one ends; false: there is none. */
static bool next_chunk(struct journal_reader *r)
{
    for (size_t i = r->chunk + 1; i < r->n_begun; i++) {
        if (r->chunks[i].header.first_lsn == r->next_lsn &&
            limit_of(r, i) >= r->next_lsn) {
            leave_chunk(r);
            r->chunk = i;
            r->at = JOURNAL_BLOCK;
            return true;
        }
    }
    return false;
}

/* Behind a damaged group: goes to the next one that verifies, here or in a later chunk. */
static bool skip_damage(struct journal_reader *r)
{
    struct journal_group_header group;
    uint64_t lsn = r->next_lsn;
    for (; r->chunk < r->n_begun; r->chunk++, r->at = JOURNAL_BLOCK) {
        const struct found_chunk *chunk = &r->chunks[r->chunk];
        leave_chunk(r);
        for (; enter_chunk(r) && r->at < chunk->bytes; r->at += JOURNAL_BLOCK) {
            if (read_here(r, JOURNAL_GROUP_HEADER) && journal_group_decode(r->group.data, &group) &&
                group.lsn > lsn && group.lsn < limit_of(r, r->chunk) &&
                memcmp(group.salt.bytes, chunk->header.salt.bytes, sizeof group.salt.bytes) == 0 &&
                verify(r, group.len, group.crc)) {
                r->next_lsn = group.lsn;
                return true;
            }
        }
        r->damage = NULL; /* of a chunk that cannot be read */
    }
    return false;
}

int journal_reader_next(struct journal_reader *r, uint64_t *ret_lsn, struct bytes *ret_records)
{
    while (r->n_begun > 0 && (r->damage == NULL || r->salvage)) {
        if (r->next_lsn >= limit_of(r, r->chunk) && next_chunk(r)) {
            continue;
        }
        bool here = r->next_lsn < limit_of(r, r->chunk) && enter_chunk(r) && read_group(r);
        if (!here && !(r->salvage && skip_damage(r))) {
            return 0;
        }
        uint64_t lsn = r->lsn = r->next_lsn++;
        r->group_at = r->at;
        r->at += round_up(r->group.len, JOURNAL_BLOCK);
        if (lsn < r->first_lsn) {
            continue;
        }
        r->first_chunk = r->any ? r->first_chunk : r->chunk;
        r->last_chunk = r->chunk;
        r->any = true;
        r->bytes += r->group.len;
        *ret_lsn = lsn;
        *ret_records = bytes_of(r->group.data + JOURNAL_GROUP_HEADER,
                                r->group.len - JOURNAL_GROUP_HEADER);
        return 1;
    }
    return 0;
}

/* ---- the verdict ------------------------------------------------------------------------------*/

/* Does a group that verifies lie anywhere behind the end, in the chunk where the journal ends? One
 * group is under way at a time, so there was no room for it to be torn in front. */
static bool later_group(struct journal_reader *r)
{
    uint8_t header[JOURNAL_GROUP_HEADER];
    struct journal_group_header group;
    const struct found_chunk *chunk = &r->chunks[r->chunk];
    if (!enter_chunk(r)) {
        return false;
    }
    for (r->at += JOURNAL_BLOCK; r->at + sizeof header <= chunk->bytes; r->at += JOURNAL_BLOCK) {
        if (file_read_at(r->file, header, sizeof header, r->at) == (int64_t)sizeof header &&
            journal_group_decode(header, &group) && group.lsn >= r->next_lsn &&
            memcmp(group.salt.bytes, chunk->header.salt.bytes, sizeof group.salt.bytes) == 0 &&
            verify(r, group.len, group.crc)) {
            return true;
        }
    }
    return false;
}

/* A chunk whose header does not verify: does it begin with a group that lies behind the end? */
static bool lost_chunk(struct journal_reader *r)
{
    for (size_t i = r->n_begun; i < r->n; i++) {
        struct journal_group_header group;
        uint8_t header[JOURNAL_GROUP_HEADER];
        leave_chunk(r);
        r->chunk = i;
        r->at = JOURNAL_BLOCK;
        if (enter_chunk(r) &&
            file_read_at(r->file, header, sizeof header, r->at) == (int64_t)sizeof header &&
            journal_group_decode(header, &group) && group.lsn >= r->next_lsn &&
            verify(r, group.len, group.crc)) {
            return true;
        }
    }
    return false;
}

const char *journal_reader_verdict(struct journal_reader *r, uint64_t durable_lsn)
{
    uint64_t end = r->next_lsn;
    if (r->damage != NULL) {
        return r->damage;
    }
    if (end <= durable_lsn) {
        return "it ends before what was known to be durable";
    }
    for (size_t i = 0; i < r->n_begun; i++) {
        if (r->chunks[i].header.first_lsn > end) {
            return "groups are missing in the middle";
        }
    }
    if (r->n_begun > 0 && later_group(r)) {
        return "a group is damaged in the middle";
    }
    return lost_chunk(r) ? "the header of a chunk is damaged" : NULL;
}

/* ---- making it durable ------------------------------------------------------------------------*/

static int rewrite(struct file *file, uint64_t bytes)
{
    uint8_t *buffer = mem_alloc_aligned(FILE_BLOCK, MIB(1));
    int error = 0;
    for (uint64_t at = 0; at < bytes && error == 0; at += MIB(1)) {
        int64_t got = file_read_at(file, buffer, MIB(1), at);
        uint64_t len = got < 0 ? 0 : (uint64_t)got / FILE_BLOCK * FILE_BLOCK;
        error = got < 0 ? (int)got : file_write_at(file, buffer, len, at);
    }
    free(buffer);
    return error;
}

static int sync_chunk(const struct journal_reader *r, const struct found_chunk *chunk)
{
    char *path = journal_chunk_path(r->dir, chunk->slot);
    struct file *file = NULL;
    int error = file_open(path, FILE_READ | FILE_WRITE | FILE_DURABLE, &file);
    if (error == 0 && !file_is_direct(file)) {
        error = rewrite(file, chunk->bytes);
    }
    if (error == 0) {
        error = file_sync(file);
    }
    file_close(file);
    free(path);
    return error;
}

int journal_reader_sync(struct journal_reader *r)
{
    int error = 0;
    for (size_t i = r->first_chunk; r->any && i <= r->last_chunk && error == 0; i++) {
        error = sync_chunk(r, &r->chunks[i]);
    }
    return error;
}
