/* Intrusive doubly linked lists: a `struct list` is both the head and the link inside an item.
 *
 *     struct waiter { struct list link; ... };
 *     struct list waiters;
 *     list_init(&waiters);
 *     list_push_back(&waiters, &w->link);
 *     list_each (it, &waiters) { struct waiter *w = container_of(it, struct waiter, link); ... }
 */
#ifndef CHRONIK_BASE_LIST_H
#define CHRONIK_BASE_LIST_H

#include <chronik/base/mem.h>

struct list {
    struct list *prev, *next;
};

/* A head becomes empty; a link becomes "in no list". */
static inline void list_init(struct list *list)
{
    list->prev = list->next = list;
}

/* For a head: nothing in it. For a link: in no list. */
static inline bool list_empty(const struct list *list)
{
    return list->next == list;
}

static inline void list_insert_after(struct list *at, struct list *link)
{
    link->prev = at;
    link->next = at->next;
    at->next->prev = link;
    at->next = link;
}

static inline void list_push_front(struct list *head, struct list *link)
{
    list_insert_after(head, link);
}

static inline void list_push_back(struct list *head, struct list *link)
{
    list_insert_after(head->prev, link);
}

/* Takes the item out of its list; harmless when it is in none (but initialised). */
static inline void list_remove(struct list *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    list_init(link);
}

/* Takes the first item out; NULL when there is none. */
static inline struct list *list_pop_front(struct list *head)
{
    struct list *first = head->next;
    if (first == head) {
        return NULL;
    }
    list_remove(first);
    return first;
}

static inline struct list *list_first(const struct list *head)
{
    return head->next == head ? NULL : head->next;
}

static inline struct list *list_last(const struct list *head)
{
    return head->prev == head ? NULL : head->prev;
}

/* Moves all items of `from` to the end of `to`; `from` is empty afterwards. */
static inline void list_splice_back(struct list *to, struct list *from)
{
    if (!list_empty(from)) {
        from->next->prev = to->prev;
        to->prev->next = from->next;
        from->prev->next = to;
        to->prev = from->prev;
        list_init(from);
    }
}

/* Visits every link; the body may remove the visited one from the list. */
#define list_each(it, head)                                                                        \
    for (struct list *it = (head)->next, *it##_next = it->next; it != (head);                      \
         it = it##_next, it##_next = it->next)

#endif
