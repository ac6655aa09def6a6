/* `chronikd --dump-log DIR`: what a data directory holds, for people and for programs. */
#ifndef CHRONIK_CHRONIKD_DUMP_LOG_H
#define CHRONIK_CHRONIKD_DUMP_LOG_H

#include <chronik/chronikd/options.h>

/* Prints through `print`, which returns false when that failed. The code to exit with: EXIT_CLEAN,
 * EXIT_FATAL when something is damaged or the partition that is wanted is not there, EXIT_STORAGE
 * when the directory cannot be read. */
int dump_log(const struct options_dump *asked, bool (*print)(struct bytes out));

#endif
