/* docs/config.md, from the table. */
#include <chronik/meta/config.h>

static void write_default(const struct config_def *def, struct buf *out)
{
    if (def->value == NULL) {
        buf_printf(out, "none");
    } else if (def->value[0] == '\0') {
        buf_printf(out, "empty");
    } else {
        buf_printf(out, "`%s`", def->value);
    }
}

static void write_allowed(const struct config_def *def, struct buf *out)
{
    struct buf allowed = { 0 };
    config_allowed(def, &allowed);
    buf_put(out, allowed.data, allowed.len);
    buf_release(&allowed);
}

/* Where a topic's setting comes from, or when a broker's takes effect. */
static void write_third(const struct config_def *def, struct buf *out)
{
    static const char *const UPDATES[] = {
        [CONFIG_STATIC] = "at start",
        [CONFIG_PER_BROKER] = "at run time, per broker",
        [CONFIG_CLUSTER_WIDE] = "at run time",
    };
    if (def->scope == CONFIG_BROKER) {
        buf_printf(out, "%s", UPDATES[def->update]);
        return;
    }
    for (unsigned i = 0; i < CONFIG_SYNONYMS_MAX && def->synonyms[i].name != NULL; i++) {
        buf_printf(out, "%s`%s`", i > 0 ? ", else " : "", def->synonyms[i].name);
    }
}

static void write_scope(enum config_scope scope, struct buf *out)
{
    size_t n;
    const struct config_def *table = config_table(scope, &n);
    for (size_t i = 0; i < n; i++) {
        const struct config_def *def = &table[i];
        if (def->hidden) {
            continue;
        }
        buf_printf(out, "| `%s` | ", def->name);
        write_default(def, out);
        buf_printf(out, " | ");
        write_allowed(def, out);
        buf_printf(out, " | ");
        write_third(def, out);
        buf_printf(out, " | %s", def->doc);
        if (def->unused != NULL) {
            buf_printf(out, " *Changes nothing:* %s", def->unused);
        }
        buf_printf(out, " |\n");
    }
}

void config_document(struct buf *out)
{
    buf_printf(out,
               "# Settings\n"
               "\n"
               "Generated from `include/chronik/meta/config.def` by `ninja -C build docs`. Names "
               "are Kafka's; defaults are Kafka's unless ours are safer.\n"
               "\n"
               "A value is looked for in this order: the topic's own (`kafka-configs --entity-type "
               "topics`), what was set for one broker and for all brokers at run time, the command "
               "line, the environment, the properties file, the default. A setting that changes "
               "nothing here is accepted all the same and shown by DescribeConfigs.\n"
               "\n"
               "## Topics\n"
               "\n"
               "| setting | default | allowed | without it | what it is |\n"
               "|---|---|---|---|---|\n");
    write_scope(CONFIG_TOPIC, out);
    buf_printf(out, "\n"
                    "## Brokers\n"
                    "\n"
                    "| setting | default | allowed | takes effect | what it is |\n"
                    "|---|---|---|---|---|\n");
    write_scope(CONFIG_BROKER, out);
}
