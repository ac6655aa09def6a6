/* Gathering records into groups.
 *
 * A record is copied behind the last one in the slab that is being filled. When it does not fit,
 * the piece of the group in this slab is padded to a whole block (JOURNAL_PAD) and the group goes
 * on in the next slab. A closed group is thus a row of aligned, whole blocks that can be written
 * as they are, and the tail of a log refers to the very same bytes.
 *
 * A batch that is longer than a group is copied once, in one run, and cut into parts; each part is
 * a group of its own: a block with the headers, then whole blocks of the batch. The header blocks
 * lie behind the batch in the same slab:
 *
 *     slab:  | batch, padded to a block          | header 0 | header 1 | header 2 |
 *     groups:  header 0 + first part, header 1 + second part, header 2 + third part */
#include "journal_inside.h"

#include <chronik/base/crc32c.h>

/* ---- groups -----------------------------------------------------------------------------------*/

static struct group *group_new(struct journal *j)
{
    struct group *group = mem_zalloc(sizeof *group);
    list_init(&group->link);
    group->lsn = j->next_lsn++;
    return group;
}

void group_free(struct group *group)
{
    if (group != NULL) {
        for (size_t i = 0; i < group->n_pieces; i++) {
            blob_unref(group->pieces[i].blob);
        }
        free(group->pieces);
        free(group->marks);
        free(group);
    }
}

static struct piece *add_piece(struct group *group, struct slab *slab, uint64_t at, size_t len)
{
    group->pieces =
        mem_grow(group->pieces, &group->cap_pieces, group->n_pieces + 1, sizeof *group->pieces);
    struct piece *piece = &group->pieces[group->n_pieces++];
    *piece = (struct piece){ blob_ref(slab->blob), slab->blob->data + at, len };
    return piece;
}

static void enqueue(struct journal *j, struct group *group)
{
    for (size_t i = 0; i < group->n_pieces; i++) {
        j->queued += group->pieces[i].len;
    }
    list_push_back(&j->queue, &group->link);
    loop_defer(j->loop, LOOP_SUBMIT, &j->submit);
}

/* Bytes from where the slab is filled up to the next block. */
static size_t gap_of(const struct slab *slab)
{
    return round_up(slab->used, JOURNAL_BLOCK) - slab->used;
}

void group_close(struct journal *j)
{
    struct group *group = j->open;
    struct piece *piece = &group->pieces[group->n_pieces - 1];
    size_t gap = gap_of(j->slab);

    memset(piece->from + piece->len, 0, gap);
    piece->len += gap;
    j->slab->used += (uint32_t)gap;
    j->open = NULL;
    enqueue(j, group);
}

static void begin_group(struct journal *j, size_t record_size)
{
    struct group *group = group_new(j);
    j->slab = slabs_for(j->slabs, JOURNAL_GROUP_HEADER + record_size, JOURNAL_BLOCK);
    j->slab->used += (uint32_t)gap_of(j->slab);
    group->header = add_piece(group, j->slab, j->slab->used, JOURNAL_GROUP_HEADER)->from;
    j->slab->used += JOURNAL_GROUP_HEADER;
    j->open = group;
    loop_defer(j->loop, LOOP_SUBMIT, &j->submit);
}

/* Goes on in another slab. */
static void next_piece(struct journal *j, size_t record_size)
{
    struct group *group = j->open;
    struct piece *piece = &group->pieces[group->n_pieces - 1];
    size_t gap = gap_of(j->slab);

    if (gap > 0) {
        journal_pad_encode(piece->from + piece->len, gap);
        piece->len += gap;
        j->slab->used += (uint32_t)gap;
        group->len += gap;
        group->n_records++;
    }
    j->slab = slabs_for(j->slabs, record_size, JOURNAL_BLOCK);
    check(j->slab->used == 0);
    add_piece(group, j->slab, 0, 0);
}

/* ---- records ----------------------------------------------------------------------------------*/

size_t journal_payload_max(const struct journal *j)
{
    return j->group_max - JOURNAL_GROUP_HEADER - JOURNAL_PART_HEADER - JOURNAL_ALIGN;
}

/* Writes a part's headers: they end where the block does, so that the batch's bytes follow. */
static void encode_part(struct group *group, const struct journal_record *part)
{
    enum { PAD = JOURNAL_BLOCK - JOURNAL_GROUP_HEADER - JOURNAL_PART_HEADER };
    memset(group->header, 0, JOURNAL_BLOCK);
    journal_pad_encode(group->header + JOURNAL_GROUP_HEADER, PAD);
    journal_record_encode(part, group->header + JOURNAL_GROUP_HEADER + PAD);
    group->len = PAD + journal_record_size(JOURNAL_PART, part->payload.len);
    group->n_records = 2;
}

static void add_parts(struct journal *j, const struct journal_record *record,
                      struct journal_place *ret_place)
{
    size_t len = record->payload.len, padded = round_up(len, JOURNAL_BLOCK);
    size_t part_max = j->group_max / JOURNAL_BLOCK * JOURNAL_BLOCK - JOURNAL_BLOCK;
    size_t n = (len + part_max - 1) / part_max;

    if (j->open != NULL) {
        group_close(j);
    }
    struct slab *slab = slabs_for(j->slabs, padded + n * JOURNAL_BLOCK, JOURNAL_BLOCK);
    uint32_t at = slab->used + (uint32_t)gap_of(slab);
    uint8_t *data = slab->blob->data + at;
    memcpy(data, record->payload.data, len);
    memset(data + len, 0, padded - len);
    slab->used = at + (uint32_t)(padded + n * JOURNAL_BLOCK);

    for (size_t i = 0; i < n; i++) {
        struct group *group = group_new(j);
        struct journal_record part = *record;
        part.kind = JOURNAL_PART;
        part.total = len;
        part.at = i * part_max;
        part.payload = bytes_of(data + part.at, min_u64(part_max, len - part.at));
        group->header =
            add_piece(group, slab, at + padded + i * JOURNAL_BLOCK, JOURNAL_BLOCK)->from;
        add_piece(group, slab, at + part.at, round_up(part.payload.len, JOURNAL_BLOCK));
        encode_part(group, &part);
        enqueue(j, group);
        j->latest = group;
    }
    j->slab = slab;
    *ret_place = (struct journal_place){ slab, at, j->latest->lsn };
}

void journal_add(struct journal *j, const struct journal_record *record,
                 struct journal_place *ret_place)
{
    size_t len = record->payload.len, header = journal_record_header(record->kind);
    size_t size = journal_record_size(record->kind, len);

    if (len > journal_payload_max(j)) {
        check(record->kind == JOURNAL_APPEND);
        add_parts(j, record, ret_place);
        return;
    }
    if (j->open != NULL && JOURNAL_GROUP_HEADER + j->open->len + size > j->group_max) {
        group_close(j);
    }
    if (j->open == NULL) {
        begin_group(j, size);
    } else if (j->slab->used + size > j->slab->blob->len) {
        next_piece(j, size);
    }
    struct group *group = j->open;
    uint8_t *to = j->slab->blob->data + j->slab->used;
    journal_record_encode(record, to);
    if (len > 0) {
        memcpy(to + header, record->payload.data, len);
    }
    memset(to + header + len, 0, size - header - len);
    *ret_place = (struct journal_place){ j->slab, j->slab->used + (uint32_t)header, group->lsn };
    j->slab->used += (uint32_t)size;
    group->pieces[group->n_pieces - 1].len += size;
    group->len += size;
    group->n_records++;
    j->latest = group;
}

void journal_mark(struct journal *j, struct journal_owner *owner, int64_t end)
{
    struct group *group = j->latest;
    if (owner->lsn == group->lsn) {
        group->marks[owner->mark].end = end;
        return;
    }
    group->marks =
        mem_grow(group->marks, &group->cap_marks, group->n_marks + 1, sizeof *group->marks);
    owner->lsn = group->lsn;
    owner->mark = (uint32_t)group->n_marks;
    group->marks[group->n_marks++] = (struct journal_mark){ owner, end };
}

uint64_t journal_seal(struct journal *j)
{
    if (j->open != NULL) {
        group_close(j);
    }
    return j->next_lsn - 1;
}

uint64_t journal_durable_lsn(const struct journal *j)
{
    return j->durable_lsn;
}
