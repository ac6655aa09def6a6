/* Names that the table does not have: Kafka's that mean nothing here, and typing errors. */
#include <chronik/meta/config.h>

struct known {
    const char *why, *name; /* one of the two */
};

static const struct known KAFKA_ONLY[] = {
#define WHY(text)  { .why = text },
#define NAME(text) { .name = text },
#include "config_kafka.def"
#undef WHY
#undef NAME
};

/* Families of names that plug-ins and other distributions bring. */
static const struct {
    const char *prefix, *why;
} FAMILIES[] = {
    { "confluent.", "It belongs to another distribution." },
    { "client.quota.callback.", "Classes cannot be loaded." },
    { "rlmm.config.", "There is no remote storage." },
    { "rsm.config.", "There is no remote storage." },
};

/* "listener.name.internal.ssl.key.password" is "ssl.key.password" of one listener, and SASL
 * settings have the mechanism in between as well. */
static struct text without_listener(struct text name)
{
    static const char PREFIX[] = "listener.name.";
    if (!text_starts_with(name, PREFIX)) {
        return name;
    }
    struct text rest = text_part(name.data + strlen(PREFIX), name.len - strlen(PREFIX));
    text_cut(&rest, '.');
    struct text inner = rest;
    text_cut(&inner, '.');
    return text_starts_with(inner, "sasl.") ? inner : rest;
}

const char *config_kafka_only(struct text name)
{
    struct text base = without_listener(name);
    const char *why = NULL;
    if (base.data != name.data) {
        const struct config_def *def = config_find(CONFIG_BROKER, base);
        if (def != NULL) {
            return def->unused != NULL ? def->unused : "It cannot be set for a single listener.";
        }
    }
    for (size_t i = 0; i < countof(KAFKA_ONLY); i++) {
        if (KAFKA_ONLY[i].why != NULL) {
            why = KAFKA_ONLY[i].why;
        } else if (text_is(base, KAFKA_ONLY[i].name)) {
            return why;
        }
    }
    for (size_t i = 0; i < countof(FAMILIES); i++) {
        if (text_starts_with(base, FAMILIES[i].prefix)) {
            return FAMILIES[i].why;
        }
    }
    return NULL;
}

enum { NAME_MAX_LEN = 96 };

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
    unsigned ab = a < b ? a : b;
    return ab < c ? ab : c;
}

/* How many letters must be changed, added, dropped or swapped with their neighbour to turn one name
 * into the other (optimal string alignment). Both are at most NAME_MAX_LEN long. */
static unsigned distance(struct text a, struct text b)
{
    unsigned rows[3][NAME_MAX_LEN + 1];
    unsigned *before = rows[0], *last = rows[1], *now = rows[2];
    for (unsigned j = 0; j <= b.len; j++) {
        last[j] = j;
    }
    for (unsigned i = 1; i <= a.len; i++) {
        now[0] = i;
        for (unsigned j = 1; j <= b.len; j++) {
            bool same = a.data[i - 1] == b.data[j - 1];
            now[j] = min3(last[j] + 1, now[j - 1] + 1, last[j - 1] + !same);
            bool swapped = i > 1 && j > 1 && a.data[i - 1] == b.data[j - 2] &&
                           a.data[i - 2] == b.data[j - 1];
            if (swapped && before[j - 2] + 1 < now[j]) {
                now[j] = before[j - 2] + 1;
            }
        }
        unsigned *oldest = before;
        before = last;
        last = now;
        now = oldest;
    }
    return last[b.len];
}

/* The most letters that a typing error changes: a fifth of the name, and three. */
static unsigned near_enough(struct text name)
{
    unsigned fifth = (unsigned)(name.len / 5);
    return name.len < 10 ? 2 : fifth < 3 ? fifth : 3;
}

const char *config_suggest(struct text name)
{
    size_t n;
    const struct config_def *table = config_table(CONFIG_BROKER, &n);
    const struct config_def *topic = config_find(CONFIG_TOPIC, name);
    const char *best = NULL;
    size_t least = near_enough(name) + 1;
    if (topic != NULL) {
        return topic->synonyms[0].name; /* a topic's name for it, in a broker's file */
    }
    for (size_t i = 0; i < n && name.len <= NAME_MAX_LEN; i++) {
        struct text known = text_of(table[i].name);
        size_t apart = name.len > known.len ? name.len - known.len : known.len - name.len;
        size_t d = apart < least ? distance(name, known) : least;
        if (d < least) {
            least = d;
            best = table[i].name;
        }
    }
    return best;
}
