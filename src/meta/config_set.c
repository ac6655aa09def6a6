/* Sets of settings: a sorted array, searched by halves. A topic has a handful of items, a
 * properties file some dozens. */
#include <chronik/meta/config.h>

void config_set_release(struct image_configs *set)
{
    for (size_t i = 0; i < set->n; i++) {
        free(set->items[i].name);
        free(set->items[i].value);
    }
    free(set->items);
    *set = (struct image_configs){ 0 };
}

/* The place of the name, or where it would have to be inserted. */
static size_t place_of(const struct image_configs *set, struct text name, bool *ret_found)
{
    size_t low = 0, high = set->n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = text_compare(name, text_of(set->items[middle].name));
        if (order == 0) {
            *ret_found = true;
            return middle;
        }
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    *ret_found = false;
    return low;
}

void config_set_put(struct image_configs *set, struct text name, struct text value)
{
    bool found;
    size_t at = place_of(set, name, &found);
    char *copy = text_dup(value);
    if (found) {
        free(set->items[at].value);
        set->items[at].value = copy;
        return;
    }
    set->items = mem_realloc_array(set->items, set->n + 1, sizeof *set->items);
    memmove(&set->items[at + 1], &set->items[at], (set->n - at) * sizeof *set->items);
    set->items[at] = (struct image_config){ .name = text_dup(name), .value = copy };
    set->n++;
}

void config_set_remove(struct image_configs *set, struct text name)
{
    bool found;
    size_t at = place_of(set, name, &found);
    if (!found) {
        return;
    }
    free(set->items[at].name);
    free(set->items[at].value);
    set->n--;
    memmove(&set->items[at], &set->items[at + 1], (set->n - at) * sizeof *set->items);
}

const char *config_set_get(const struct image_configs *set, struct text name)
{
    bool found = false;
    size_t at = set != NULL ? place_of(set, name, &found) : 0;
    return found ? set->items[at].value : NULL;
}
