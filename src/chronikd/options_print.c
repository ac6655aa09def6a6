/* --print-config: every setting in effect, as a properties file that gives the same ones. */
#include "options_inside.h"

#include <chronik/base/properties.h>

void options_print(const struct options *o, struct buf *out)
{
    size_t n;
    const struct config_def *table = config_table(CONFIG_BROKER, &n);
    for (size_t i = 0; i < n; i++) {
        struct text value = options_get(o, table[i].name);
        const char *where = config_set_get(&o->origins, text_of(table[i].name));
        if (where != NULL) {
            buf_printf(out, "# %s\n", where);
        }
        if (table[i].type == CONFIG_PASSWORD) {
            buf_printf(out, "# %s is %s\n", table[i].name, value.data ? "set (hidden)" : "not set");
        } else if (value.data == NULL) {
            buf_printf(out, "# %s is not set\n", table[i].name);
        } else {
            properties_put(out, table[i].name, value);
        }
    }
}
