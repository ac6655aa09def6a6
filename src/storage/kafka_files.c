/* The small files and the file names of a Kafka log directory.
 *
 * Everything is parsed strictly enough that what is written back names the same thing: a file or
 * directory whose name would come out differently (a sign, a leading zero, a capital hex digit) is
 * not taken for ours. */
#include <chronik/storage/kafka_files.h>

#include <chronik/base/properties.h>
#include <chronik/storage/store.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

/* ---- names ------------------------------------------------------------------------------------*/

static const char *const KIND_SUFFIX[LOG_FILE_KINDS] = {
    [LOG_FILE_SEGMENT] = ".log",          [LOG_FILE_INDEX] = ".index",
    [LOG_FILE_TIME_INDEX] = ".timeindex", [LOG_FILE_TXN_INDEX] = ".txnindex",
    [LOG_FILE_SNAPSHOT] = ".snapshot",    [LOG_FILE_WINDOW] = ".window",
};

static const char *const STATE_SUFFIX[LOG_FILE_STATES] = {
    [LOG_FILE_LIVE] = "",
    [LOG_FILE_DELETED] = ".deleted",
    [LOG_FILE_CLEANED] = ".cleaned",
    [LOG_FILE_SWAP] = ".swap",
};

static const char *const DIR_SUFFIX[LOG_DIR_STATES] = {
    [LOG_DIR_LIVE] = "",
    [LOG_DIR_DELETE] = "-delete",
    [LOG_DIR_FUTURE] = "-future",
    [LOG_DIR_STRAY] = "-stray",
};

enum { OFFSET_DIGITS = 20, HEX_DIGITS = 32, FILE_NAME_MAX = LOG_DIR_NAME_SIZE - 1 };

char *log_file_format(const struct log_file_name *name, char to[LOG_FILE_NAME_SIZE])
{
    check(name->offset >= 0);
    snprintf(to, LOG_FILE_NAME_SIZE, "%020" PRId64 "%s%s", name->offset, KIND_SUFFIX[name->kind],
             STATE_SUFFIX[name->state]);
    return to;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool all_digits(struct text t)
{
    for (size_t i = 0; i < t.len; i++) {
        if (!is_digit(t.data[i])) {
            return false;
        }
    }
    return t.len > 0;
}

/* Which of `n` suffixes is `t`? `n` when none. */
static unsigned suffix_of(const char *const *suffixes, unsigned n, struct text t)
{
    unsigned i = 0;
    while (i < n && !text_is(t, suffixes[i])) {
        i++;
    }
    return i;
}

bool log_file_parse(struct text name, struct log_file_name *ret_name)
{
    int64_t offset;
    if (name.len <= OFFSET_DIGITS || name.data[OFFSET_DIGITS] != '.') {
        return false;
    }
    struct text digits = text_part(name.data, OFFSET_DIGITS);
    struct text suffix = text_part(name.data + OFFSET_DIGITS, name.len - OFFSET_DIGITS);
    const char *dot = memchr(suffix.data + 1, '.', suffix.len - 1);
    size_t kind_len = dot != NULL ? (size_t)(dot - suffix.data) : suffix.len;
    struct text rest = text_part(suffix.data + kind_len, suffix.len - kind_len);
    unsigned kind = suffix_of(KIND_SUFFIX, LOG_FILE_KINDS, text_part(suffix.data, kind_len));
    unsigned state = suffix_of(STATE_SUFFIX, LOG_FILE_STATES, rest);
    if (kind == LOG_FILE_KINDS || state == LOG_FILE_STATES || !all_digits(digits) ||
        !text_to_i64(digits, &offset)) {
        return false;
    }
    *ret_name = (struct log_file_name){ .kind = (enum log_file_kind)kind,
                                        .state = (enum log_file_state)state,
                                        .offset = offset };
    return true;
}

bool topic_name_ok(struct text name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !is_digit(c) && c != '.' && c != '_' && c != '-') {
            return false;
        }
    }
    return name.len > 0 && name.len <= 249 && !text_is(name, ".") && !text_is(name, "..");
}

static void put_hex(const struct uuid *id, char to[HEX_DIGITS + 1])
{
    for (size_t i = 0; i < sizeof id->bytes; i++) {
        snprintf(to + 2 * i, 3, "%02x", id->bytes[i]);
    }
}

bool log_dir_format(const struct log_dir_name *name, const struct uuid *unique,
                    char to[LOG_DIR_NAME_SIZE])
{
    char tail[64], hex[HEX_DIGITS + 1];
    size_t topic_len = name->topic.len;
    if (name->state == LOG_DIR_LIVE) {
        snprintf(tail, sizeof tail, "-%" PRId32, name->partition);
    } else {
        put_hex(unique, hex);
        snprintf(tail, sizeof tail, "-%" PRId32 ".%s%s", name->partition, hex,
                 DIR_SUFFIX[name->state]);
    }
    if (topic_len + strlen(tail) > FILE_NAME_MAX) {
        if (name->state != LOG_DIR_DELETE && name->state != LOG_DIR_STRAY) {
            return false;
        }
        topic_len = FILE_NAME_MAX - strlen(tail);
    }
    snprintf(to, LOG_DIR_NAME_SIZE, "%.*s%s", (int)topic_len, name->topic.data, tail);
    return true;
}

/* Cuts ".<32 hex digits><suffix>" off the end; LOG_DIR_LIVE and nothing cut when it is not there.
 * */
static enum log_dir_state cut_dir_suffix(struct text *name)
{
    for (unsigned state = LOG_DIR_LIVE + 1; state < LOG_DIR_STATES; state++) {
        size_t suffix = strlen(DIR_SUFFIX[state]), len = 1 + HEX_DIGITS + suffix;
        if (name->len <= len || name->data[name->len - len] != '.' ||
            memcmp(name->data + name->len - suffix, DIR_SUFFIX[state], suffix) != 0) {
            continue;
        }
        const char *hex = name->data + name->len - len + 1;
        size_t n = 0;
        while (n < HEX_DIGITS && (is_digit(hex[n]) || (hex[n] >= 'a' && hex[n] <= 'f'))) {
            n++;
        }
        if (n == HEX_DIGITS) {
            name->len -= len;
            return (enum log_dir_state)state;
        }
    }
    return LOG_DIR_LIVE;
}

bool log_dir_parse(struct text name, struct log_dir_name *ret_name)
{
    int64_t partition;
    enum log_dir_state state = cut_dir_suffix(&name);
    size_t at = name.len;
    while (at > 0 && is_digit(name.data[at - 1])) {
        at--;
    }
    struct text digits = text_part(name.data + at, name.len - at);
    if (at < 2 || name.data[at - 1] != '-' || !text_to_i64(digits, &partition) ||
        partition > INT32_MAX || (digits.len > 1 && digits.data[0] == '0') ||
        !topic_name_ok(text_part(name.data, at - 1))) {
        return false;
    }
    *ret_name = (struct log_dir_name){ .topic = text_part(name.data, at - 1),
                                       .partition = (int32_t)partition,
                                       .state = state };
    return true;
}

/* ---- checkpoint files -------------------------------------------------------------------------*/

static struct text cut_line(struct text *rest)
{
    struct text line = text_cut(rest, '\n');
    if (line.len > 0 && line.data[line.len - 1] == '\r') {
        line.len--;
    }
    return line;
}

/* Splits a line at white space; false when it does not have exactly `n` fields. */
static bool split(struct text line, size_t n, struct text *ret_fields)
{
    line = text_trim(line);
    for (size_t i = 0; i < n; i++) {
        size_t len = 0;
        while (len < line.len && line.data[len] != ' ' && line.data[len] != '\t') {
            len++;
        }
        if (len == 0) {
            return false;
        }
        ret_fields[i] = text_part(line.data, len);
        line = text_trim(text_part(line.data + len, line.len - len));
    }
    return line.len == 0;
}

static bool at_end(const struct checkpoint_reader *reader)
{
    return reader->rest.len == 0;
}

/* Reads a line with one number. */
static bool next_number(struct checkpoint_reader *reader, int64_t *ret_n)
{
    return text_to_i64(cut_line(&reader->rest), ret_n);
}

int checkpoint_open(struct checkpoint_reader *reader, struct bytes file, size_t n_fields)
{
    int64_t version, n = 0, lines = 0;
    struct text fields[CHECKPOINT_FIELDS_MAX];

    check(n_fields <= CHECKPOINT_FIELDS_MAX);
    *reader = (struct checkpoint_reader){ text_part((const char *)file.data, file.len), n_fields };
    if (at_end(reader)) {
        return 0;
    }
    if (!next_number(reader, &version) || version < 0) {
        return -EINVAL;
    }
    if (version != 0) {
        return -ENOTSUP;
    }
    if (at_end(reader)) {
        return 0;
    }
    if (!next_number(reader, &n)) {
        return -EINVAL;
    }
    struct checkpoint_reader scan = *reader;
    for (; !at_end(&scan); lines++) {
        if (!split(cut_line(&scan.rest), n_fields, fields)) {
            return -EINVAL;
        }
    }
    return lines == n ? 0 : -EINVAL;
}

bool checkpoint_next(struct checkpoint_reader *reader, struct text *ret_fields)
{
    return !at_end(reader) && split(cut_line(&reader->rest), reader->n_fields, ret_fields);
}

void checkpoint_begin(struct buf *out, size_t n)
{
    buf_printf(out, "0\n%zu\n", n);
}

/* The next entry; false at the end and, with `*ret_ok` false, where a number is none. */
static bool next_offset(struct checkpoint_reader *reader, struct offset_entry *ret_entry,
                        bool *ret_ok)
{
    struct text fields[3];
    int64_t partition, offset;
    *ret_ok = true;
    if (!checkpoint_next(reader, fields)) {
        return false;
    }
    if (!text_to_i64(fields[1], &partition) || partition < 0 || partition > INT32_MAX ||
        !text_to_i64(fields[2], &offset) || offset < 0) {
        *ret_ok = false;
        return false;
    }
    *ret_entry = (struct offset_entry){ fields[0], (int32_t)partition, offset };
    return true;
}

int offset_checkpoint_open(struct checkpoint_reader *reader, struct bytes file)
{
    struct offset_entry entry;
    bool ok = true;
    int error = checkpoint_open(reader, file, 3);
    if (error == 0) {
        struct checkpoint_reader scan = *reader;
        while (next_offset(&scan, &entry, &ok)) {
        }
    }
    return ok ? error : -EINVAL;
}

bool offset_checkpoint_next(struct checkpoint_reader *reader, struct offset_entry *ret_entry)
{
    bool ok;
    return next_offset(reader, ret_entry, &ok);
}

int64_t offset_checkpoint_find(struct bytes file, const char *topic, int32_t partition)
{
    struct checkpoint_reader reader;
    struct offset_entry entry;
    if (offset_checkpoint_open(&reader, file) != 0) {
        return -1;
    }
    while (offset_checkpoint_next(&reader, &entry)) {
        if (entry.partition == partition && text_is(entry.topic, topic)) {
            return entry.offset;
        }
    }
    return -1;
}

void offset_checkpoint_put(struct buf *out, const struct offset_entry *entry)
{
    buf_printf(out, "%.*s %" PRId32 " %" PRId64 "\n", TEXT_ARG(entry->topic), entry->partition,
               entry->offset);
}

/* ---- single values ----------------------------------------------------------------------------*/

void partition_metadata_encode(const struct uuid *topic_id, struct buf *out)
{
    char id[UUID_TEXT_LEN + 1];
    buf_printf(out, "version: 0\ntopic_id: %s", uuid_format(topic_id, id));
}

/* The value of the line "name: value" at the start of `*rest`. */
static bool next_value(struct text *rest, const char *name, struct text *ret_value)
{
    struct text line = cut_line(rest);
    struct text found = text_cut(&line, ':');
    *ret_value = text_trim(line);
    return text_is(found, name) && ret_value->len > 0;
}

int partition_metadata_decode(struct bytes file, struct uuid *ret_topic_id)
{
    struct text rest = text_part((const char *)file.data, file.len), value;
    struct uuid id;
    int64_t version;
    if (!next_value(&rest, "version", &value) || !text_to_i64(value, &version) || version < 0 ||
        !next_value(&rest, "topic_id", &value) || !uuid_parse(value, &id) || uuid_is_zero(&id)) {
        return -EINVAL;
    }
    *ret_topic_id = id;
    return 0;
}

void meta_properties_encode(const struct store_identity *identity, struct buf *out)
{
    char id[UUID_TEXT_LEN + 1];
    if (identity->cluster_id[0] != 0) {
        properties_put(out, "cluster.id", text_of(identity->cluster_id));
    }
    if (!uuid_is_zero(&identity->directory_id)) {
        properties_put(out, "directory.id", text_of(uuid_format(&identity->directory_id, id)));
    }
    if (identity->node_id >= 0) {
        buf_printf(out, "node.id=%" PRId32 "\n", identity->node_id);
    }
    properties_put(out, "version", text_of("1"));
}

/* Takes one property over; false when its value cannot be. */
static bool take_property(struct text key, struct text value, struct store_identity *identity,
                          int64_t *version)
{
    int64_t node_id;
    if (text_is(key, "version")) {
        return text_to_i64(text_trim(value), version) && *version >= 0;
    }
    if (text_is(key, "node.id") || text_is(key, "broker.id")) {
        if (!text_to_i64(text_trim(value), &node_id) || node_id < 0 || node_id > INT32_MAX) {
            return false;
        }
        identity->node_id = (int32_t)node_id;
    } else if (text_is(key, "cluster.id")) {
        if (value.len >= sizeof identity->cluster_id) {
            return false;
        }
        snprintf(identity->cluster_id, sizeof identity->cluster_id, "%.*s", TEXT_ARG(value));
    } else if (text_is(key, "directory.id")) {
        return uuid_parse(value, &identity->directory_id);
    }
    return true;
}

int meta_properties_decode(struct bytes file, struct store_identity *ret_identity)
{
    struct store_identity identity = { .node_id = -1 };
    struct properties properties = { .rest = text_part((const char *)file.data, file.len) };
    struct text key, value;
    struct arena arena;
    int64_t version = 0;
    bool ok = true;

    arena_init(&arena, 0);
    while (ok && properties_next(&properties, &arena, &key, &value)) {
        ok = take_property(key, value, &identity, &version);
    }
    arena_release(&arena);
    if (!ok) {
        return -EINVAL;
    }
    if (version > 1) {
        return -ENOTSUP;
    }
    *ret_identity = identity;
    return 0;
}

void clean_shutdown_encode(int64_t broker_epoch, struct buf *out)
{
    buf_printf(out, "{\"version\":0,\"brokerEpoch\":%" PRId64 "}", broker_epoch);
}

int clean_shutdown_decode(struct bytes file, int64_t *ret_broker_epoch)
{
    static const char KEY[] = "\"brokerEpoch\"";
    struct text rest = text_trim(text_part((const char *)file.data, file.len));
    const char *key = rest.len > 0 ? memmem(rest.data, rest.len, KEY, strlen(KEY)) : NULL;
    if (key == NULL || rest.data[0] != '{' || rest.data[rest.len - 1] != '}') {
        return -EINVAL;
    }
    size_t at = (size_t)(key - rest.data) + strlen(KEY);
    rest = text_trim(text_part(rest.data + at, rest.len - 1 - at));
    if (!text_starts_with(rest, ":")) {
        return -EINVAL;
    }
    rest = text_part(rest.data + 1, rest.len - 1);
    return text_to_i64(text_trim(text_cut(&rest, ',')), ret_broker_epoch) ? 0 : -EINVAL;
}
