/* Records as the state machines write and read them: a number, and a message behind it.
 *
 *   key    int16 kind     message of that kind
 *   value  int16 version  message in that version; null: a tombstone
 *
 * (Kafka's format in every topic of a coordinator.) */
#include <chronik/coord/log.h>

#include <chronik/wire/codec.h>

enum { NUMBER = 2 /* bytes */ };

void coord_batch_release(struct coord_batch *batch)
{
    free(batch->records);
    arena_release(&batch->arena);
    *batch = (struct coord_batch){ 0 };
}

static struct bytes encode(struct arena *arena, int16_t number, const struct wire_api *type,
                           int16_t version, const void *message)
{
    struct chain chain = { 0 };
    wire_encode(type->request, version, wire_is_flexible(type, version), message, &chain);
    size_t len = NUMBER + chain.len;
    uint8_t *data = arena_alloc(arena, len);
    store_be16(data, (uint16_t)number);
    chain_copy(&chain, data + NUMBER);
    chain_release(&chain);
    return bytes_of(data, len);
}

void coord_batch_add(struct coord_batch *batch, const struct wire_api *key_type, const void *key,
                     const struct wire_api *value_type, int16_t version, const void *value)
{
    batch->records =
        mem_grow(batch->records, &batch->cap, batch->n + 1, sizeof *batch->records);
    struct coord_record *record = &batch->records[batch->n++];
    *record = (struct coord_record){ .producer_id = -1, .producer_epoch = -1 };
    record->key = encode(&batch->arena, key_type->key, key_type, 0, key);
    if (value != NULL) {
        record->value = encode(&batch->arena, version, value_type, version, value);
    }
    batch->bytes += record->key.len + record->value.len;
}

int32_t coord_record_kind(struct bytes bytes)
{
    return bytes.len >= NUMBER ? (int16_t)load_be16(bytes.data) : -1;
}

bool coord_decode(const struct wire_api *type, int16_t version, struct bytes bytes,
                  struct arena *arena, void *out)
{
    if (bytes.len < NUMBER || version < type->min_version || version > type->max_version) {
        return false;
    }
    struct bytes body = bytes_part(bytes, NUMBER, bytes.len - NUMBER);
    return wire_decode(type->request, version, wire_is_flexible(type, version), body, arena, out,
                       NULL)
               .result == WIRE_OK;
}
