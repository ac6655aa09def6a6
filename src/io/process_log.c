/* The sink of messages: one line each to stderr, with a single write(2), so that lines of several
 * processes on one terminal do not mix.
 *
 * Messages may quote what clients sent, in any bytes: JSON gets only valid UTF-8. When stderr does
 * not take a line, it is lost; there is nobody to tell. */
#include <chronik/io/process.h>

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* RFC 5424's numbers, as journald wants them. */
static const char PRIORITIES[] = {
    [DIAG_ERROR] = '3',
    [DIAG_WARN] = '4',
    [DIAG_INFO] = '6',
    [DIAG_DEBUG] = '7',
};

static void put_time(struct buf *line)
{
    struct timespec now;
    struct tm tm;
    char text[32];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    size_t len = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
    buf_put(line, text, len);
    buf_printf(line, ".%03dZ", (int)(now.tv_nsec / 1000000));
}

static void put_json(struct buf *line, const struct process_log *log, enum diag_level level,
                     enum diag_module module, const char *message)
{
    buf_put_u8(line, '{');
    if (!log->journal) {
        buf_printf(line, "\"time\":\"");
        put_time(line);
        buf_printf(line, "\",");
    }
    buf_printf(line, "\"level\":\"%s\",\"module\":\"%s\",\"message\":", diag_level_name(level),
               diag_module_name(module));
    text_put_json(text_of(message), line);
    buf_put_u8(line, '}');
}

static void put_text(struct buf *line, const struct process_log *log, enum diag_level level,
                     enum diag_module module, const char *message)
{
    if (!log->journal) {
        put_time(line);
        buf_printf(line, " %-5s ", diag_level_name(level));
    }
    buf_printf(line, "[%s] %s", diag_module_name(module), message);
}

static void sink(struct diag *diag, enum diag_level level, enum diag_module module,
                 const char *message)
{
    struct process_log *log = container_of(diag, struct process_log, diag);
    struct buf line = { 0 };
    ssize_t len;
    if (log->journal) {
        buf_printf(&line, "<%c>", PRIORITIES[level]);
    }
    (log->json ? put_json : put_text)(&line, log, level, module, message);
    buf_put_u8(&line, '\n');
    do {
        len = write(STDERR_FILENO, line.data, line.len);
    } while (len < 0 && errno == EINTR);
    buf_release(&line);
}

/* systemd says in $JOURNAL_STREAM which socket is the journal's: device and inode. A child that
 * sends its messages elsewhere has inherited the variable, but not the socket. */
static bool stderr_is_journal(void)
{
    struct text inode = text_of(getenv("JOURNAL_STREAM"));
    int64_t device_n, inode_n;
    struct stat st;
    struct text device = text_cut(&inode, ':');
    return text_to_i64(device, &device_n) && text_to_i64(inode, &inode_n) &&
           fstat(STDERR_FILENO, &st) == 0 && st.st_dev == (dev_t)device_n &&
           st.st_ino == (ino_t)inode_n;
}

void process_log_init(struct process_log *log, bool json, enum diag_level level)
{
    diag_init(&log->diag, level, sink);
    log->json = json;
    log->journal = stderr_is_journal();
}
