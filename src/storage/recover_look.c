/* What a directory says of itself: identity, checkpoint, which chunks its journal has. Nothing is
 * changed here: recovery begins with this, and so does the dump of a directory that is not ours. */
#include "recover.h"

#include <errno.h>

static const uint64_t IMAGE_BYTES_MAX = UINT64_C(1) << 32;

/* Without an identity, a random one is made up. */
static int load_identity(struct recovery *r, bool *ret_found)
{
    struct store *store = r->store;
    char *path = store_file_path(store, FILE_META_PROPERTIES);
    struct buf content = { 0 };
    int error = file_load(path, KIB(64), &content);
    *ret_found = error == 0;
    if (error == 0) {
        error = meta_properties_decode(buf_bytes(&content), &store->identity);
        if (error != 0) {
            recovery_fail(r, error, "%s cannot be understood; restore it, or move the directory "
                                    "away to start with an empty one", path);
        }
    } else if (error == -ENOENT) {
        store->identity = (struct store_identity){ .node_id = -1 };
        error = 0;
    } else {
        recovery_fail(r, error, "%s cannot be read", path);
    }
    if (uuid_is_zero(&store->identity.directory_id)) {
        store->identity.directory_id = uuid_from_random(r->random);
        *ret_found = false;
    }
    buf_release(&content);
    free(path);
    return error;
}

static void add_from_image(void *arg, struct log *log)
{
    struct recovery *r = arg;
    if (!recovery_add_log(r, log)) {
        r->damage = "the checkpoint names a log twice";
        log_unref(log);
    }
}

static void removal_from_image(void *arg, const struct image_removal *removal)
{
    struct recovery *r = arg;
    r->removals = mem_grow(r->removals, &r->cap_removals, r->n_removals + 1, sizeof *r->removals);
    r->removals[r->n_removals++] = *removal;
}

void recovery_drop_all(struct recovery *r)
{
    map_each (node, &r->store->logs) {
        recovery_drop_log(r, container_of(node, struct log, node));
    }
    r->n_removals = 0;
}

/* Loads the checkpoint. One that is damaged is as good as none, but says so. */
static int load_image(struct recovery *r)
{
    char *path = store_file_path(r->store, CHECKPOINT_FILE);
    struct buf content = { 0 };
    int error = file_load(path, IMAGE_BYTES_MAX, &content);
    if (error == 0) {
        error = image_open(&content, &r->head);
        r->has_image = error == 0;
    }
    if (error == 0) {
        error = image_read(buf_bytes(&content), r->store, add_from_image, removal_from_image, r);
    }
    if (error == -ENOTSUP) {
        recovery_fail(r, error, "%s was written by a newer version; start that one", path);
    } else if (error == -EBADMSG) {
        r->damage = "the checkpoint is damaged";
        r->has_image = false;
        recovery_drop_all(r);
        error = 0;
    } else if (error == -ENOENT) {
        error = 0;
    } else if (error != 0) {
        recovery_fail(r, error, "%s cannot be read", path);
    }
    buf_release(&content);
    free(path);
    return error;
}

/* Does .kafka_cleanshutdown belong to the stop that the checkpoint is of? Who starts on the
 * directory removes the file. */
bool recovery_same_stop(const struct recovery *r)
{
    char *path = store_file_path(r->store, FILE_CLEAN_SHUTDOWN);
    char id[UUID_TEXT_LEN + 1];
    struct buf content = { 0 };
    uuid_format(&r->head.stop_id, id);
    bool same = file_load(path, KIB(64), &content) == 0 &&
                memmem(content.data, content.len, id, UUID_TEXT_LEN) != NULL;
    buf_release(&content);
    free(path);
    return same;
}

static int open_reader(struct recovery *r)
{
    uint64_t first = r->has_image ? r->head.lsn + 1 : 1;
    int error = journal_reader_open(&r->reader, r->journal_dir,
                                    &r->store->identity.directory_id, first);
    if (error == -ENOTSUP) {
        recovery_fail(r, error, "the journal in %s was written by a newer version; start that one",
                      r->journal_dir);
    } else if (error != 0) {
        recovery_fail(r, error, "the journal in %s cannot be read", r->journal_dir);
    }
    if (error == 0 && !r->has_image && r->reader.n_begun > 0) {
        r->reader.first_lsn = r->reader.chunks[0].header.first_lsn;
        journal_reader_rewind(&r->reader);
    }
    return error;
}

int recovery_look(struct recovery *r, bool *ret_known)
{
    int error = load_identity(r, ret_known);
    if (error == 0) {
        error = load_image(r);
    }
    if (error == 0 && r->has_image && !*ret_known) {
        r->store->identity.directory_id = r->head.directory_id;
    }
    return error == 0 ? open_reader(r) : error;
}
