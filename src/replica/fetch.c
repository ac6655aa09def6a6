/* The running fetch.
 *
 * look() walks the dirty entries once: each is read as far as the limits allow; one that has
 * nothing to tell leaves the dirty list until its partition has news. Then the fetch is either
 * done, or it waits for reads under way, for news, or for its time to be up. What was read stays
 * collected in the entries, so that news costs one more read of what is new. */
#include <chronik/replica/fetch.h>

#include <errno.h>

static void end(struct fetch *fetch)
{
    timer_cancel(&fetch->timer);
    loop_task_cancel(&fetch->look);
    fetch->done(fetch);
}

static void tell(struct fetch *fetch, struct fetch_entry *entry)
{
    if (list_empty(&entry->reply)) {
        list_push_back(&fetch->replies, &entry->reply);
    }
}

static void refuse(struct fetch *fetch, struct fetch_entry *entry, enum kafka_error error)
{
    entry->error = error;
    fetch->any_error = true;
    tell(fetch, entry);
}

/* Finds the partition and registers for its news. NULL: refused. */
static struct partition *find(struct fetch *fetch, struct fetch_entry *entry)
{
    struct replicas *r = fetch->replicas;
    struct topic_replicas *topic;
    if (entry->watch.partition != NULL) {
        return entry->watch.partition;
    }
    topic = entry->topic != NULL ? replicas_topic(r, text_of(entry->topic))
                                 : replicas_topic_by_id(r, &entry->topic_id);
    if (topic == NULL) {
        refuse(fetch, entry, entry->topic != NULL ? KAFKA_UNKNOWN_TOPIC_OR_PARTITION
                                                  : KAFKA_UNKNOWN_TOPIC_ID);
        return NULL;
    }
    struct partition *p = topic_partition(topic, entry->index);
    if (p == NULL) {
        refuse(fetch, entry, entry->index < topic->n_partitions && entry->index >= 0
                                 ? KAFKA_NOT_LEADER_OR_FOLLOWER
                                 : KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
        return NULL;
    }
    partition_watch_start(p, &entry->watch);
    return p;
}

/* Has the client's log left ours (KIP-595)? Its last epoch must reach at least up to its offset
 * here. */
static bool diverges(const struct partition *p, struct fetch_entry *entry)
{
    int32_t epoch;
    int64_t end_offset;
    if (entry->last_fetched_epoch < 0) {
        return false;
    }
    log_epoch_end(p->log, entry->last_fetched_epoch, &epoch, &end_offset);
    if (epoch == entry->last_fetched_epoch && end_offset >= entry->offset) {
        return false;
    }
    entry->diverging_epoch = epoch;
    entry->diverging_end = end_offset;
    return true;
}

static enum kafka_error check_offset(const struct partition *p, int64_t offset)
{
    const struct replicas *r = p->replicas;
    if (offset > log_end(p->log) && loop_now_ns(r->loop) > r->trusted_until_ns) {
        return KAFKA_NOT_LEADER_OR_FOLLOWER;
    }
    return offset < log_start_offset(p->log) || offset > log_end(p->log)
               ? KAFKA_OFFSET_OUT_OF_RANGE
               : KAFKA_NONE;
}

/* Should the client read it from another replica? Then it is told at once. */
static bool is_elsewhere(struct fetch *fetch, struct fetch_entry *entry, const struct partition *p)
{
    if (!fetch->replicas->rack_aware || !fetch->any_replica || p->role != PARTITION_LEADER) {
        return false;
    }
    entry->preferred = isr_preferred(p, fetch->rack, entry->offset);
    if (entry->preferred < 0) {
        return false;
    }
    fetch->any_error = true;
    tell(fetch, entry);
    return true;
}

/* Can this entry be read at all? */
static struct partition *admit(struct fetch *fetch, struct fetch_entry *entry)
{
    struct partition *p = find(fetch, entry);
    if (p == NULL) {
        return NULL;
    }
    enum kafka_error error = fetch->any_replica
                                 ? partition_check_replica(p, entry->leader_epoch)
                                 : partition_check_leader(p, entry->leader_epoch);
    if (error == KAFKA_NONE) {
        error = check_offset(p, entry->offset);
    }
    if (error != KAFKA_NONE) {
        refuse(fetch, entry, error);
        return NULL;
    }
    if (diverges(p, entry)) {
        fetch->any_error = true;
        tell(fetch, entry);
        return NULL;
    }
    return is_elsewhere(fetch, entry, p) ? NULL : p;
}

/* Takes the result of a read into the entry. */
static void collect(struct fetch *fetch, struct fetch_entry *entry, int error)
{
    if (error != 0) {
        chain_release(&entry->read.batches);
        refuse(fetch, entry, error == -ERANGE    ? KAFKA_OFFSET_OUT_OF_RANGE
                             : error == -ENOENT ? KAFKA_UNKNOWN_TOPIC_OR_PARTITION
                                                : KAFKA_KAFKA_STORAGE_ERROR);
        return;
    }
    if (entry->read.batches.len > 0) {
        fetch->bytes += entry->read.batches.len;
        entry->next = entry->read.next;
        tell(fetch, entry);
        chain_append(&entry->batches, &entry->read.batches);
    } else {
        fetch->full = true;
    }
    chain_release(&entry->read.batches);
}

static void read_done(struct log_read *read, int error)
{
    struct fetch_entry *entry = container_of(read, struct fetch_entry, read);
    struct fetch *fetch = entry->fetch;
    entry->fetch = NULL;
    fetch->reading--;
    fetch->asked -= read->max_bytes;
    collect(fetch, entry, error);
    loop_defer(fetch->replicas->loop, LOOP_ADVANCE, &fetch->look);
}

/* Reads as much of one entry as the limits leave. False: there is nothing new in it. */
static bool read_entry(struct fetch *fetch, struct fetch_entry *entry)
{
    struct partition *p = admit(fetch, entry);
    if (p == NULL) {
        return true;
    }
    int64_t below = partition_visible_end(p);
    uint64_t used = fetch->bytes + fetch->asked;
    uint64_t room = used < fetch->max_bytes ? fetch->max_bytes - used : 0;
    uint64_t had = entry->batches.len;
    uint64_t own = had < entry->max_bytes ? entry->max_bytes - had : 0;
    bool first = used == 0;

    if (entry->next >= below) {
        return false;
    }
    if ((room == 0 || own == 0) && !first) {
        return true;
    }
    entry->read.offset = entry->next;
    entry->read.below = below;
    entry->read.max_bytes = min_u64(room, own);
    entry->read.at_least_one = first;
    entry->read.done = read_done;
    int error = log_read(p->log, &entry->read);
    if (error == -EINPROGRESS) {
        entry->fetch = fetch;
        fetch->reading++;
        fetch->asked += entry->read.max_bytes;
        return true;
    }
    collect(fetch, entry, error);
    return true;
}

/* Does the client have to hear of it although there are no records? */
static bool has_moved(const struct fetch_entry *entry)
{
    const struct partition *p = entry->watch.partition;
    return p != NULL && p->log != NULL &&
           (entry->told_high_watermark != p->high_watermark ||
            entry->told_log_start != log_start_offset(p->log));
}

static void look_at_dirty(struct fetch *fetch)
{
    list_each (it, &fetch->session->dirty) {
        struct fetch_entry *entry = container_of(it, struct fetch_entry, dirty);
        if (entry->fetch != NULL || entry->error != KAFKA_NONE || entry->diverging_epoch >= 0 ||
            entry->preferred >= 0) {
            continue;
        }
        if (!read_entry(fetch, entry) && entry->batches.len == 0) {
            list_remove(&entry->dirty);
            if (has_moved(entry)) {
                tell(fetch, entry);
            }
        }
    }
}

static bool is_enough(const struct fetch *fetch)
{
    return fetch->bytes >= fetch->min_bytes || fetch->any_error || fetch->expired ||
           (fetch->full && fetch->bytes > 0);
}

/* Everything that is there is looked at once, and again whenever that was not enough. */
static void look(struct loop_task *task)
{
    struct fetch *fetch = container_of(task, struct fetch, look);
    if (!fetch->looked || (fetch->reading == 0 && !is_enough(fetch))) {
        fetch->looked = true;
        look_at_dirty(fetch);
    }
    if (fetch->reading > 0) {
        return;
    }
    if (is_enough(fetch)) {
        end(fetch);
    } else if (!timer_is_set(&fetch->timer)) {
        timer_set_in(&fetch->timer, fetch->wait_ns);
    }
}

void fetch_hurry(struct fetch *fetch)
{
    fetch->expired = true;
    loop_defer(fetch->replicas->loop, LOOP_ADVANCE, &fetch->look);
}

static void time_is_up(struct timer *timer)
{
    fetch_hurry(container_of(timer, struct fetch, timer));
}

void fetch_start(struct fetch *fetch)
{
    struct fetch_session *session = fetch->session;
    check(session->running == NULL);
    session->running = fetch;
    session->used_ns = loop_now_ns(fetch->replicas->loop);
    list_init(&fetch->replies);
    fetch->reading = 0;
    fetch->bytes = fetch->asked = 0;
    fetch->looked = fetch->any_error = fetch->full = false;
    fetch->expired = fetch->wait_ns == 0;
    timer_init(&fetch->timer, fetch->replicas->loop, time_is_up);
    loop_task_init(&fetch->look, look);
    loop_defer(fetch->replicas->loop, LOOP_ADVANCE, &fetch->look);
}

void fetch_finish(struct fetch *fetch)
{
    struct fetch_session *session = fetch->session;
    struct list *it;

    while ((it = list_pop_front(&fetch->replies)) != NULL) {
        struct fetch_entry *entry = container_of(it, struct fetch_entry, reply);
        entry->error = KAFKA_NONE;
        entry->diverging_epoch = entry->preferred = -1;
        entry->next = entry->offset;
        chain_release(&entry->batches);
        if (!list_empty(&entry->dirty)) { /* behind those that got no turn */
            list_remove(&entry->dirty);
            list_push_back(&session->dirty, &entry->dirty);
        }
    }
    session->running = NULL;
}
