/* A client for tests: blocking, one connection, raw frames through our own codec.
 *
 * A reply is decoded to its last byte, or the test fails: a field too many or too few in some
 * version cannot hide. Whatever a reply points to lives until client_forget() or client_close(). */
#ifndef CHRONIK_TESTS_SUPPORT_CLIENT_H
#define CHRONIK_TESTS_SUPPORT_CLIENT_H

#include <chronik/wire/api.h>
#include <chronik/wire/frame.h>

struct daemon;

struct client {
    int fd;
    int32_t correlation_id; /* of the last request */
    struct arena arena;
};

void client_open(struct client *client, const struct daemon *daemon);
void client_close(struct client *client);
void client_forget(struct client *client);

/* Sends a request and returns its correlation id. */
int32_t client_send(struct client *client, const struct wire_api *api, int16_t version,
                    const void *body);

/* The reply to a request of that API and version; it must be the next one, and complete. */
void *client_receive(struct client *client, const struct wire_api *api, int16_t version,
                     int32_t correlation_id);

void *client_call(struct client *client, const struct wire_api *api, int16_t version,
                  const void *body);

/* The same with the types of one API:
 *     struct metadata_response *out = CALL(&client, metadata, 12, &in); */
#define CALL(client, name, version, request)                                                       \
    ((struct name##_response *)client_call(client, &wire_##name, version,                          \
                                           (const struct name##_request *){ request }))

/* Raw bytes; and a whole frame around them. */
void client_send_bytes(struct client *client, struct bytes bytes);
void client_send_frame(struct client *client, struct bytes frame);

/* The next frame without its prefix, or null bytes when the broker closes the connection. */
struct bytes client_read_frame(struct client *client);

/* Does the broker close the connection without another word? */
bool client_is_shut(struct client *client);

#endif
