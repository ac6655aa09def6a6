/* chronikd: reads what it was asked, runs a broker until it is told to stop. */
#include "dump_log.h"
#include "signals.h"

#include <stdio.h>
#include <unistd.h>

static void say_messages(const struct options *options, struct process_log *log)
{
    for (size_t i = 0; i < options->n_messages; i++) {
        const struct options_message *m = &options->messages[i];
        diag_log(&log->diag, DIAG_BROKER, m->level, "%s", m->text);
    }
}

static bool print_bytes(struct bytes out)
{
    bool written = out.len == 0 || fwrite(out.data, 1, out.len, stdout) == out.len;
    return written && fflush(stdout) == 0;
}

static int print(const struct options *options)
{
    struct buf out = { 0 };
    switch (options->action) {
    case OPTIONS_HELP:
        options_help(&out);
        break;
    case OPTIONS_VERSION:
        buf_printf(&out, "chronikd " CHRONIK_VERSION "\n");
        break;
    case OPTIONS_PRINT:
        options_print(options, &out);
        break;
    case OPTIONS_CHECK:
        buf_printf(&out, "the configuration is in order\n");
        break;
    case OPTIONS_SERVE:
    case OPTIONS_DUMP:
        break;
    }
    bool ok = print_bytes(buf_bytes(&out));
    buf_release(&out);
    return ok ? EXIT_CLEAN : EXIT_FATAL;
}

static int serve(const struct options *options, const struct options_source *source,
                 struct process_log *log)
{
    struct broker broker;
    struct signals signals;
    struct loop *loop;

    process_keep_memory();
    process_ignore_sigpipe();
    process_raise_file_limit();
    int error = loop_new(options->io, &loop);
    if (error != 0) {
        diag_error(&log->diag, DIAG_BROKER,
                   "io_uring is refused here: %s; use --io=threads or --io=auto", strerror(-error));
        return EXIT_UNAVAILABLE;
    }
    if (broker_start(&broker, loop, log, options) == 0) {
        signals_start(&signals, &broker, source);
        loop_run(loop);
    }
    return broker_finish(&broker);
}

int main(int argc, char **argv)
{
    char hostname[256] = "localhost";
    struct process_log log;
    struct options options;

    gethostname(hostname, sizeof hostname - 1);
    const struct options_source source = {
        .argc = argc,
        .argv = argv,
        .env = environ,
        .hostname = hostname,
    };
    int code = options_read(&options, &source);
    process_log_init(&log, options.log_json, DIAG_INFO);
    memcpy(log.diag.level, options.log_levels, sizeof log.diag.level);
    say_messages(&options, &log);
    if (code == 0) {
        code = options.action == OPTIONS_SERVE  ? serve(&options, &source, &log)
               : options.action == OPTIONS_DUMP ? dump_log(&options.dump, print_bytes)
                                                : print(&options);
    }
    options_release(&options);
    return code;
}
