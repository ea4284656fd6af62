// SPDX-License-Identifier: Apache-2.0
//
// list.h - a doubly linked list whose links live inside its members.
//
// Ownership  the list owns nothing. An object is in at most one list per link.
// Laws       list_remove leaves the link empty, so removing twice is harmless and list_is_linked tells.
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *next;
	struct list *previous;
};

#define CONTAINER_OF(pointer, type, member) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

static inline void list_init(struct list *list)
{
	list->next = list;
	list->previous = list;
}

static inline bool list_is_empty(const struct list *list)
{
	return list->next == list || list->next == NULL;
}

static inline bool list_is_linked(const struct list *link)
{
	return link->next != NULL && link->next != link;
}

static inline void list_add_last(struct list *list, struct list *link)
{
	link->next = list;
	link->previous = list->previous;
	list->previous->next = link;
	list->previous = link;
}

static inline void list_add_first(struct list *list, struct list *link)
{
	link->previous = list;
	link->next = list->next;
	list->next->previous = link;
	list->next = link;
}

static inline void list_remove(struct list *link)
{
	if (list_is_linked(link)) {
		link->previous->next = link->next;
		link->next->previous = link->previous;
	}
	list_init(link);
}

// The first member, or NULL.
#define LIST_FIRST(list, type, member) \
	(list_is_empty(list) ? NULL : CONTAINER_OF((list)->next, type, member))

// Visits every link; the visited one may be removed meanwhile.
#define LIST_EACH(at, after, head) \
	for (struct list *at = (head)->next, *after = at->next; at != (head); at = after, after = at->next)
