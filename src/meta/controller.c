/* The table of requests, and decisions as bytes. */
#include "controller.h"

#include <chronik/wire/codec.h>

/* ---- items ------------------------------------------------------------------------------------*/

static size_t one_item(const void *request)
{
    (void)request;
    return 1;
}

#define COUNT_ITEMS(name, array)                                                                   \
    static size_t name##_items(const void *request)                                                \
    {                                                                                              \
        return (size_t)((const struct meta_##name##_request *)request)->n_##array;                 \
    }

COUNT_ITEMS(create_topics, topics)
COUNT_ITEMS(delete_topics, topics)
COUNT_ITEMS(create_partitions, topics)
COUNT_ITEMS(change_configs, resources)

/* The topics, and the directory itself. */
static size_t report_directory_items(const void *request)
{
    return (size_t)((const struct meta_report_directory_request *)request)->n_topics + 1;
}

/* ---- results ----------------------------------------------------------------------------------*/

#define SETTLE_TOPIC(name)                                                                         \
    static void settle_##name(void *response, size_t item, struct apply_result result)             \
    {                                                                                              \
        struct meta_##name##_response *r = response;                                               \
        r->topics[item].error = (int16_t)result.error;                                             \
        r->topics[item].message = error_text(result.error);                                        \
    }

#define SETTLE_WHOLE(name)                                                                         \
    static void settle_##name(void *response, size_t item, struct apply_result result)             \
    {                                                                                              \
        struct meta_##name##_response *r = response;                                               \
        (void)item;                                                                                \
        r->error = (int16_t)result.error;                                                          \
        r->message = error_text(result.error);                                                     \
    }

static struct text error_text(enum kafka_error error)
{
    return error == KAFKA_NONE ? TEXT_NULL : text_of(kafka_error_text(error));
}

SETTLE_TOPIC(create_topics)
SETTLE_TOPIC(delete_topics)
SETTLE_TOPIC(create_partitions)
SETTLE_WHOLE(broker_state)
SETTLE_WHOLE(set_features)

static void settle_register_broker(void *response, size_t item, struct apply_result result)
{
    struct meta_register_broker_response *r = response;
    (void)item;
    r->error = (int16_t)result.error;
    r->message = error_text(result.error);
    r->epoch = result.value;
}

static void settle_change_configs(void *response, size_t item, struct apply_result result)
{
    struct meta_change_configs_response *r = response;
    r->resources[item].error = (int16_t)result.error;
    r->resources[item].message = error_text(result.error);
}

/* All partitions that were not refused before are in one command. */
static void settle_change_isr(void *response, size_t item, struct apply_result result)
{
    struct meta_change_isr_response *r = response;
    (void)item;
    for (int32_t i = 0; i < r->n_partitions; i++) {
        if (r->partitions[i].error == KAFKA_NONE) {
            r->partitions[i].error = (int16_t)result.error;
        }
    }
}

/* All changes of a request's partitions are in one command: those that were not refused share its
 * result. */
#define SETTLE_PARTITIONS(name)                                                                    \
    static void settle_##name(void *response, size_t item, struct apply_result result)             \
    {                                                                                              \
        struct meta_##name##_response *r = response;                                               \
        (void)item;                                                                                \
        for (int32_t t = 0; t < r->n_topics; t++) {                                                \
            for (int32_t i = 0; i < r->topics[t].n_partitions; i++) {                              \
                if (r->topics[t].partitions[i].error == KAFKA_NONE) {                              \
                    r->topics[t].partitions[i].error = (int16_t)result.error;                      \
                    r->topics[t].partitions[i].message = error_text(result.error);                 \
                }                                                                                  \
            }                                                                                      \
        }                                                                                          \
    }

SETTLE_PARTITIONS(elect_leaders)
SETTLE_PARTITIONS(reassign)

static void settle_allocate_producer_ids(void *response, size_t item, struct apply_result result)
{
    struct meta_allocate_producer_ids_response *r = response;
    (void)item;
    r->error = (int16_t)result.error;
    r->first = result.value;
}

/* A topic that was refused only when it was applied lost its name to another one in between. */
static void settle_report_directory(void *response, size_t item, struct apply_result result)
{
    struct meta_report_directory_response *r = response;
    (void)item;
    if (result.error != KAFKA_NONE && r->error == KAFKA_NONE) {
        r->error = (int16_t)result.error;
        r->message = error_text(result.error);
    }
}

/* ---- the table --------------------------------------------------------------------------------*/

static const struct request_row {
    enum decide_result (*decide)(struct controller *c, const void *request, struct decision *d,
                                 void *response);
    size_t (*items)(const void *request);
    void (*settle)(void *response, size_t item, struct apply_result result);
} REQUESTS[] = {
#define ROW(kind, name, items) [kind] = { decide_##name, items, settle_##name }
    ROW(META_REGISTER_BROKER, register_broker, one_item),
    ROW(META_BROKER_STATE, broker_state, one_item),
    ROW(META_CREATE_TOPICS, create_topics, create_topics_items),
    ROW(META_DELETE_TOPICS, delete_topics, delete_topics_items),
    ROW(META_CREATE_PARTITIONS, create_partitions, create_partitions_items),
    ROW(META_CHANGE_CONFIGS, change_configs, change_configs_items),
    ROW(META_CHANGE_ISR, change_isr, one_item),
    ROW(META_ALLOCATE_PRODUCER_IDS, allocate_producer_ids, one_item),
    ROW(META_REPORT_DIRECTORY, report_directory, report_directory_items),
    ROW(META_SET_FEATURES, set_features, one_item),
    ROW(META_ELECT_LEADERS, elect_leaders, one_item),
    ROW(META_REASSIGN, reassign, one_item),
#undef ROW
};

const struct wire_api *meta_request_schema(enum meta_request_kind kind)
{
    unsigned i = (unsigned)kind - 1; /* the schemas are in the order of their keys */
    return i < meta_request_count && meta_requests[i]->key == (int16_t)kind ? meta_requests[i]
                                                                            : NULL;
}

size_t meta_request_items(enum meta_request_kind kind, const void *request)
{
    return REQUESTS[kind].items(request);
}

void meta_response_settle(enum meta_request_kind kind, void *response, size_t item,
                          struct apply_result result)
{
    REQUESTS[kind].settle(response, item, result);
}

enum decide_result controller_decide(struct controller *c, enum meta_request_kind kind,
                                     const void *request, struct decision *d, void **ret_response)
{
    const struct wire_struct *s = meta_request_schema(kind)->response;
    void *response = arena_zalloc(d->arena, s->size);
    wire_defaults(s, response);
    *ret_response = response;
    return REQUESTS[kind].decide(c, request, d, response);
}

/* ---- decisions --------------------------------------------------------------------------------*/

void decision_init(struct decision *d, struct arena *arena, const struct command_id *id,
                   size_t n_items)
{
    *d = (struct decision){ .arena = arena, .id = *id, .n_items = n_items };
    d->waits = arena_zalloc_array(arena, n_items, sizeof *d->waits);
}

void decision_release(struct decision *d)
{
    free(d->commands);
    d->commands = NULL;
    d->n = d->cap = 0;
}

static struct bytes encode(struct arena *arena, const struct wire_struct *s, const void *in)
{
    struct chain chain = { 0 };
    wire_encode(s, 0, true, in, &chain);
    uint8_t *copy = arena_alloc(arena, chain.len);
    chain_copy(&chain, copy);
    struct bytes bytes = bytes_of(copy, chain.len);
    chain_release(&chain);
    return bytes;
}

void decision_add(struct decision *d, enum command_kind kind, int item, const void *command)
{
    struct command_entry_command c = command_entry_command_default;
    c.kind = (int16_t)kind;
    c.body = encode(d->arena, meta_commands[kind]->request, command);
    if (item >= 0) {
        c.node = d->id.node;
        c.incarnation = d->id.incarnation;
        c.sequence = d->id.sequence + item;
        c.open = d->id.open;
        d->waits[item] = true;
    }
    d->commands = mem_grow(d->commands, &d->cap, d->n + 1, sizeof *d->commands);
    d->commands[d->n++] = c;
}

bool decision_repeats(struct controller *c, struct decision *d, size_t item)
{
    struct apply_result result;
    struct command_id id = d->id;
    id.sequence += (int64_t)item;
    if (image_find_result(c->image, &id, &result)) {
        d->waits[item] = true;
        return true;
    }
    return false;
}

void decision_encode(const struct decision *d, uint64_t base, struct buf *to)
{
    const struct command_entry entry = { .base = (int64_t)base,
                                         .commands = d->commands,
                                         .n_commands = (int32_t)d->n };
    struct chain chain = { 0 };
    wire_encode(meta_command_entry.request, 0, true, &entry, &chain);
    chain_copy(&chain, buf_reserve(to, chain.len));
    to->len += chain.len;
    buf_put_zeros(to, round_up(chain.len, 8) - chain.len);
    chain_release(&chain);
}

/* ---- for the parts ----------------------------------------------------------------------------*/

struct config_layers controller_layers(const struct controller *c)
{
    return config_layers_of(c->image, c->node_id, c->file);
}

bool controller_epoch_is(const struct controller *c, const struct decision *d, int64_t epoch)
{
    const struct image_broker *b = image_broker(c->image, d->id.node);
    return b != NULL && b->epoch == epoch && uuid_equal(&b->incarnation, &d->id.incarnation);
}

struct numbered_name {
    struct text name;
    size_t number;
};

static int by_name(const void *a, const void *b)
{
    const struct numbered_name *x = a, *y = b;
    return text_compare(x->name, y->name);
}

bool *find_repeated(struct arena *arena, const struct text *names, size_t n)
{
    struct numbered_name *sorted = arena_zalloc_array(arena, n, sizeof *sorted);
    bool *repeated = arena_zalloc_array(arena, n, sizeof *repeated);
    for (size_t i = 0; i < n; i++) {
        sorted[i] = (struct numbered_name){ names[i], i };
    }
    qsort(sorted, n, sizeof *sorted, by_name);
    for (size_t i = 1; i < n; i++) {
        if (sorted[i].name.data != NULL && text_equal(sorted[i - 1].name, sorted[i].name)) {
            repeated[sorted[i - 1].number] = repeated[sorted[i].number] = true;
        }
    }
    return repeated;
}

bool broker_usable(const struct image *image, int32_t id)
{
    const struct image_broker *b = image_broker(image, id);
    return b != NULL && !b->fenced && !b->stopping;
}

static const struct controller_voter *find_voter(const struct controller *c, int32_t id)
{
    for (unsigned i = 0; i < c->n_voters; i++) {
        if (c->voters[i].id == id) {
            return &c->voters[i];
        }
    }
    return NULL;
}

bool controller_misses(const struct controller *c, const struct image_broker *broker)
{
    const struct controller_voter *v = find_voter(c, broker->id);
    return v != NULL && (v->gone || (!uuid_is_zero(&v->incarnation) &&
                                     !uuid_equal(&v->incarnation, &broker->incarnation)));
}

void controller_elector(const struct controller *c, struct decision *d, struct elector *ret_e)
{
    struct config_layers layers = controller_layers(c);
    elector_init(ret_e, c->image, d->arena, &layers);
    ret_e->ends = c->ends;
    ret_e->n_ends = c->n_ends;
    ret_e->hurried = c->hurried;
    for (size_t i = 0; i < image_broker_count(c->image); i++) {
        const struct image_broker *b = image_broker_at(c->image, i);
        const struct controller_voter *v = find_voter(c, b->id);
        if (controller_misses(c, b)) {
            elector_take_down(ret_e, b->id);
        } else if (v != NULL && v->silent) {
            elector_doubt(ret_e, b->id);
        }
    }
}

void controller_add_changes(struct controller *c, struct decision *d, struct elector *e)
{
    c->elects = c->elects || e->waits;
    if (e->n > 0) {
        struct command_change_partitions changes = elector_command(e);
        decision_add(d, COMMAND_CHANGE_PARTITIONS, -1, &changes);
    }
    elector_release(e);
}

/* ---- what only the controller knows -----------------------------------------------------------*/

void controller_forget(struct controller *c)
{
    for (size_t i = 0; i < c->n_ends; i++) {
        free(c->ends[i].items);
    }
    c->n_hellos = 0;
    c->n_ends = 0;
    c->impatient = c->hurried = c->balances = c->came_in_sync = false;
    c->elects = true;
}

void controller_note_ends(struct controller *c, int32_t node,
                          const struct meta_broker_state_request *request)
{
    size_t at = 0, n = (size_t)request->n_ends;
    while (at < c->n_ends && c->ends[at].broker != node) {
        at++;
    }
    if (at == CONTROLLER_VOTERS_MAX) {
        return;
    }
    if (at == c->n_ends) {
        c->ends[c->n_ends++] = (struct log_ends){ .broker = node };
    }
    struct log_ends *ends = &c->ends[at];
    ends->epoch = request->epoch;
    ends->n = n;
    ends->items = mem_realloc_array(ends->items, n, sizeof *ends->items);
    for (size_t i = 0; i < n; i++) {
        const struct meta_broker_state_request_end *from = &request->ends[i];
        ends->items[i] = (struct log_end){ .topic_id = from->topic_id,
                                           .partition = from->partition,
                                           .last_epoch = from->last_epoch,
                                           .offset = from->end_offset };
    }
    if (n > 0) {
        qsort(ends->items, n, sizeof *ends->items, log_end_compare);
    }
}
