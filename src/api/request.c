/* The end of a request, and its memory. */
#include <chronik/api/api.h>

void request_finish(struct request *request, enum request_outcome outcome)
{
    check(request->outcome == REQUEST_OPEN && outcome != REQUEST_OPEN);
    request->outcome = outcome;
    request->cancel = NULL;
    metric_observe(&request->api->latency[request->header.api_key],
                   loop_now_ns(request->api->loop) - request->received_ns);
    request->finished(request);
}

void *request_alloc(struct request *request, size_t n, size_t size)
{
    void *items = arena_zalloc_array(&request->arena, n, size);
    check(items != NULL);
    return items;
}

void *request_fill(struct request *request, size_t n, size_t size, const void *item)
{
    uint8_t *items = request_alloc(request, n, size);
    for (size_t i = 0; i < n; i++) {
        memcpy(items + i * size, item, size);
    }
    return items;
}

struct text request_text(struct request *request, const char *s)
{
    return arena_text(&request->arena, text_of(s));
}
