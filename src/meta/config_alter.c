/* Changes of settings, checked as a whole before any of them counts.
 *
 * The operations are sorted by name, so that a name that comes twice is seen and the result is the
 * same on every node. Each becomes a new value in its one way of writing, or a removal; what does
 * not differ from what is set already is left out. In the end the settings are looked at together,
 * as they would be afterwards.
 *
 * Removing never fails on account of the name: a setting that an older version knew must be
 * removable. A message never repeats a secret. */
#include <chronik/meta/config.h>

struct alter {
    const struct config_target *target;
    struct arena *arena;
    struct config_changes changes;
    struct text message;
};

/* A message repeats so much of a name or value that a client sent, and no more. */
enum { SHOWN_MAX = 200 };

#define REFUSE(a, error, ...) ((a)->message = arena_printf((a)->arena, __VA_ARGS__), (error))

static int by_name(const void *a, const void *b)
{
    const struct config_op *x = a, *y = b;
    return text_compare(x->name, y->name);
}

/* The layers with the target's own one replaced by `own`. */
static struct config_layers layers_with(const struct config_target *target,
                                        const struct image_configs *own)
{
    struct config_layers layers = *target->below;
    if (target->scope == CONFIG_TOPIC) {
        layers.topic = own;
    } else if (target->all_brokers) {
        layers.broker = NULL;
        layers.cluster = own;
    } else {
        layers.broker = own;
    }
    return layers;
}

static const char *scope_name(const struct config_target *target)
{
    return target->scope == CONFIG_TOPIC ? "topic" : "broker";
}

/* May this row be set on this target? */
static enum kafka_error check_row(struct alter *a, const struct config_op *op,
                                  const struct config_def *def)
{
    const struct config_target *target = a->target;
    if (def == NULL) {
        const char *why = target->scope == CONFIG_BROKER ? config_kafka_only(op->name) : NULL;
        return REFUSE(a, KAFKA_INVALID_CONFIG, "Unknown %s config name: %.*s.%s%s",
                      scope_name(target), TEXT_ARG(text_head(op->name, SHOWN_MAX)), why ? " " : "",
                      why ? why : "");
    }
    if (def->update == CONFIG_STATIC) {
        return REFUSE(a, KAFKA_INVALID_REQUEST,
                      "%s cannot be changed at run time: set it in the properties file and restart "
                      "the broker.",
                      def->name);
    }
    if (def->update == CONFIG_PER_BROKER && target->all_brokers) {
        return REFUSE(a, KAFKA_INVALID_REQUEST,
                      "%s cannot be set for all brokers: name one broker.", def->name);
    }
    return KAFKA_NONE;
}

/* Parses into the arena. */
static enum kafka_error parse(struct alter *a, const struct config_def *def, struct text value,
                              struct text *ret_value)
{
    struct buf out = { 0 };
    enum kafka_error error = KAFKA_NONE;
    bool ok = config_parse(def, value, &out);
    buf_put_u8(&out, '\0');
    struct text t = text_of((char *)out.data);
    if (ok) {
        *ret_value = arena_text(a->arena, t);
    } else if (def->type == CONFIG_PASSWORD) {
        error = REFUSE(a, KAFKA_INVALID_CONFIG, "Invalid value of %s: %s.", def->name, t.data);
    } else {
        error = REFUSE(a, KAFKA_INVALID_CONFIG, "Invalid value %.*s of %s: %s.",
                       TEXT_ARG(text_head(value, SHOWN_MAX)), def->name, t.data);
    }
    buf_release(&out);
    return error;
}

static bool has_word(struct text list, struct text word)
{
    while (list.data != NULL) {
        if (text_equal(text_trim(text_cut(&list, ',')), word)) {
            return true;
        }
    }
    return false;
}

/* `list` without the words of `words`, or with them behind. Duplicates go when it is parsed. */
static struct text edit_list(struct alter *a, struct text list, bool append, struct text words)
{
    struct buf out = { 0 };
    if (append) {
        buf_printf(&out, "%.*s%s%.*s", TEXT_ARG(list), list.len > 0 ? "," : "", TEXT_ARG(words));
        list = TEXT_NULL;
    }
    while (list.data != NULL) {
        struct text word = text_trim(text_cut(&list, ','));
        if (word.len > 0 && !has_word(words, word)) {
            buf_printf(&out, "%s%.*s", out.len > 0 ? "," : "", TEXT_ARG(word));
        }
    }
    buf_put_u8(&out, 0);
    struct text result = arena_text(a->arena, text_of((char *)out.data));
    buf_release(&out);
    return result;
}

/* What the operation makes of the setting: a value, or null for "not set". */
static enum kafka_error outcome(struct alter *a, const struct config_op *op, struct text *ret_value)
{
    const struct config_def *def = config_find(a->target->scope, op->name);
    struct text value = op->value;
    if (op->kind == CONFIG_DELETE) {
        *ret_value = TEXT_NULL;
        return KAFKA_NONE;
    }
    enum kafka_error error = check_row(a, op, def);
    if (error != KAFKA_NONE) {
        return error;
    }
    if (op->kind != CONFIG_SET) {
        if (def->type != CONFIG_LIST) {
            return REFUSE(a, KAFKA_INVALID_CONFIG,
                          "%s is not a list: nothing can be added to it or taken from it.",
                          def->name);
        }
        struct config_layers layers = layers_with(a->target, a->target->own);
        struct config_description now;
        config_describe(def, &layers, a->arena, &now);
        value = edit_list(a, now.value.data ? now.value : text_of(""), op->kind == CONFIG_APPEND,
                          op->value);
    }
    return parse(a, def, value, ret_value);
}

static enum kafka_error check_op(struct alter *a, const struct config_op *op,
                                 const struct config_op *before)
{
    struct text name = text_head(op->name, SHOWN_MAX);
    if (op->kind < CONFIG_SET || op->kind > CONFIG_SUBTRACT) {
        return REFUSE(a, KAFKA_INVALID_REQUEST, "Unknown operation %d on %.*s.", op->kind,
                      TEXT_ARG(name));
    }
    if (before != NULL && text_equal(before->name, op->name)) {
        return REFUSE(a, KAFKA_INVALID_REQUEST, "%.*s is named twice.", TEXT_ARG(name));
    }
    if (op->kind != CONFIG_DELETE && op->value.data == NULL) {
        return REFUSE(a, KAFKA_INVALID_REQUEST, "%.*s has no value: delete it to get the default.",
                      TEXT_ARG(name));
    }
    return KAFKA_NONE;
}

/* Settings that must fit each other, as they would be afterwards. */
static enum kafka_error check_together(struct alter *a)
{
    struct image_configs after = { 0 };
    struct topic_config config;
    const struct image_configs *own = a->target->own;
    for (size_t i = 0; own != NULL && i < own->n; i++) {
        config_set_put(&after, text_of(own->items[i].name), text_of(own->items[i].value));
    }
    for (size_t i = 0; i < a->changes.n; i++) {
        struct config_change *c = &a->changes.items[i];
        if (c->value.data != NULL) {
            config_set_put(&after, c->name, c->value);
        } else {
            config_set_remove(&after, c->name);
        }
    }
    struct config_layers layers = layers_with(a->target, &after);
    topic_config_resolve(&layers, &config);
    config_set_release(&after);
    if (config.min_compaction_lag_ms > config.max_compaction_lag_ms) {
        return REFUSE(a, KAFKA_INVALID_CONFIG,
                      "min.compaction.lag.ms (%lld ms) must not be above max.compaction.lag.ms "
                      "(%lld ms).",
                      (long long)config.min_compaction_lag_ms,
                      (long long)config.max_compaction_lag_ms);
    }
    return KAFKA_NONE;
}

static enum kafka_error run(struct alter *a, const struct config_op *ops, size_t n_ops)
{
    struct config_op *sorted = arena_dup(a->arena, ops, n_ops * sizeof *ops);
    a->changes.items = arena_zalloc_array(a->arena, n_ops, sizeof *a->changes.items);
    qsort(sorted, n_ops, sizeof *sorted, by_name);
    for (size_t i = 0; i < n_ops; i++) {
        struct text value = TEXT_NULL;
        enum kafka_error error = check_op(a, &sorted[i], i > 0 ? &sorted[i - 1] : NULL);
        if (error == KAFKA_NONE) {
            error = outcome(a, &sorted[i], &value);
        }
        if (error != KAFKA_NONE) {
            return error;
        }
        if (!text_equal(value, text_of(config_set_get(a->target->own, sorted[i].name)))) {
            a->changes.items[a->changes.n++] = (struct config_change){ sorted[i].name, value };
        }
    }
    return check_together(a);
}

enum kafka_error config_alter(const struct config_target *target, const struct config_op *ops,
                              size_t n_ops, struct arena *arena,
                              struct config_changes *ret_changes, struct text *ret_message)
{
    struct alter a = { .target = target, .arena = arena };
    enum kafka_error error = run(&a, ops, n_ops);
    if (error == KAFKA_NONE) {
        *ret_changes = a.changes;
    } else {
        *ret_message = a.message;
    }
    return error;
}

enum kafka_error config_replace(const struct config_target *target, const struct config_op *sets,
                                size_t n_sets, struct arena *arena,
                                struct config_changes *ret_changes, struct text *ret_message)
{
    size_t n_own = target->own != NULL ? target->own->n : 0, n = 0;
    struct config_op *ops = arena_zalloc_array(arena, n_sets + n_own, sizeof *ops);
    for (; n < n_sets; n++) {
        ops[n] = (struct config_op){ CONFIG_SET, sets[n].name, sets[n].value };
    }
    for (size_t i = 0; i < n_own; i++) {
        struct text name = text_of(target->own->items[i].name);
        bool named = false;
        for (size_t k = 0; k < n_sets && !named; k++) {
            named = text_equal(sets[k].name, name);
        }
        if (!named) {
            ops[n++] = (struct config_op){ CONFIG_DELETE, name, TEXT_NULL };
        }
    }
    return config_alter(target, ops, n, arena, ret_changes, ret_message);
}
