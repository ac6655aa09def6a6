/* What the administrative APIs have in common: names that come twice, names of topics and of
 * brokers, and limits. */
#include <chronik/api/api.h>

#include <inttypes.h>

enum {
    REPLY_BYTES_MAX = 128 * 1024 * 1024, /* of decoded request and reply, in memory */
    MESSAGE_MAX = 1000,                  /* bytes */
};

/* ---- names that come more than once -----------------------------------------------------------*/

struct place {
    struct text name;
    size_t at;
};

static int by_name_and_place(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    int order = text_compare(x->name, y->name);
    return order != 0 ? order : (x->at > y->at) - (x->at < y->at);
}

const uint8_t *api_repeats(struct request *request, const struct text *names, size_t n)
{
    struct place *places = request_alloc(request, n, sizeof *places);
    uint8_t *repeats = request_alloc(request, n, sizeof *repeats);

    for (size_t i = 0; i < n; i++) {
        places[i] = (struct place){ names[i], i };
    }
    qsort(places, n, sizeof *places, by_name_and_place);
    for (size_t i = 0; i < n; i++) {
        bool again = i > 0 && text_equal(places[i].name, places[i - 1].name);
        bool later = i + 1 < n && text_equal(places[i].name, places[i + 1].name);
        repeats[places[i].at] = again ? API_AGAIN : later ? API_FIRST : API_ONCE;
    }
    return repeats;
}

/* ---- limits -----------------------------------------------------------------------------------*/

bool api_reply_is_full(const struct request *request)
{
    return request->arena.used > REPLY_BYTES_MAX;
}

struct pause {
    struct timer timer;
    struct request *request;
    void (*go_on)(struct request *request);
};

static void pause_over(struct timer *timer)
{
    struct pause *pause = container_of(timer, struct pause, timer);
    pause->go_on(pause->request);
}

void api_yield(struct request *request, void (*go_on)(struct request *request))
{
    struct pause *pause = request_alloc(request, 1, sizeof *pause);
    pause->request = request;
    pause->go_on = go_on;
    timer_init(&pause->timer, request->api->loop, pause_over);
    timer_set_in(&pause->timer, 0);
}

struct text api_message(struct request *request, struct text message)
{
    return arena_text(&request->arena, text_head(message, MESSAGE_MAX));
}

struct text api_client_host(struct request *request)
{
    char text[NET_ADDRESS_TEXT];
    if (request->peer == NULL) {
        return text_of("");
    }
    net_format(request->peer, text);
    *strrchr(text, ':') = '\0'; /* the port */
    bool bracketed = text[0] == '[';
    int len = (int)strlen(text) - 2 * bracketed;
    return arena_printf(&request->arena, "/%.*s", len, text + bracketed);
}

/* ---- names ------------------------------------------------------------------------------------*/

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '.' || c == '_' || c == '-';
}

static const char *name_fault(struct text name)
{
    if (name.len == 0) {
        return "it is empty";
    }
    if (text_is(name, ".") || text_is(name, "..")) {
        return "it means a directory";
    }
    if (name.len > IMAGE_TOPIC_NAME_MAX) {
        return "it is longer than 249 characters";
    }
    for (size_t i = 0; i < name.len; i++) {
        if (!is_name_char(name.data[i])) {
            return "letters, digits, '.', '_' and '-' are allowed";
        }
    }
    return NULL;
}

bool api_topic_name_ok(struct request *request, struct text name, struct text *ret_message)
{
    const char *fault = name_fault(name);
    if (fault != NULL) {
        *ret_message = arena_printf(&request->arena, "'%.*s' cannot be a topic's name: %s.",
                                    TEXT_ARG(text_head(name, IMAGE_TOPIC_NAME_MAX)), fault);
    }
    return fault == NULL;
}

enum kafka_error api_check_node(struct request *request, struct text name,
                                struct text *ret_message)
{
    int64_t id;
    if (!text_to_i64(name, &id)) {
        *ret_message = arena_printf(&request->arena, "'%.*s' is not the id of a broker.",
                                    TEXT_ARG(text_head(name, IMAGE_TOPIC_NAME_MAX)));
        return KAFKA_INVALID_REQUEST;
    }
    if (id != request->api->node_id) {
        *ret_message = arena_printf(&request->arena,
                                    "This is broker %" PRId32 ", asked about broker %" PRId64
                                    ": send the request to that one.",
                                    request->api->node_id, id);
        return KAFKA_INVALID_REQUEST;
    }
    return KAFKA_NONE;
}

static int by_number(const void *a, const void *b)
{
    const int32_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

bool api_number_repeats(struct request *request, const int32_t *numbers, size_t n)
{
    int32_t *sorted = request_alloc(request, n, sizeof *sorted);
    for (size_t i = 0; i < n; i++) {
        sorted[i] = numbers[i];
    }
    qsort(sorted, n, sizeof *sorted, by_number);
    for (size_t i = 1; i < n; i++) {
        if (sorted[i] == sorted[i - 1]) {
            return true;
        }
    }
    return false;
}
