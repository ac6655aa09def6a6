/* Starting, stopping and killing the real daemon. CHRONIKD_PATH is set by the build. */
#include "daemon.h"

#include "test.h"

#include <chronik/io/file.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { START_MS = 30000, STOP_MS = 30000, SETTINGS_MAX = 32, DAEMONS_MAX = 64, TOLD = 8000 };

/* A test that fails leaves its daemon behind. The process then ends with the test program (see
 * become()), and its directory goes at the end of it. */
static char left_behind[DAEMONS_MAX][sizeof((struct daemon){ 0 }.directory)];
static unsigned n_daemons;

static void remove_all(void)
{
    for (unsigned i = 0; i < n_daemons; i++) {
        dir_remove_all(left_behind[i]);
    }
}

static void pause_ms(long ms)
{
    nanosleep(&(struct timespec){ .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 }, NULL);
}

static char *output_path(const struct daemon *daemon)
{
    return mem_sprintf("%s/output.%u", daemon->directory, daemon->starts);
}

char *daemon_output(const struct daemon *daemon)
{
    struct buf out = { 0 };
    char *path = output_path(daemon);
    if (file_exists(path)) {
        assert_int_equal(file_load(path, MIB(64), &out), 0);
    }
    buf_put_u8(&out, 0);
    free(path);
    return (char *)out.data;
}

void daemon_init(struct daemon *daemon)
{
    *daemon = (struct daemon){ 0 };
    snprintf(daemon->directory, sizeof daemon->directory, "/tmp/chronik-test-XXXXXX");
    assert_non_null(mkdtemp(daemon->directory));
    assert_true(n_daemons < DAEMONS_MAX);
    if (n_daemons == 0) {
        atexit(remove_all);
    }
    memcpy(left_behind[n_daemons++], daemon->directory, sizeof daemon->directory);
}

/* ---- starting ---------------------------------------------------------------------------------*/

/* Never returns: becomes the daemon. */
static void become(const struct daemon *daemon, const char *const *settings)
{
    const char *args[10 + 2 * SETTINGS_MAX] = { CHRONIKD_PATH };
    char *data = mem_sprintf("%s/data", daemon->directory), *output = output_path(daemon);
    unsigned n = 1;
    int fd = open(output, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

    args[n++] = "--data-dir";
    args[n++] = data;
    args[n++] = "--listen";
    args[n++] = "localhost:0";
    args[n++] = "--override";
    args[n++] = "chronik.admin.listener=";
    if (getenv("CHRONIK_TEST_IO") != NULL) {
        args[n++] = "--io";
        args[n++] = getenv("CHRONIK_TEST_IO");
    }
    for (unsigned i = 0; settings != NULL && settings[i] != NULL && i < SETTINGS_MAX; i++) {
        args[n++] = "--override";
        args[n++] = settings[i];
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (fd >= 0 && dup2(fd, 1) >= 0 && dup2(fd, 2) >= 0) {
        execv(CHRONIKD_PATH, (char *const *)args);
    }
    _exit(127);
}

/* "listening name=PLAINTEXT at=localhost:36543 …", and then "serving …". */
static bool has_come_up(struct daemon *daemon)
{
    char *said = daemon_output(daemon);
    const char *serving = strstr(said, "serving cluster=");
    const char *at = strstr(said, " at="), *colon = at ? strchr(at, ':') : NULL;
    bool up = serving != NULL && colon != NULL;
    if (up) {
        daemon->port = (uint16_t)strtoul(colon + 1, NULL, 10);
    }
    free(said);
    return up;
}

void daemon_start(struct daemon *daemon, const char *const *settings)
{
    assert_int_equal(daemon->pid, 0);
    daemon->starts++;
    int pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        become(daemon, settings);
    }
    daemon->pid = pid;
    for (unsigned waited_ms = 0; !has_come_up(daemon); waited_ms += 5) {
        if (waited_ms > START_MS || waitpid(pid, NULL, WNOHANG) == pid) {
            char *said = daemon_output(daemon);
            size_t len = strlen(said);
            fprintf(stderr, "chronikd does not serve:\n%s", said + (len > TOLD ? len - TOLD : 0));
            free(said);
            fail_msg("chronikd did not come up");
        }
        pause_ms(5);
    }
}

/* ---- stopping ---------------------------------------------------------------------------------*/

void daemon_stop(struct daemon *daemon)
{
    int status = 0;
    unsigned waited_ms = 0;
    assert_int_equal(kill(daemon->pid, SIGTERM), 0);
    while (waitpid(daemon->pid, &status, WNOHANG) == 0) {
        if (waited_ms++ > STOP_MS) {
            daemon_kill(daemon);
            fail_msg("chronikd did not stop");
        }
        pause_ms(1);
    }
    daemon->pid = 0;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        char *said = daemon_output(daemon);
        size_t len = strlen(said);
        fprintf(stderr, "chronikd ended badly:\n%s", said + (len > TOLD ? len - TOLD : 0));
        free(said);
        fail_msg("chronikd ended with status %x", (unsigned)status);
    }
}

void daemon_kill(struct daemon *daemon)
{
    kill(daemon->pid, SIGKILL);
    waitpid(daemon->pid, NULL, 0);
    daemon->pid = 0;
}

void daemon_release(struct daemon *daemon)
{
    if (daemon->pid != 0) {
        daemon_kill(daemon);
    }
    dir_remove_all(daemon->directory);
}
