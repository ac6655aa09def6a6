/* Frames: the length prefix, and the headers of requests and responses. */
#ifndef CHRONIK_WIRE_FRAME_H
#define CHRONIK_WIRE_FRAME_H

#include <chronik/wire/codec.h>

enum { FRAME_PREFIX = 4, FRAME_HEADER_MIN = 8 }; /* bytes */

/* The header of a request. The first three fields have a fixed place, so that a version we do not
 * know can be answered (ApiVersions) or refused before anything else is parsed. */
struct request_header {
    int16_t api_key, api_version;
    int32_t correlation_id;
    struct text client_id; /* a view into the frame; may be null */
};

/* The fixed part: key, version, correlation id. False when the frame is shorter than 8 bytes. */
bool frame_peek(struct bytes frame, struct request_header *ret_header);

/* The whole header of a request of a known API and version; `*ret_body` is what follows. */
struct wire_error frame_parse(struct bytes frame, const struct wire_api *api,
                              struct request_header *ret_header, struct bytes *ret_body);

/* Appends a whole response frame (prefix, header, body) or request frame. */
void frame_put_response(struct chain *out, const struct wire_api *api, int16_t version,
                        int32_t correlation_id, const void *body);
void frame_put_request(struct chain *out, const struct wire_api *api,
                       const struct request_header *header, const void *body);

#endif
