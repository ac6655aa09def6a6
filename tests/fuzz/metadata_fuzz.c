/* The metadata's bytes: entries and snapshots of the image, frames between Raft replicas, and what
 * is in a Raft directory. The first byte chooses. */
#include <chronik/meta/image.h>
#include <chronik/meta/raft_node.h>

#include "../../src/meta/raft_format.h"

#include <errno.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ignore_result(void *arg, const struct command_id *id, struct apply_result result)
{
    (void)arg, (void)id, (void)result;
}

/* An entry that was applied, on an image that is not empty, leaves an image that can be kept. */
static void fuzz_image(struct bytes in, bool snapshot)
{
    struct image *image = NULL, *again;
    if (snapshot && image_decode(in, &image) != 0) {
        return;
    }
    image = image ? image : image_new();
    image_apply(image, image_index(image) + 1, snapshot ? bytes_of(NULL, 0) : in, ignore_result,
                NULL);
    struct buf state = { 0 };
    image_encode(image, &state);
    check(image_decode(buf_bytes(&state), &again) == 0);
    check(image_hash(image) == image_hash(again));
    image_free(again);
    image_free(image);
    buf_release(&state);
}

/* ---- frames -----------------------------------------------------------------------------------*/

struct host {
    uint64_t tickets[8];
    size_t n;
};

static void note(struct host *h, uint64_t ticket)
{
    if (h->n < countof(h->tickets)) {
        h->tickets[h->n++] = ticket;
    }
}

static void save_vote(void *h, uint64_t ticket, uint64_t term, uint64_t vote)
{
    (void)term, (void)vote;
    note(h, ticket);
}

static void write_log(void *h, uint64_t ticket, uint64_t first, const struct raft_item *items,
                      size_t n)
{
    (void)first, (void)items, (void)n;
    note(h, ticket);
}

static void write_snapshot(void *h, uint64_t ticket, const struct raft_image *snapshot,
                           uint64_t keep_from, bool install)
{
    (void)snapshot, (void)keep_from, (void)install;
    note(h, ticket);
}

static void send_frame(void *h, uint64_t peer, struct chain *frame)
{
    (void)h, (void)peer, (void)frame;
}

static void apply(void *h, uint64_t index, const struct raft_item *item)
{
    (void)h, (void)index, (void)item;
}

static void restore(void *h, const struct raft_image *snapshot)
{
    (void)h, (void)snapshot;
}

static void take_snapshot(void *h, struct buf *to)
{
    (void)h, (void)to;
}

static void role_changed(void *h, const struct raft_role *role)
{
    (void)h, (void)role;
}

static const struct raft_host HOST = { save_vote, write_log, write_snapshot, send_frame,
                                       apply,     restore,   take_snapshot,  role_changed };

/* Frames with their lengths in front, from one peer, to a fresh member of a group of three. */
static void fuzz_frames(struct bytes in)
{
    struct raft_member members[3] = { { 1, "1", RAFT_MEMBER_VOTER },
                                      { 2, "2", RAFT_MEMBER_VOTER },
                                      { 3, "3", RAFT_MEMBER_VOTER } };
    struct host host = { .n = 0 };
    struct buf first = { 0 };
    struct raft_node *node;
    raft_node_bootstrap(members, 3, &first);
    const struct raft_item item = { 1, RAFT_ENTRY_MEMBERS, buf_bytes(&first) };
    const struct raft_disk_state disk = { .term = 1, .first = 1, .items = &item, .n_items = 1 };
    const struct raft_node_config config = { .id = 2, .seed = 1 };
    int error = raft_node_open(&config, &HOST, &host, &disk, 1, &node);
    buf_release(&first);
    check(error == 0);
    while (in.len > 0 && (error == 0 || error == -EBADMSG)) {
        size_t len = (size_t)min_u64(in.data[0], in.len - 1);
        error = raft_node_receive(node, 1, 1, 1, bytes_part(in, 1, len));
        in = bytes_part(in, 1 + len, in.len - 1 - len);
        while (host.n > 0 && error == 0) {
            uint64_t ticket = host.tickets[0];
            memmove(host.tickets, host.tickets + 1, --host.n * sizeof host.tickets[0]);
            error = raft_node_written(node, 1, ticket);
        }
    }
    raft_node_close(node);
}

static void fuzz_files(struct bytes in)
{
    struct raft_vote_head vote;
    struct raft_segment_head segment;
    struct raft_group_head group;
    struct raft_snapshot_head snapshot;
    struct raft_image image;
    struct bytes body;
    raft_vote_get(in, &vote);
    raft_segment_get(in, &segment);
    raft_group_get(in, 0, &group, &body);
    raft_snapshot_get(in, &snapshot, &image);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct bytes in = bytes_of(data + 1, size - 1);
    switch (data[0] % 4) {
    case 0:
        fuzz_image(in, false);
        break;
    case 1:
        fuzz_image(in, true);
        break;
    case 2:
        fuzz_frames(in);
        break;
    default:
        fuzz_files(in);
    }
    return 0;
}
