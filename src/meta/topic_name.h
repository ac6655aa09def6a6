/* Which topic names are allowed. */
#ifndef CHRONIK_SRC_META_TOPIC_NAME_H
#define CHRONIK_SRC_META_TOPIC_NAME_H

#include <chronik/base/arena.h>
#include <chronik/meta/image.h>

/* The names of an image, as they are in metrics: '.' and '_' are the same there. Filled when it is
 * needed first, so that a request with many topics looks at them once. */
struct metric_names {
    const struct image *image;
    struct arena *arena;
    struct metric_name *names; /* sorted; NULL: not filled */
    size_t n;
};

/* KAFKA_NONE, or INVALID_TOPIC_EXCEPTION and why. `taken` NULL: any collision is fine. */
enum kafka_error topic_name_check(struct text name, struct metric_names *taken,
                                  struct arena *arena, struct text *ret_message);

#endif
