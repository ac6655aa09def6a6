/* Between the files of the options reader. */
#ifndef CHRONIK_CHRONIKD_OPTIONS_INSIDE_H
#define CHRONIK_CHRONIKD_OPTIONS_INSIDE_H

#include <chronik/chronikd/options.h>

/* Adds a message. An error makes options_read() fail. */
void options_say(struct options *o, enum diag_level level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
bool options_failed(const struct options *o);

/* Checks one setting and keeps it, over an earlier one. `where` names it for people. */
void options_set(struct options *o, const char *where, struct text name, struct text value);

/* Sets what the environment says: CLUSTER_ID, then KAFKA_*, then CHRONIKD_*. */
void options_read_env(struct options *o, char *const *env);

/* Says once which of the settings change nothing here. */
void options_note_unused(struct options *o);

/* Fills the fields from the settings. */
void options_derive(struct options *o, const struct options_source *source);

/* Fills listeners, nodes and voters from the settings; `node_id` is known, and is taken from a lone
 * voter when it is not. */
void options_derive_endpoints(struct options *o, const char *hostname);

/* A setting in effect, and where it was set ("the default" when nowhere). */
struct text options_get(const struct options *o, const char *name);
const char *options_origin(const struct options *o, const char *name);

/* Reports "where: name=value: problem". */
void options_refuse(struct options *o, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Cuts "host:port" or "[v6]:port" in two; false when it is neither. The host may be empty. */
bool options_parse_endpoint(struct text t, struct text *ret_host, uint16_t *ret_port);

#endif
