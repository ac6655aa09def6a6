/* What the operator asked for: the command line, the environment and the properties file.
 *
 *     flag > CHRONIKD_* > KAFKA_* > file > default
 *
 * All of them end as one set of settings (meta/config.def), the static layer of every later
 * look-up, and, for what the daemon needs before it serves, as fields. Whatever is wrong is said
 * all at once: with file and line, key, value, and what is allowed. */
#ifndef CHRONIK_CHRONIKD_OPTIONS_H
#define CHRONIK_CHRONIKD_OPTIONS_H

#include <chronik/base/diag.h>
#include <chronik/io/loop.h>
#include <chronik/meta/config.h>

/* Exit codes of the daemon (sysexits.h where there is one). */
enum {
    EXIT_CLEAN = 0,
    EXIT_FATAL = 1,        /* something that cannot be, at run time */
    EXIT_USAGE = 2,        /* the command line cannot be understood */
    EXIT_UNAVAILABLE = 69, /* a port is taken, or the address is not ours */
    EXIT_STORAGE = 74,     /* a directory or file cannot be used */
    EXIT_CONFIG = 78,      /* a setting is wrong */
};

enum options_action {
    OPTIONS_SERVE,
    OPTIONS_CHECK,  /* --check-config: say whether the settings are in order */
    OPTIONS_PRINT,  /* --print-config: options_print() */
    OPTIONS_HELP,   /* --help: options_help() */
    OPTIONS_VERSION, /* --version */
    OPTIONS_DUMP,   /* --dump-log: print what a data directory holds (dump_log.c) */
};

/* What --dump-log is to print. */
struct options_dump {
    char *dir;
    char *topic; /* of --partition; NULL: every partition */
    int32_t partition;
    bool records, json;
};

struct options_message {
    enum diag_level level;
    char *text;
};

struct options_listener {
    char *name;            /* "PLAINTEXT" */
    char *host;            /* "": every address */
    uint16_t port;         /* 0: a free one */
    char *advertised_host; /* what clients are told */
    uint16_t advertised_port; /* 0: the port it gets */
};

struct options_voter {
    int32_t id;
    char *host;
    uint16_t port;
};

struct options {
    enum options_action action;
    struct image_configs settings; /* in their one way of writing; layer of config_layers.file */
    struct image_configs origins;  /* setting -> where it was set: "server.properties:12" */

    int32_t node_id; /* -1: the directory's, else 1 */
    char *cluster_id; /* "": the directory's, else a random one */
    char *data_dir, *raft_dir; /* the latter inside the former, or of metadata.log.dir */
    struct options_listener *listeners; /* for clients; at least one */
    unsigned n_listeners;
    struct options_listener *nodes; /* for the other nodes; NULL when there are none */
    struct options_voter *voters;   /* none: this node alone */
    unsigned n_voters;
    char *secret;     /* of the cluster; NULL: none */
    char *admin_host; /* NULL: no HTTP listener */
    uint16_t admin_port;
    enum loop_backend io;
    bool log_json;
    uint8_t log_levels[DIAG_MODULE_COUNT]; /* enum diag_level */

    struct options_message *messages; /* errors, warnings, notes, in order */
    size_t n_messages;
    bool strict;          /* --strict: an unknown setting is an error */
    bool dev;             /* --dev */
    char *file;           /* the properties file; NULL: none */
    struct options_dump dump;
};

/* What the operator's wishes are read from. */
struct options_source {
    int argc;
    char **argv;
    char *const *env;     /* "NAME=value", NULL at the end */
    const char *hostname; /* advertised by a listener on every address */
};

/* Reads everything. 0, or the code to exit with; `messages` says why. Release it in either case. */
int options_read(struct options *options, const struct options_source *source);
void options_release(struct options *options);

/* The layers of configuration of a broker that has no dynamic ones yet. */
static inline struct config_layers options_layers(const struct options *options)
{
    return (struct config_layers){ .file = &options->settings };
}

/* Appends every setting in effect as a properties file, secrets left out, with where it was set. */
void options_print(const struct options *options, struct buf *out);

/* Appends the text of --help. */
void options_help(struct buf *out);

#endif
