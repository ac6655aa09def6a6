/* Topic names: letters, digits, '.', '_' and '-', at most 249 of them; not "." and ".."; and no two
 * that differ in '.' and '_' only, since metrics write both as '_'. (Kafka documentation, "Adding
 * and removing topics".) */
#include "topic_name.h"

struct metric_name {
    char *metric;
    const char *topic;
};

static bool char_allowed(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
}

static char *in_metrics(struct arena *arena, struct text name)
{
    char *metric = arena_alloc(arena, name.len + 1);
    for (size_t i = 0; i < name.len; i++) {
        metric[i] = (char)(name.data[i] == '.' ? '_' : name.data[i]);
    }
    metric[name.len] = '\0';
    return metric;
}

static int by_metric(const void *a, const void *b)
{
    const struct metric_name *x = a, *y = b;
    return strcmp(x->metric, y->metric);
}

static void fill(struct metric_names *taken)
{
    taken->n = image_topic_count(taken->image);
    taken->names = arena_zalloc_array(taken->arena, taken->n + 1, sizeof *taken->names);
    for (size_t i = 0; i < taken->n; i++) {
        const char *name = image_topic_at(taken->image, i)->name;
        taken->names[i].topic = name;
        taken->names[i].metric = in_metrics(taken->arena, text_of(name));
    }
    qsort(taken->names, taken->n, sizeof *taken->names, by_metric);
}

static const char *find_collision(struct metric_names *taken, struct text name)
{
    if (memchr(name.data, '.', name.len) == NULL && memchr(name.data, '_', name.len) == NULL) {
        return NULL;
    }
    if (taken->names == NULL) {
        fill(taken);
    }
    const struct metric_name key = { .metric = in_metrics(taken->arena, name) };
    const struct metric_name *found =
        bsearch(&key, taken->names, taken->n, sizeof key, by_metric);
    return found != NULL ? found->topic : NULL;
}

enum kafka_error topic_name_check(struct text name, struct metric_names *taken,
                                  struct arena *arena, struct text *ret_message)
{
    const char *other;
    size_t good = 0;
    while (good < name.len && char_allowed(name.data[good])) {
        good++;
    }
    if (name.len == 0) {
        *ret_message = text_of("Topic name is invalid: the empty string is not allowed");
    } else if (text_is(name, ".") || text_is(name, "..")) {
        *ret_message = text_of("Topic name is invalid: it cannot be \".\" or \"..\"");
    } else if (name.len > IMAGE_TOPIC_NAME_MAX) {
        *ret_message = arena_printf(arena, "Topic name is invalid: it has %zu characters, %d are "
                                    "allowed", name.len, IMAGE_TOPIC_NAME_MAX);
    } else if (good < name.len) {
        *ret_message = text_of("Topic name is invalid: only ASCII letters and digits, '.', '_' and "
                               "'-' are allowed");
    } else if (taken != NULL && (other = find_collision(taken, name)) != NULL) {
        *ret_message = arena_printf(arena, "Topic '%.*s' collides with existing topic: %s",
                                    TEXT_ARG(name), other);
    } else {
        return KAFKA_NONE;
    }
    return KAFKA_INVALID_TOPIC_EXCEPTION;
}

bool image_name_is_internal(struct text name)
{
    static const char *const INTERNAL[] = { "__consumer_offsets", "__share_group_state",
                                            "__transaction_state" };
    for (size_t i = 0; i < countof(INTERNAL); i++) {
        if (text_is(name, INTERNAL[i])) {
            return true;
        }
    }
    return false;
}
