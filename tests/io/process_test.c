/* The process: what it uses, what it writes to stderr, what it tells systemd. */
#include "io_test.h"

#include <chronik/io/process.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

/* ---- messages ---------------------------------------------------------------------------------*/

/* What a message becomes on stderr. The caller frees it. */
static char *logged(bool json, bool journal, enum diag_level level, const char *message)
{
    struct process_log log;
    int ends[2], saved = dup(STDERR_FILENO);
    char *line = mem_zalloc(8192);
    assert_int_equal(pipe(ends), 0);
    assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
    if (journal) {
        struct stat st;
        assert_int_equal(fstat(STDERR_FILENO, &st), 0);
        char *stream =
            mem_sprintf("%llu:%llu", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
        setenv("JOURNAL_STREAM", stream, 1);
        free(stream);
    }
    process_log_init(&log, json, DIAG_INFO);
    diag_log(&log.diag, DIAG_RAFT, level, "%s", message);
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(ends[1]);
    assert_true(read(ends[0], line, 8191) >= 0);
    close(ends[0]);
    unsetenv("JOURNAL_STREAM");
    return line;
}

static void assert_logged(bool json, bool journal, enum diag_level level, const char *message,
                          const char *expected)
{
    char *line = logged(json, journal, level, message);
    assert_string_equal(line, expected);
    free(line);
}

static void a_text_line_has_time_level_and_module(void **state)
{
    (void)state;
    char *line = logged(false, false, DIAG_INFO, "became leader term=3");
    struct tm tm = { 0 };
    const char *rest = strptime(line, "%Y-%m-%dT%H:%M:%S", &tm);
    assert_non_null(rest);
    assert_true(llabs((long long)timegm(&tm) - (long long)time(NULL)) < 60);
    assert_int_equal(rest[0], '.');
    assert_string_equal(rest + 4, "Z INFO  [raft] became leader term=3\n");
    free(line);
    assert_logged(false, false, DIAG_DEBUG, "too much detail", "");
}

static void under_journald_the_priority_replaces_the_time(void **state)
{
    (void)state;
    assert_logged(false, true, DIAG_INFO, "x", "<6>[raft] x\n");
    assert_logged(false, true, DIAG_ERROR, "x", "<3>[raft] x\n");
    assert_logged(false, true, DIAG_WARN, "x", "<4>[raft] x\n");
    assert_logged(true, true, DIAG_INFO, "x",
                  "<6>{\"level\":\"INFO\",\"module\":\"raft\",\"message\":\"x\"}\n");
}

static void an_inherited_journal_variable_does_not_count(void **state)
{
    (void)state;
    setenv("JOURNAL_STREAM", "1:1", 1);
    char *line = logged(false, false, DIAG_INFO, "x");
    assert_int_equal(line[0], '2'); /* the year */
    free(line);
}

static void assert_json_message(const char *message, const char *escaped)
{
    char *line = logged(true, false, DIAG_WARN, message);
    char *expected =
        mem_sprintf("\",\"level\":\"WARN\",\"module\":\"raft\",\"message\":\"%s\"}\n", escaped);
    assert_memory_equal(line, "{\"time\":\"2", 10);
    assert_string_equal(strstr(line, "Z\"") + 1, expected);
    free(expected);
    free(line);
}

static void json_is_valid_whatever_clients_send(void **state)
{
    (void)state;
    assert_json_message("a \"quoted\" \\ path", "a \\\"quoted\\\" \\\\ path");
    assert_json_message("Grüße €\xf0\x9f\x98\x80", "Grüße €\xf0\x9f\x98\x80");
    assert_json_message("\xff\xc3", "\\ufffd\\ufffd");
    assert_json_message("\xc0\xaf", "\\ufffd\\ufffd");              /* overlong */
    assert_json_message("\xe0\x80\xaf.", "\\ufffd\\ufffd\\ufffd."); /* overlong */
    assert_json_message("\xed\xa0\x80", "\\ufffd\\ufffd\\ufffd");   /* surrogate */
    assert_json_message("\xf4\x90\x80\x80", "\\ufffd\\ufffd\\ufffd\\ufffd");
    assert_json_message("\xf5.", "\\ufffd.");
}

/* ---- the machine ------------------------------------------------------------------------------*/

static void usage_is_that_of_this_process(void **state)
{
    (void)state;
    struct process_usage before, after;
    process_usage(&before);
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    size_t len = MIB(32);
    char *memory = mem_alloc(len);
    memset(memory, 1, len);
    __asm__ volatile("" : : "r"(memory) : "memory");
    process_usage(&after);
    assert_int_equal(after.open_files, before.open_files + 1);
    assert_true(after.resident >= before.resident + len / 2);
    assert_true(after.cpu_s >= before.cpu_s && after.cpu_s < 600);
    assert_true(after.started_s > (double)time(NULL) - 600);
    assert_true(after.started_s < (double)time(NULL) + 5);
    free(memory);
    close(fd);
}

static void memory_is_no_more_than_the_machine_has(void **state)
{
    (void)state;
    uint64_t machine = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t total = process_memory_total();
    assert_true(total > MIB(16) && total <= machine);
}

static void the_file_limit_is_raised_to_the_hard_one(void **state)
{
    (void)state;
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = 64;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(process_raise_file_limit(), limit.rlim_max);
    getrlimit(RLIMIT_NOFILE, &limit);
    assert_int_equal(limit.rlim_cur, limit.rlim_max);
}

static void a_broken_pipe_is_only_an_error(void **state)
{
    (void)state;
    int ends[2];
    process_ignore_sigpipe();
    assert_int_equal(pipe(ends), 0);
    close(ends[0]);
    assert_int_equal(write(ends[1], "x", 1), -1);
    close(ends[1]);
    signal(SIGPIPE, SIG_DFL);
}

/* ---- systemd ----------------------------------------------------------------------------------*/

static void assert_notified(const char *name, size_t path_len)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    char got[64] = "";
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    memcpy(address.sun_path, name, path_len);
    if (name[0] == '@') {
        address.sun_path[0] = '\0';
    }
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path_len);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    setenv("NOTIFY_SOCKET", name, 1);
    process_notify("READY=1");
    assert_int_equal(recv(fd, got, sizeof got, 0), 7);
    assert_string_equal(got, "READY=1");
    close(fd);
    unsetenv("NOTIFY_SOCKET");
}

static void systemd_is_told(void **state)
{
    (void)state;
    char *dir = test_dir();
    char *path = mem_sprintf("%s/notify", dir);
    char *abstract = mem_sprintf("@chronik-test-%d", (int)getpid());
    assert_notified(path, strlen(path));
    assert_notified(abstract, strlen(abstract));
    setenv("NOTIFY_SOCKET", "relative", 1);
    process_notify("READY=1"); /* neither this nor a missing socket does any harm */
    unsetenv("NOTIFY_SOCKET");
    process_notify("READY=1");
    free(abstract);
    free(path);
    test_dir_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_line_has_time_level_and_module),
        cmocka_unit_test(under_journald_the_priority_replaces_the_time),
        cmocka_unit_test(an_inherited_journal_variable_does_not_count),
        cmocka_unit_test(json_is_valid_whatever_clients_send),
        cmocka_unit_test(usage_is_that_of_this_process),
        cmocka_unit_test(memory_is_no_more_than_the_machine_has),
        cmocka_unit_test(the_file_limit_is_raised_to_the_hard_one),
        cmocka_unit_test(a_broken_pipe_is_only_an_error),
        cmocka_unit_test(systemd_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
