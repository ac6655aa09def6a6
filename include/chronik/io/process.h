/* The process: its limits, its use of the machine, its messages. */
#ifndef CHRONIK_IO_PROCESS_H
#define CHRONIK_IO_PROCESS_H

#include <chronik/base/diag.h>

/* Raises RLIMIT_NOFILE to its hard limit; returns the limit then in force. */
uint64_t process_raise_file_limit(void);

/* Keeps freed memory for the next use instead of giving it back at once: what comes back from the
 * kernel has to be zeroed again, page by page. Up to 32 MiB are kept. */
void process_keep_memory(void);

/* Ignores SIGPIPE: a peer that went away is an error of a write, not the end of the broker. */
void process_ignore_sigpipe(void);

struct process_usage {
    double cpu_s;          /* user and system time */
    uint64_t resident;     /* bytes */
    uint64_t open_files;
    double started_s;      /* Unix time */
};

void process_usage(struct process_usage *ret_usage);
uint64_t process_memory_total(void); /* of the machine, or of the control group; bytes */

/* A sink for diag that writes one line per message to stderr:
 *     2026-11-23T17:15:00.123Z INFO  [raft] became leader term=3
 * as text or as one JSON object; prefixed with "<6>" and without the time under journald. */
struct process_log {
    struct diag diag;
    bool json, journal;
};

void process_log_init(struct process_log *log, bool json, enum diag_level level);

/* Tells systemd (sd_notify protocol) when $NOTIFY_SOCKET is set; "READY=1", "STOPPING=1", … */
void process_notify(const char *state);

/* How often systemd wants to hear "WATCHDOG=1" from this process at least; 0: it does not watch. */
uint64_t process_watchdog_ns(void);

#endif
