/* Frames: four bytes of length, a header, a body.
 *
 *   request   length int32, api key int16, api version int16, correlation id int32,
 *             client id int16 length + bytes (-1: null), [tagged fields], body
 *   response  length int32, correlation id int32, [tagged fields], body
 *
 * Headers of flexible versions have tagged fields, of which none is defined: unknown ones are
 * skipped. The client id keeps its old form in them. */
#include <chronik/wire/frame.h>

/* Tagged fields alone: a struct without fields. */
static const struct wire_struct no_fields = { .name = "header", .defaults = "" };

static struct wire_error failure(enum wire_result result, const char *field)
{
    return (struct wire_error){ .result = result, .field = field };
}

bool frame_peek(struct bytes frame, struct request_header *ret_header)
{
    if (frame.len < FRAME_HEADER_MIN) {
        return false;
    }
    *ret_header = (struct request_header){
        .api_key = (int16_t)load_be16(frame.data),
        .api_version = (int16_t)load_be16(frame.data + 2),
        .correlation_id = (int32_t)load_be32(frame.data + 4),
        .client_id = TEXT_NULL,
    };
    return true;
}

static struct wire_error skip_tags(struct bytes *rest)
{
    char nothing;
    size_t left = 0;
    struct wire_error error = wire_decode(&no_fields, 0, true, *rest, NULL, &nothing, &left);
    *rest = bytes_part(*rest, rest->len - left, left);
    return error;
}

struct wire_error frame_parse(struct bytes frame, const struct wire_api *api,
                              struct request_header *ret_header, struct bytes *ret_body)
{
    struct request_header header;
    if (!frame_peek(frame, &header) || frame.len < FRAME_HEADER_MIN + 2) {
        return failure(WIRE_SHORT, "header");
    }
    struct bytes rest = bytes_part(frame, FRAME_HEADER_MIN + 2, frame.len - FRAME_HEADER_MIN - 2);
    int16_t len = (int16_t)load_be16(frame.data + FRAME_HEADER_MIN);

    if (len < -1) {
        return failure(WIRE_MALFORMED, "client_id");
    }
    if (len >= 0) {
        if ((size_t)len > rest.len) {
            return failure(WIRE_SHORT, "client_id");
        }
        header.client_id = text_part((const char *)rest.data, (size_t)len);
        rest = bytes_part(rest, (size_t)len, rest.len - (size_t)len);
    }
    struct wire_error error = failure(WIRE_OK, NULL);
    if (wire_request_header_version(api, header.api_version) >= 2) {
        error = skip_tags(&rest);
    }
    if (error.result == WIRE_OK) {
        *ret_header = header;
        *ret_body = rest;
    }
    return error;
}

/* Appends the body and fills in the length of the frame that began at `length`. */
static void finish(struct chain *out, uint8_t *length, size_t before, const struct wire_struct *s,
                   int16_t version, bool flexible, const void *body)
{
    wire_encode(s, version, flexible, body, out);
    size_t len = out->len - before - FRAME_PREFIX;
    check(len <= INT32_MAX);
    store_be32(length, (uint32_t)len);
}

void frame_put_response(struct chain *out, const struct wire_api *api, int16_t version,
                        int32_t correlation_id, const void *body)
{
    bool tags = wire_response_header_version(api, version) >= 1;
    size_t before = out->len;
    uint8_t *head = chain_reserve(out, FRAME_PREFIX + 4 + (tags ? 1 : 0));
    store_be32(head + FRAME_PREFIX, (uint32_t)correlation_id);
    if (tags) {
        head[FRAME_PREFIX + 4] = 0;
    }
    finish(out, head, before, api->response, version, wire_is_flexible(api, version), body);
}

void frame_put_request(struct chain *out, const struct wire_api *api,
                       const struct request_header *header, const void *body)
{
    int16_t version = header->api_version;
    size_t before = out->len;
    uint8_t *head = chain_reserve(out, FRAME_PREFIX + FRAME_HEADER_MIN + 2);
    bool null = header->client_id.data == NULL;

    check(header->client_id.len <= INT16_MAX);
    store_be16(head + FRAME_PREFIX, (uint16_t)header->api_key);
    store_be16(head + FRAME_PREFIX + 2, (uint16_t)version);
    store_be32(head + FRAME_PREFIX + 4, (uint32_t)header->correlation_id);
    store_be16(head + FRAME_PREFIX + 8, (uint16_t)(null ? -1 : (int)header->client_id.len));
    chain_put(out, header->client_id.data, header->client_id.len);
    if (wire_request_header_version(api, version) >= 2) {
        *chain_reserve(out, 1) = 0;
    }
    finish(out, head, before, api->request, version, wire_is_flexible(api, version), body);
}
