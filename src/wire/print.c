/* Messages as one line of text, for people who debug.
 *
 * Tagged fields show only where they are sent. What is long is cut (the number of bytes or elements
 * is told), text is escaped so that nobody's client id can forge a log line, and secret fields are
 * never shown. */
#include <chronik/wire/codec.h>
#include <chronik/wire/error.h>

#include "fields.h"

enum { TEXT_SHOWN = 256, ELEMENTS_SHOWN = 32 };

static void print_text(struct text t, struct buf *to)
{
    if (t.data == NULL) {
        buf_printf(to, "null");
        return;
    }
    size_t shown = t.len < TEXT_SHOWN ? t.len : TEXT_SHOWN;
    buf_put_u8(to, '"');
    for (size_t i = 0; i < shown; i++) {
        unsigned char c = (unsigned char)t.data[i];
        if (c == '"' || c == '\\') {
            buf_printf(to, "\\%c", c);
        } else if (c < ' ' || c == 0x7f) {
            buf_printf(to, "\\x%02x", c);
        } else {
            buf_put_u8(to, c);
        }
    }
    buf_put_u8(to, '"');
    if (shown < t.len) {
        buf_printf(to, "… (%zu bytes)", t.len);
    }
}

static void print_size(bool null, size_t len, struct buf *to)
{
    if (null) {
        buf_printf(to, "null");
    } else {
        buf_printf(to, "<%zu bytes>", len);
    }
}

static void print_number(uint8_t kind, const void *at, struct buf *to)
{
    char uuid[UUID_TEXT_LEN + 1];
    switch (kind) {
    case WIRE_BOOL:
        buf_printf(to, "%s", *(const bool *)at ? "true" : "false");
        break;
    case WIRE_INT8:
        buf_printf(to, "%d", *(const int8_t *)at);
        break;
    case WIRE_INT16:
        buf_printf(to, "%d", *(const int16_t *)at);
        break;
    case WIRE_INT32:
        buf_printf(to, "%d", *(const int32_t *)at);
        break;
    case WIRE_INT64:
        buf_printf(to, "%lld", (long long)*(const int64_t *)at);
        break;
    case WIRE_UINT16:
        buf_printf(to, "%u", *(const uint16_t *)at);
        break;
    case WIRE_UINT32:
        buf_printf(to, "%u", *(const uint32_t *)at);
        break;
    case WIRE_FLOAT64:
        buf_printf(to, "%g", *(const double *)at);
        break;
    default:
        buf_printf(to, "%s", uuid_format(at, uuid));
        break;
    }
}

static void print_value(const struct wire_field *f, uint8_t kind, int16_t version, const void *at,
                        struct buf *to)
{
    const struct bytes *bytes = at;
    const struct records *records = at;

    if (f->is_error) {
        buf_printf(to, "%s", kafka_error_name(*(const int16_t *)at));
    } else if (kind < WIRE_STRING) {
        print_number(kind, at, to);
    } else if (kind == WIRE_STRING) {
        print_text(*(const struct text *)at, to);
    } else if (kind == WIRE_BYTES) {
        print_size(bytes->data == NULL, bytes->len, to);
    } else if (kind == WIRE_RECORDS && records->chain != NULL) {
        print_size(false, records->chain->len, to);
    } else if (kind == WIRE_RECORDS) {
        print_size(records->view.data == NULL, records->view.len, to);
    } else {
        wire_print(f->of, version, at, to);
    }
}

static void print_array(const struct wire_field *f, int16_t version, const uint8_t *at, int32_t n,
                        struct buf *to)
{
    if (n < 0) {
        buf_printf(to, "null");
        return;
    }
    int32_t shown = n < ELEMENTS_SHOWN ? n : ELEMENTS_SHOWN;
    buf_put_u8(to, '[');
    for (int32_t i = 0; i < shown; i++, at += element_size(f)) {
        buf_printf(to, i > 0 ? ", " : "");
        print_value(f, f->element, version, at, to);
    }
    if (shown < n) {
        buf_printf(to, ", … (%d elements)", n);
    }
    buf_put_u8(to, ']');
}

static void print_field(const struct wire_field *f, int16_t version, const void *in, struct buf *to)
{
    const uint8_t *at = (const uint8_t *)in + f->offset;
    if (f->secret) {
        buf_printf(to, "***");
    } else if (f->kind == WIRE_ARRAY) {
        print_array(f, version, load_pointer(at), field_n(f, in), to);
    } else if (!field_is_pointer(f)) {
        print_value(f, f->kind, version, at, to);
    } else if (load_pointer(at) == NULL) {
        buf_printf(to, "null");
    } else {
        wire_print(f->of, version, load_pointer(at), to);
    }
}

void wire_print(const struct wire_struct *s, int16_t version, const void *in, struct buf *to)
{
    const char *comma = "";
    buf_put_u8(to, '{');
    for (unsigned i = 0; i < s->n_fields; i++) {
        const struct wire_field *f = &s->fields[i];
        bool sent = f->tag < 0 || !field_is_default(s, f, in);
        if (field_in(f, version) && sent) {
            buf_printf(to, "%s%s=", comma, f->name);
            print_field(f, version, in, to);
            comma = ", ";
        }
    }
    buf_put_u8(to, '}');
}
