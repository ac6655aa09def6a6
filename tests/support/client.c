/* Blocking sockets on loopback; nothing waits longer than READ_S. */
#include "client.h"

#include "daemon.h"
#include "test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_S = 30 };

void client_open(struct client *client, const struct daemon *daemon)
{
    const struct sockaddr_in to = {
        .sin_family = AF_INET,
        .sin_port = htons(daemon->port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    *client = (struct client){ .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
    arena_init(&client->arena, 0);
    assert_true(client->fd >= 0);
    setsockopt(client->fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){ .tv_sec = READ_S },
               sizeof(struct timeval));
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
    assert_int_equal(connect(client->fd, (const struct sockaddr *)&to, sizeof to), 0);
}

void client_close(struct client *client)
{
    close(client->fd);
    arena_release(&client->arena);
}

void client_forget(struct client *client)
{
    arena_reset(&client->arena);
}

/* ---- sending ----------------------------------------------------------------------------------*/

/* A broker that closes the connection meanwhile is not an error here: reading will tell. */
void client_send_bytes(struct client *client, struct bytes bytes)
{
    for (size_t sent = 0; sent < bytes.len;) {
        ssize_t n = send(client->fd, bytes.data + sent, bytes.len - sent, MSG_NOSIGNAL);
        if (n < 0) {
            assert_true(errno == EPIPE || errno == ECONNRESET);
            return;
        }
        sent += (size_t)n;
    }
}

void client_send_frame(struct client *client, struct bytes frame)
{
    struct buf out = { 0 };
    buf_put_be32(&out, (uint32_t)frame.len);
    buf_put(&out, frame.data, frame.len);
    client_send_bytes(client, buf_bytes(&out));
    buf_release(&out);
}

int32_t client_send(struct client *client, const struct wire_api *api, int16_t version,
                    const void *body)
{
    const struct request_header header = {
        .api_key = api->key,
        .api_version = version,
        .correlation_id = ++client->correlation_id,
        .client_id = text_of("test"),
    };
    struct chain out = { 0 };
    frame_put_request(&out, api, &header, body);
    uint8_t *bytes = mem_alloc(out.len);
    chain_copy(&out, bytes);
    client_send_bytes(client, bytes_of(bytes, out.len));
    free(bytes);
    chain_release(&out);
    return client->correlation_id;
}

/* ---- receiving --------------------------------------------------------------------------------*/

/* False: the connection was closed. Silence for too long fails the test. */
static bool read_all(struct client *client, uint8_t *to, size_t len)
{
    for (size_t have = 0; have < len;) {
        ssize_t n = recv(client->fd, to + have, len - have, 0);
        if (n == 0 || (n < 0 && errno == ECONNRESET)) {
            return false;
        }
        if (n < 0) {
            fail_msg("no answer: %s", strerror(errno));
        }
        have += (size_t)n;
    }
    return true;
}

struct bytes client_read_frame(struct client *client)
{
    uint8_t prefix[FRAME_PREFIX];
    if (!read_all(client, prefix, sizeof prefix)) {
        return bytes_of(NULL, 0);
    }
    size_t len = load_be32(prefix);
    uint8_t *frame = arena_alloc(&client->arena, len);
    return read_all(client, frame, len) ? bytes_of(frame, len) : bytes_of(NULL, 0);
}

bool client_is_shut(struct client *client)
{
    uint8_t byte;
    return !read_all(client, &byte, 1);
}

void *client_receive(struct client *client, const struct wire_api *api, int16_t version,
                     int32_t correlation_id)
{
    struct bytes frame = client_read_frame(client);
    if (frame.data == NULL) {
        fail_msg("%s v%d: the connection was closed", api->name, version);
    }
    bool tags = wire_response_header_version(api, version) > 0;
    size_t header = tags ? 5 : 4, left = 0;
    assert_true(frame.len >= header);
    assert_int_equal((int32_t)load_be32(frame.data), correlation_id);
    if (tags) {
        assert_int_equal(frame.data[4], 0); /* tagged fields of the header: none */
    }
    void *body = arena_alloc(&client->arena, api->response->size);
    struct wire_error error =
        wire_decode(api->response, version, wire_is_flexible(api, version),
                    bytes_part(frame, header, frame.len - header), &client->arena, body, &left);
    if (error.result != WIRE_OK || left != 0) {
        fail_msg("%s v%d: reply cannot be decoded: %s in %s, %zu bytes left", api->name, version,
                 wire_result_text(error.result), error.field ? error.field : "(none)", left);
    }
    return body;
}

void *client_call(struct client *client, const struct wire_api *api, int16_t version,
                  const void *body)
{
    int32_t id = client_send(client, api, version, body);
    return client_receive(client, api, version, id);
}
