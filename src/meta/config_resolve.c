/* Which value counts, and where it comes from.
 *
 * trace() walks the layers and, within a layer, the names that a setting is inherited from, and
 * lists every value it meets in order of precedence; the first one counts. Reading a value,
 * describing it and filling a `struct topic_config` are all built on that walk.
 *
 * Values in the layers have passed config_parse(), perhaps that of an older version with other
 * limits: a value that does not parse any more is passed over. */
#include <chronik/meta/config.h>

#include <stdio.h>

/* Topic, three layers of brokers and the default, with each of the names. */
enum { ORIGINS_MAX = 1 + 4 * CONFIG_SYNONYMS_MAX };

/* The values of one setting: `factor[i]` turns the number of origins[i] into one of the setting. */
struct trace {
    struct config_origin origins[ORIGINS_MAX];
    int64_t factor[ORIGINS_MAX];
    size_t n;
};

static void meet(struct trace *trace, const struct config_synonym *as, const char *value,
                 enum config_source source)
{
    if (value != NULL) {
        trace->origins[trace->n] = (struct config_origin){ as->name, text_of(value), source };
        trace->factor[trace->n++] = as->factor;
    }
}

/* The names under which brokers give the setting. */
static size_t broker_names(const struct config_def *def, struct config_synonym names[])
{
    size_t n = 0;
    if (def->scope == CONFIG_BROKER) {
        names[n++] = (struct config_synonym){ def->name, 1 };
    }
    while (def->scope == CONFIG_TOPIC && n < CONFIG_SYNONYMS_MAX && def->synonyms[n].name) {
        names[n] = def->synonyms[n];
        n++;
    }
    return n;
}

static void trace(const struct config_def *def, const struct config_layers *layers,
                  struct trace *ret_trace)
{
    struct config_synonym names[CONFIG_SYNONYMS_MAX], own = { def->name, 1 };
    size_t n = broker_names(def, names);
    const struct image_configs *sets[] = { layers->broker, layers->cluster, layers->file };

    ret_trace->n = 0;
    if (def->scope == CONFIG_TOPIC) {
        meet(ret_trace, &own, config_set_get(layers->topic, text_of(def->name)), CONFIG_FROM_TOPIC);
    }
    for (unsigned s = 0; s < countof(sets); s++) {
        for (size_t i = 0; i < n; i++) {
            meet(ret_trace, &names[i], config_set_get(sets[s], text_of(names[i].name)),
                 (enum config_source)(CONFIG_FROM_BROKER + s));
        }
    }
    for (size_t i = 0; i < n; i++) {
        meet(ret_trace, &names[i], config_find(CONFIG_BROKER, text_of(names[i].name))->value,
             CONFIG_FROM_DEFAULT);
    }
    if (n == 0) {
        meet(ret_trace, &own, def->value, CONFIG_FROM_DEFAULT);
    }
}

/* Writes the number in hours as one in milliseconds; below zero means the same in every unit. */
static void scale(struct buf *value, int64_t factor)
{
    int64_t n;
    if (factor != 1 && text_to_i64(text_part((char *)value->data, value->len), &n)) {
        if (n < 0) {
            n = -1;
        } else if (__builtin_mul_overflow(n, factor, &n)) {
            n = INT64_MAX;
        }
        buf_clear(value);
        buf_printf(value, "%lld", (long long)n);
    }
}

static void clamp(struct buf *value, int32_t n_brokers)
{
    int64_t n;
    if (n_brokers > 0 && text_to_i64(text_part((char *)value->data, value->len), &n) &&
        n > n_brokers) {
        buf_clear(value);
        buf_printf(value, "%d", n_brokers);
    }
}

/* Finds the origin that counts and writes its value as one of `def`; false: there is none. */
static bool effective(const struct config_def *def, const struct config_layers *layers,
                      const struct trace *t, size_t *ret_at, struct buf *value)
{
    struct buf raw = { 0 };
    bool found = false;
    for (size_t i = 0; i < t->n && !found; i++) {
        buf_clear(&raw);
        buf_clear(value);
        buf_put(&raw, t->origins[i].value.data, t->origins[i].value.len);
        scale(&raw, t->factor[i]);
        found = config_parse(def, text_part((char *)raw.data, raw.len), value);
        *ret_at = i;
    }
    if (found && def->clamped) {
        clamp(value, layers->n_brokers);
    }
    buf_release(&raw);
    return found;
}

/* ---- one value --------------------------------------------------------------------------------*/

/* The value in effect; NULL: none. The caller frees it. */
static char *look_up(const struct config_def *def, const struct config_layers *layers)
{
    struct trace t;
    struct buf value = { 0 };
    size_t at;
    trace(def, layers, &t);
    bool found = effective(def, layers, &t, &at, &value);
    buf_put_u8(&value, '\0');
    if (!found) {
        buf_release(&value);
    }
    return (char *)value.data;
}

/* Finds the row; a name that is not in the table, or of another type, is a bug of the caller. */
static const struct config_def *row(enum config_scope scope, const char *name,
                                    enum config_type first, enum config_type last)
{
    const struct config_def *def = config_find(scope, text_of(name));
    check(def != NULL && def->type >= first && def->type <= last);
    return def;
}

static bool bool_of(enum config_scope scope, const char *name, const struct config_layers *layers)
{
    char *value = look_up(row(scope, name, CONFIG_BOOLEAN, CONFIG_BOOLEAN), layers);
    check(value != NULL);
    bool yes = value[0] == 't';
    free(value);
    return yes;
}

static int64_t number_of(enum config_scope scope, const char *name,
                         const struct config_layers *layers)
{
    char *value = look_up(row(scope, name, CONFIG_INT, CONFIG_LONG), layers);
    int64_t n;
    check(value != NULL && text_to_i64(text_of(value), &n));
    free(value);
    return n;
}

static double double_of(enum config_scope scope, const char *name,
                        const struct config_layers *layers)
{
    char *value = look_up(row(scope, name, CONFIG_DOUBLE, CONFIG_DOUBLE), layers);
    check(value != NULL);
    double n = strtod(value, NULL);
    free(value);
    return n;
}

bool config_bool(const struct config_layers *layers, const char *name)
{
    return bool_of(CONFIG_BROKER, name, layers);
}

int64_t config_number(const struct config_layers *layers, const char *name)
{
    return number_of(CONFIG_BROKER, name, layers);
}

double config_double(const struct config_layers *layers, const char *name)
{
    return double_of(CONFIG_BROKER, name, layers);
}

struct text config_text(const struct config_layers *layers, const char *name)
{
    const struct config_def *def = row(CONFIG_BROKER, name, CONFIG_BOOLEAN, CONFIG_PASSWORD);
    struct trace t;
    struct buf value = { 0 };
    size_t at;
    trace(def, layers, &t);
    bool found = effective(def, layers, &t, &at, &value);
    buf_release(&value);
    return found ? t.origins[at].value : TEXT_NULL;
}

/* ---- a topic's settings -----------------------------------------------------------------------*/

/* Where the plain ones go. */
enum field_kind { FIELD_BOOL, FIELD_I32, FIELD_U32, FIELD_I64, FIELD_U64, FIELD_DOUBLE };

struct field {
    const char *name;
    size_t at; /* in struct topic_config */
    enum field_kind kind;
};

static const struct field FIELDS[] = {
#define FIELD(name, member, kind) { name, offsetof(struct topic_config, member), FIELD_##kind }
    FIELD("delete.retention.ms", delete_retention_ms, I64),
    FIELD("file.delete.delay.ms", log.file_delete_delay_ms, I64),
    FIELD("index.interval.bytes", log.index_interval_bytes, U64),
    FIELD("max.compaction.lag.ms", max_compaction_lag_ms, I64),
    FIELD("max.decompressed.message.bytes", max_decompressed_bytes, U32),
    FIELD("max.message.bytes", max_message_bytes, U32),
    FIELD("message.timestamp.after.max.ms", timestamp_after_max_ms, I64),
    FIELD("message.timestamp.before.max.ms", timestamp_before_max_ms, I64),
    FIELD("min.cleanable.dirty.ratio", min_cleanable_dirty_ratio, DOUBLE),
    FIELD("min.compaction.lag.ms", min_compaction_lag_ms, I64),
    FIELD("min.insync.replicas", min_insync_replicas, I32),
    FIELD("retention.bytes", log.retention_bytes, I64),
    FIELD("retention.ms", log.retention_ms, I64),
    FIELD("segment.bytes", log.segment_bytes, U64),
    FIELD("segment.index.bytes", log.segment_index_bytes, U64),
    FIELD("segment.jitter.ms", log.segment_jitter_ms, I64),
    FIELD("segment.ms", log.segment_ms, I64),
    FIELD("unclean.leader.election.enable", unclean_leader_election, BOOL),
#undef FIELD
};

static void fill(const struct field *f, const struct config_layers *layers, void *config)
{
    void *at = (char *)config + f->at;
    if (f->kind == FIELD_BOOL) {
        *(bool *)at = bool_of(CONFIG_TOPIC, f->name, layers);
    } else if (f->kind == FIELD_DOUBLE) {
        *(double *)at = double_of(CONFIG_TOPIC, f->name, layers);
    } else {
        int64_t n = number_of(CONFIG_TOPIC, f->name, layers);
        size_t size = f->kind == FIELD_I32 || f->kind == FIELD_U32 ? sizeof(int32_t) : sizeof n;
        memcpy(at, &n, size); /* little-endian, and the table's ranges fit */
    }
}

static char *topic_text(const char *name, const struct config_layers *layers)
{
    return look_up(row(CONFIG_TOPIC, name, CONFIG_BOOLEAN, CONFIG_PASSWORD), layers);
}

/* compression.type: a codec, or "producer" for whatever a batch comes with. */
static void fill_codec(const char *type, struct topic_config *config)
{
    static const char *const TYPES[] = {
        [CODEC_NONE] = "uncompressed", [CODEC_GZIP] = "gzip", [CODEC_SNAPPY] = "snappy",
        [CODEC_LZ4] = "lz4",           [CODEC_ZSTD] = "zstd",
    };
    config->keep_codec = true;
    for (unsigned c = 0; c < countof(TYPES); c++) {
        if (strcmp(type, TYPES[c]) == 0) {
            config->keep_codec = false;
            config->codec = (enum codec)c;
        }
    }
}

void topic_config_resolve(const struct config_layers *layers, struct topic_config *ret_config)
{
    *ret_config = (struct topic_config){ 0 };
    for (unsigned i = 0; i < countof(FIELDS); i++) {
        fill(&FIELDS[i], layers, ret_config);
    }
    char *policy = topic_text("cleanup.policy", layers);
    char *codec = topic_text("compression.type", layers);
    char *clock = topic_text("message.timestamp.type", layers);
    char *segment_bytes = topic_text("internal.segment.bytes", layers);
    int64_t n;

    ret_config->log.delete_old = config_list_has(text_of(policy), "delete");
    ret_config->log.compact = config_list_has(text_of(policy), "compact");
    fill_codec(codec, ret_config);
    ret_config->log_append_time = strcmp(clock, "LogAppendTime") == 0;
    if (segment_bytes != NULL && text_to_i64(text_of(segment_bytes), &n)) {
        ret_config->log.segment_bytes = (uint64_t)n;
    }
    free(policy);
    free(codec);
    free(clock);
    free(segment_bytes);
}

/* ---- descriptions -----------------------------------------------------------------------------*/

void config_describe(const struct config_def *def, const struct config_layers *layers,
                     struct arena *arena, struct config_description *ret_description)
{
    struct trace t;
    struct buf value = { 0 };
    size_t at = 0;
    bool sensitive = def->type == CONFIG_PASSWORD;
    trace(def, layers, &t);
    bool found = effective(def, layers, &t, &at, &value);
    for (size_t i = 0; i < t.n && sensitive; i++) {
        t.origins[i].value = TEXT_NULL;
    }
    struct config_origin *origins = arena_dup(arena, t.origins, t.n * sizeof *t.origins);
    *ret_description = (struct config_description){
        .def = def,
        .value = TEXT_NULL,
        .source = found ? t.origins[at].source : CONFIG_FROM_DEFAULT,
        .read_only = def->update == CONFIG_STATIC,
        .sensitive = sensitive,
        .origins = origins + (found ? at : 0),
        .n_origins = t.n - (found ? at : 0),
    };
    if (found && !sensitive) {
        buf_put_u8(&value, '\0');
        ret_description->value = arena_text(arena, text_of((char *)value.data));
    }
    buf_release(&value);
}

struct config_layers config_layers_of(const struct image *image, int32_t node_id,
                                      const struct image_configs *file)
{
    char name[12];
    snprintf(name, sizeof name, "%d", node_id);
    return (struct config_layers){
        .broker = image_configs(image, IMAGE_BROKER, text_of(name)),
        .cluster = image_configs(image, IMAGE_BROKER, text_of("")),
        .file = file,
        .n_brokers = (int32_t)image_broker_count(image),
    };
}
