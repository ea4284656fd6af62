// SPDX-License-Identifier: Apache-2.0
#include "loop/resolver.h"

#include "depbroker/text.h"

#include <assert.h>
#include <netdb.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

// What the threads share with the resolver. The last one who has it frees it: a thread may outlive the resolver.
struct meeting {
	pthread_mutex_t mutex;
	struct list answered; // lookups
	uv_async_t *wake;     // NULL: the resolver is closed
	unsigned holders;
};

struct lookup {
	struct list link; // in meeting->answered
	struct meeting *meeting;
	struct sought *sought; // not for the thread
	char *name;
	struct host_addresses *addresses; // NULL: none
};

// A name that is being looked up.
struct sought {
	struct list link;    // in resolver->sought
	struct list waiting; // questions
	int64_t key;         // of the first of them
	char *name;
};

struct resolver {
	struct loop *loop;
	struct meeting *meeting;
	uv_async_t wake;
	struct list sought;
	unsigned sought_count;
	void (*closed)(void *argument);
	void *closed_argument;
};

static void must(int result)
{
	if (result != 0) { // only exhaustion of memory or descriptors gets here
		abort();
	}
}

struct host_addresses *host_addresses_new(size_t count)
{
	struct host_addresses *addresses = allocate(sizeof *addresses + count * sizeof addresses->list[0]);

	addresses->count = count;
	return addresses;
}

static struct host_addresses *copy_of(const struct addrinfo *found)
{
	size_t count = 0;

	for (const struct addrinfo *at = found; at != NULL; at = at->ai_next) {
		count++;
	}
	if (count == 0 || count > RESOLVER_ADDRESSES_MAX) {
		return NULL;
	}
	struct host_addresses *addresses = host_addresses_new(count);

	for (size_t i = 0; i < count; i++, found = found->ai_next) {
		if (found->ai_family == AF_INET) {
			memcpy(&addresses->list[i].v4, found->ai_addr, sizeof addresses->list[i].v4);
		} else if (found->ai_family == AF_INET6) {
			memcpy(&addresses->list[i].v6, found->ai_addr, sizeof addresses->list[i].v6);
		}
	}
	return addresses;
}

static void lookup_free(struct lookup *lookup)
{
	free(lookup->addresses);
	free(lookup->name);
	free(lookup);
}

static void leave(struct meeting *meeting)
{
	must(pthread_mutex_lock(&meeting->mutex));
	const bool is_last = --meeting->holders == 0;

	must(pthread_mutex_unlock(&meeting->mutex));
	if (is_last) {
		must(pthread_mutex_destroy(&meeting->mutex));
		free(meeting);
	}
}

static void hand_over(struct lookup *lookup)
{
	struct meeting *meeting = lookup->meeting;

	must(pthread_mutex_lock(&meeting->mutex));
	const bool is_wanted = meeting->wake != NULL;

	if (is_wanted) {
		list_add_last(&meeting->answered, &lookup->link);
		must(uv_async_send(meeting->wake));
	}
	must(pthread_mutex_unlock(&meeting->mutex));
	if (!is_wanted) {
		lookup_free(lookup);
	}
	leave(meeting);
}

static void *look_up(void *argument)
{
	const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
	struct lookup *lookup = argument;
	struct addrinfo *found = NULL;

	if (getaddrinfo(lookup->name, NULL, &hints, &found) == 0 && found != NULL) {
		lookup->addresses = copy_of(found);
		freeaddrinfo(found);
	}
	hand_over(lookup);
	return NULL;
}

static bool start_thread(struct lookup *lookup)
{
	pthread_attr_t detached;
	pthread_t thread;

	must(pthread_attr_init(&detached));
	must(pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED));
	const bool is_started = pthread_create(&thread, &detached, look_up, lookup) == 0;

	must(pthread_attr_destroy(&detached));
	return is_started;
}

static bool start_lookup(struct resolver *resolver, struct sought *sought)
{
	struct lookup *lookup = allocate(sizeof *lookup);

	lookup->meeting = resolver->meeting;
	lookup->sought = sought;
	lookup->name = duplicate(text_of(sought->name));
	must(pthread_mutex_lock(&resolver->meeting->mutex));
	resolver->meeting->holders++;
	must(pthread_mutex_unlock(&resolver->meeting->mutex));
	if (!start_thread(lookup)) {
		lookup_free(lookup);
		leave(resolver->meeting);
		return false;
	}
	return true;
}

static struct sought *find(struct resolver *resolver, const char *name)
{
	LIST_EACH(at, after, &resolver->sought) {
		struct sought *sought = CONTAINER_OF(at, struct sought, link);

		if (strcmp(sought->name, name) == 0) {
			return sought;
		}
	}
	return NULL;
}

static unsigned count_of(struct resolver *resolver, int64_t key)
{
	unsigned count = 0;

	LIST_EACH(at, after, &resolver->sought) {
		count += CONTAINER_OF(at, struct sought, link)->key == key;
	}
	return count;
}

static struct sought *add(struct resolver *resolver, int64_t key, const char *name)
{
	struct sought *sought = allocate(sizeof *sought);

	sought->key = key;
	sought->name = duplicate(text_of(name));
	list_init(&sought->waiting);
	list_add_last(&resolver->sought, &sought->link);
	resolver->sought_count++;
	return sought;
}

static void take_out(struct resolver *resolver, struct sought *sought)
{
	list_remove(&sought->link);
	resolver->sought_count--;
}

static void sought_free(struct sought *sought)
{
	assert(list_is_empty(&sought->waiting));
	free(sought->name);
	free(sought);
}

enum err resolver_ask(struct resolver *resolver, struct resolver_question *question, int64_t key, const char *name, struct fault *fault)
{
	struct sought *sought = find(resolver, name);

	if (sought == NULL) {
		if (resolver->sought_count >= RESOLVER_THREADS || count_of(resolver, key) >= RESOLVER_THREADS_PER_KEY) {
			return fault_set(fault, ERR_NETWORK, "too many lookups of other hosts' names hang");
		}
		sought = add(resolver, key, name);
		if (!start_lookup(resolver, sought)) {
			take_out(resolver, sought);
			sought_free(sought);
			return fault_set(fault, ERR_NETWORK, "there is no thread left to look up the host's name");
		}
	}
	list_add_last(&sought->waiting, &question->link);
	return OK;
}

void resolver_give_up(struct resolver_question *question)
{
	list_remove(&question->link);
}

static void on_answer(struct resolver *resolver, struct lookup *lookup)
{
	struct sought *sought = lookup->sought;

	take_out(resolver, sought); // whoever asks from here on begins another lookup
	while (!list_is_empty(&sought->waiting)) {
		struct resolver_question *question = LIST_FIRST(&sought->waiting, struct resolver_question, link);

		list_remove(&question->link);
		question->answered(question, lookup->addresses);
	}
	sought_free(sought);
	lookup_free(lookup);
}

static void on_wake(uv_async_t *wake)
{
	struct resolver *resolver = CONTAINER_OF(wake, struct resolver, wake);
	struct meeting *meeting = resolver->meeting;
	struct list *first;

	do {
		must(pthread_mutex_lock(&meeting->mutex));
		first = list_is_empty(&meeting->answered) ? NULL : meeting->answered.next;
		if (first != NULL) {
			list_remove(first);
		}
		must(pthread_mutex_unlock(&meeting->mutex));
		if (first != NULL) {
			on_answer(resolver, CONTAINER_OF(first, struct lookup, link));
		}
	} while (first != NULL);
}

struct resolver *resolver_open(struct loop *loop)
{
	struct resolver *resolver = allocate(sizeof *resolver);
	struct meeting *meeting = allocate(sizeof *meeting);

	must(pthread_mutex_init(&meeting->mutex, NULL));
	list_init(&meeting->answered);
	meeting->wake = &resolver->wake;
	meeting->holders = 1;
	resolver->loop = loop;
	resolver->meeting = meeting;
	list_init(&resolver->sought);
	must(uv_async_init(&loop->uv, &resolver->wake, on_wake));
	uv_unref((uv_handle_t *)&resolver->wake); // whoever asks has a deadline, which keeps the loop running
	return resolver;
}

static void on_wake_closed(uv_handle_t *handle)
{
	struct resolver *resolver = CONTAINER_OF(handle, struct resolver, wake);
	void (*closed)(void *argument) = resolver->closed;
	void *argument = resolver->closed_argument;

	free(resolver);
	closed(argument);
}

void resolver_close(struct resolver *resolver, void (*closed)(void *argument), void *argument)
{
	struct meeting *meeting = resolver->meeting;

	must(pthread_mutex_lock(&meeting->mutex));
	meeting->wake = NULL;
	must(pthread_mutex_unlock(&meeting->mutex));
	LIST_EACH(at, after, &meeting->answered) { // nobody adds any more
		lookup_free(CONTAINER_OF(at, struct lookup, link));
	}
	leave(meeting);
	LIST_EACH(at, after, &resolver->sought) {
		sought_free(CONTAINER_OF(at, struct sought, link));
	}
	resolver->closed = closed;
	resolver->closed_argument = argument;
	uv_close((uv_handle_t *)&resolver->wake, on_wake_closed);
}
