/* The table of APIs: which keys are served, by which handler. ApiVersions advertises exactly
 * this. */
#ifndef CHRONIK_API_TABLE_H
#define CHRONIK_API_TABLE_H

#include <chronik/api/request.h>

enum api_flags {
    API_PIPELINED = 1, /* may begin before earlier pipelined requests of its connection are
                          answered; all else waits for all earlier ones, as with Apache Kafka */
    API_ANYTIME = 2,   /* can be answered before the broker is ready */
};

struct api_entry {
    const struct wire_api *wire;
    void (*handle)(struct request *request);
    unsigned flags;
};

/* In order of keys. */
extern const struct api_entry api_table[];
extern const unsigned api_table_count;

/* The entry of a key, or NULL when it is not served. */
const struct api_entry *api_find(int16_t key);

#endif
