/* Histories as lines of JSON (docs/history.md), given to a judge. */
#ifndef CHRONIK_CHAOS_READ_H
#define CHRONIK_CHAOS_READ_H

#include "judge.h"

/* Takes one operation; false: the line is not one. */
bool read_operation(struct judge *judge, struct text line);

/* Takes a whole file, line by line, with empty ones among them. A last line without its end is not
 * there yet, and left out. Returns the number of lines; or 0 with what is wrong in `*ret_error`,
 * which the caller frees. */
uint64_t read_history(struct judge *judge, const char *path, char **ret_error);

#endif
