/* The process and the machine under it, as /proc and the control group tell. */
#include <chronik/io/process.h>

#include <chronik/io/file.h>
#include <dirent.h>
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

uint64_t process_raise_file_limit(void)
{
    struct rlimit limit;
    check(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    return setrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_max : before;
}

void process_keep_memory(void)
{
    mallopt(M_MMAP_THRESHOLD, 32 << 20);
    mallopt(M_TRIM_THRESHOLD, 32 << 20);
}

void process_ignore_sigpipe(void)
{
    signal(SIGPIPE, SIG_IGN);
}

/* ---- use --------------------------------------------------------------------------------------*/

/* The text of a small file of the kernel, terminated; "" when it is not there. */
static const char *load(const char *path, struct buf *buf)
{
    buf_clear(buf);
    file_load(path, 64 * 1024, buf);
    buf_put_u8(buf, '\0');
    return (const char *)buf->data;
}

static double seconds(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static uint64_t count_open_files(void)
{
    uint64_t n = 0;
    DIR *dir = opendir("/proc/self/fd");
    if (dir == NULL) {
        return 0;
    }
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        n += entry->d_name[0] != '.';
    }
    closedir(dir);
    return n - 1; /* without the one that counted */
}

/* Field 22 of /proc/self/stat, counted from behind the command's closing parenthesis: the time of
 * the start since boot, in ticks. */
static double start_time(struct buf *buf)
{
    enum { AFTER_COMMAND = 20 };
    unsigned long long ticks = 0, boot_s = 0;
    const char *at = strrchr(load("/proc/self/stat", buf), ')');
    for (unsigned i = 0; at != NULL && i < AFTER_COMMAND; i++) {
        at = strchr(at + 1, ' ');
    }
    if (at != NULL) {
        ticks = strtoull(at, NULL, 10);
    }
    const char *boot = strstr(load("/proc/stat", buf), "\nbtime ");
    if (boot != NULL) {
        boot_s = strtoull(boot + strlen("\nbtime "), NULL, 10);
    }
    return (double)boot_s + (double)ticks / (double)sysconf(_SC_CLK_TCK);
}

void process_usage(struct process_usage *ret_usage)
{
    struct rusage usage;
    struct buf buf = { 0 };
    check(getrusage(RUSAGE_SELF, &usage) == 0);
    const char *second = strchr(load("/proc/self/statm", &buf), ' ');
    uint64_t pages = second ? strtoull(second, NULL, 10) : 0;
    *ret_usage = (struct process_usage){
        .cpu_s = seconds(usage.ru_utime) + seconds(usage.ru_stime),
        .resident = pages * (uint64_t)sysconf(_SC_PAGESIZE),
        .open_files = count_open_files(),
        .started_s = start_time(&buf),
    };
    buf_release(&buf);
}

/* ---- memory -----------------------------------------------------------------------------------*/

static uint64_t limit_in(const char *path, struct buf *buf)
{
    const char *text = load(path, buf);
    return *text >= '0' && *text <= '9' ? strtoull(text, NULL, 10) : UINT64_MAX; /* or "max" */
}

/* The tightest limit of our control group (version 2) and those above it. */
static uint64_t group_limit(struct buf *buf)
{
    uint64_t limit = UINT64_MAX;
    const char *line = strstr(load("/proc/self/cgroup", buf), "0::/");
    char *group = line ? text_dup(text_part(line + 3, strcspn(line + 3, "\n"))) : mem_strdup("");
    for (;;) {
        char *path = mem_sprintf("/sys/fs/cgroup%s/memory.max", group);
        limit = min_u64(limit, limit_in(path, buf));
        free(path);
        char *last = strrchr(group, '/');
        if (last == NULL) {
            break;
        }
        *last = '\0';
    }
    free(group);
    return limit;
}

uint64_t process_memory_total(void)
{
    struct buf buf = { 0 };
    uint64_t total = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    total = min_u64(total, group_limit(&buf));
    total = min_u64(total, limit_in("/sys/fs/cgroup/memory/memory.limit_in_bytes", &buf));
    buf_release(&buf);
    return total;
}

/* ---- systemd ----------------------------------------------------------------------------------*/

void process_notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    size_t len = path ? strlen(path) : 0;
    if (len == 0 || len >= sizeof to.sun_path || (path[0] != '/' && path[0] != '@')) {
        return;
    }
    memcpy(to.sun_path, path, len);
    if (path[0] == '@') {
        to.sun_path[0] = '\0'; /* the abstract name space */
    }
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        socklen_t to_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
        sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&to, to_len);
        close(fd);
    }
}

uint64_t process_watchdog_ns(void)
{
    int64_t us, pid;
    const char *of = getenv("WATCHDOG_PID");
    if (of != NULL && (!text_to_i64(text_of(of), &pid) || pid != getpid())) {
        return 0; /* meant for the process that started us */
    }
    bool watched = text_to_i64(text_of(getenv("WATCHDOG_USEC")), &us) && us > 0 &&
                   us < INT64_MAX / 1000;
    return watched ? (uint64_t)us * 1000 : 0;
}
