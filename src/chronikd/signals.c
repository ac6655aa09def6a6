/* Signals, and the sign of life for systemd: while the loop turns, the process lives. */
#include "signals.h"

#include <signal.h>

static void asked_to_stop(void *arg, int signum)
{
    struct signals *signals = arg;
    (void)signum;
    broker_stop(signals->broker);
}

/* ---- SIGHUP -----------------------------------------------------------------------------------*/

static void take_levels(struct broker *broker, const uint8_t levels[DIAG_MODULE_COUNT])
{
    struct buf text = { 0 };
    memcpy(broker->diag->level, levels, sizeof broker->diag->level);
    memcpy(broker->api.start_levels, levels, sizeof broker->api.start_levels);
    for (unsigned m = 0; m < DIAG_MODULE_COUNT; m++) {
        buf_printf(&text, " %s=%s", diag_module_name((enum diag_module)m),
                   diag_level_name((enum diag_level)levels[m]));
    }
    diag_info(broker->diag, DIAG_BROKER, "levels of messages were read again%.*s", (int)text.len,
              (const char *)text.data);
    buf_release(&text);
}

/* Everything is read as at the start, and only the levels are taken over: all else counts from the
 * next start on. */
static void asked_to_reload(void *arg, int signum)
{
    struct signals *signals = arg;
    struct broker *broker = signals->broker;
    struct options options;
    (void)signum;
    int code = options_read(&options, signals->source);
    for (size_t i = 0; i < options.n_messages; i++) {
        if (options.messages[i].level == DIAG_ERROR) {
            diag_error(broker->diag, DIAG_BROKER, "%s", options.messages[i].text);
        }
    }
    if (code == 0) {
        take_levels(broker, options.log_levels);
    } else {
        diag_error(broker->diag, DIAG_BROKER,
                   "the settings are not in order; the levels of messages stay as they are: "
                   "correct them, and send SIGHUP again");
    }
    options_release(&options);
}

/* ---- SIGUSR1 ----------------------------------------------------------------------------------*/

static void asked_for_state(void *arg, int signum)
{
    struct signals *signals = arg;
    (void)signum;
    state_dump(signals->broker);
}

/* ---- the watchdog -----------------------------------------------------------------------------*/

static void give_sign(struct timer *timer)
{
    struct signals *signals = container_of(timer, struct signals, watchdog);
    process_notify("WATCHDOG=1");
    timer_set_in(timer, signals->watchdog_ns / 2);
}

void signals_start(struct signals *signals, struct broker *broker,
                   const struct options_source *source)
{
    static const struct {
        int signum;
        void (*caught)(void *arg, int signum);
    } SIGNALS[] = {
        { SIGTERM, asked_to_stop },
        { SIGINT, asked_to_stop },
        { SIGHUP, asked_to_reload },
        { SIGUSR1, asked_for_state },
    };
    *signals = (struct signals){ .broker = broker, .source = source };
    for (size_t i = 0; i < countof(SIGNALS); i++) {
        loop_on_signal(broker->loop, SIGNALS[i].signum, SIGNALS[i].caught, signals);
    }
    timer_init(&signals->watchdog, broker->loop, give_sign);
    signals->watchdog_ns = process_watchdog_ns();
    if (signals->watchdog_ns > 0) {
        give_sign(&signals->watchdog);
    }
}
