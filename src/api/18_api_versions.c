/* ApiVersions (key 18): which APIs, in which versions, and which features there are.
 *
 * The first request of almost every client, answered before the broker is ready. A version that we
 * do not know comes here without a body and is answered in version 0 (KIP-511), whose header and
 * body every client can read.
 *
 * Version notes: features from 3 on; below 4, supported features whose minimum is 0 are left out
 * (KAFKA-17011); from 5 on a client may say which cluster and node it means to talk to
 * (KIP-1242). */
#include "handlers.h"

#include <chronik/meta/features.h>
#include <chronik/wire/api.h>

static void fill_keys(struct request *request)
{
    struct api_versions_response *out = request->reply;
    out->api_keys = request_items(request, api_table_count, api_versions_response_api_key);
    for (unsigned i = 0; i < api_table_count; i++) {
        const struct wire_api *api = api_table[i].wire;
        out->api_keys[out->n_api_keys++] = (struct api_versions_response_api_key){
            .api_key = api->key,
            .min_version = api->advertised_min,
            .max_version = api->advertised_max,
        };
    }
}

static void fill_supported(struct request *request)
{
    struct api_versions_response *out = request->reply;
    out->supported_features = request_items(request, meta_feature_count,
                                            api_versions_response_supported_feature);
    for (unsigned i = 0; i < meta_feature_count; i++) {
        if (meta_features[i].min == 0 && request->header.api_version < 4) {
            continue;
        }
        out->supported_features[out->n_supported_features++] =
            (struct api_versions_response_supported_feature){
                .name = text_of(meta_features[i].name),
                .min_version = meta_features[i].min,
                .max_version = meta_features[i].max,
            };
    }
}

static void fill_finalized(struct request *request)
{
    struct api_versions_response *out = request->reply;
    const struct image *image = meta_image(request->api->meta);
    size_t n = image_feature_count(image);
    out->finalized_features_epoch = (int64_t)image_index(image);
    out->finalized_features =
        request_items(request, n, api_versions_response_finalized_feature);
    for (size_t i = 0; i < n; i++) {
        const struct image_feature *feature = image_feature_at(image, i);
        out->finalized_features[out->n_finalized_features++] =
            (struct api_versions_response_finalized_feature){
                .name = request_text(request, feature->name),
                .min_version_level = feature->level,
                .max_version_level = feature->level,
            };
    }
}

/* From version 5 on: is this the cluster, and the node, that the client wants? */
static enum kafka_error check_target(const struct request *request)
{
    const struct api_versions_request *in = request->body;
    const struct api *api = request->api;
    bool names_cluster = in->cluster_id.data != NULL, names_node = in->node_id != -1;
    if (names_cluster != names_node) {
        return KAFKA_INVALID_REQUEST;
    }
    if (!names_cluster || !api->ready) {
        return KAFKA_NONE;
    }
    bool same = text_is(in->cluster_id, image_cluster_id(meta_image(api->meta))) &&
                in->node_id == api->node_id;
    return same ? KAFKA_NONE : KAFKA_REBOOTSTRAP_REQUIRED;
}

static bool valid_software_name(struct text t)
{
    for (size_t i = 0; i < t.len; i++) {
        char c = t.data[i];
        bool inner = c == '-' || c == '.';
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && !(inner && i > 0 && i + 1 < t.len)) {
            return false;
        }
    }
    return t.len > 0;
}

void handle_api_versions(struct request *request)
{
    struct api_versions_response *out = request->reply;
    const struct api_versions_request *in = request->body;
    enum kafka_error error = KAFKA_NONE;

    if (in == NULL) {
        error = KAFKA_UNSUPPORTED_VERSION;
    } else if (request->header.api_version >= 3 &&
               !(valid_software_name(in->client_software_name) &&
                 valid_software_name(in->client_software_version))) {
        error = KAFKA_INVALID_REQUEST;
    } else if (request->header.api_version >= 5) {
        error = check_target(request);
    }
    out->error = (int16_t)error;
    if (error == KAFKA_NONE) {
        fill_keys(request);
        fill_supported(request);
        if (request->api->ready) {
            fill_finalized(request);
        }
    } else if (error == KAFKA_UNSUPPORTED_VERSION) {
        const struct wire_api *self = request->entry->wire;
        out->api_keys = request_items(request, 1, api_versions_response_api_key);
        out->n_api_keys = 1;
        out->api_keys[0] = (struct api_versions_response_api_key){
            .api_key = self->key,
            .min_version = self->advertised_min,
            .max_version = self->advertised_max,
        };
    }
    request_reply(request);
}
