// SPDX-License-Identifier: Apache-2.0
#include "loop/resolver.h"

#include "depbroker/clock.h"
#include "depbroker/text.h"

#include <assert.h>
#include <netdb.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 1024 };

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
	struct known_name *of; // not for the thread
	char *name;
	struct host_addresses *addresses; // NULL: none
};

struct known_name {
	struct list in_bucket;
	struct list by_age;  // not linked: it is being looked up
	struct list waiting; // questions
	struct host_addresses *addresses;
	int64_t answered_at_ms;
	char *name;
};

struct resolver {
	struct loop *loop;
	struct meeting *meeting;
	uv_async_t wake;
	int64_t remembered_ms;
	struct list buckets[BUCKETS];
	struct list by_age; // the oldest first
	unsigned remembered;
	unsigned looking_up;
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

static bool start_lookup(struct resolver *resolver, struct known_name *known)
{
	struct lookup *lookup = allocate(sizeof *lookup);

	lookup->meeting = resolver->meeting;
	lookup->of = known;
	lookup->name = duplicate(text_of(known->name));
	must(pthread_mutex_lock(&resolver->meeting->mutex));
	resolver->meeting->holders++;
	must(pthread_mutex_unlock(&resolver->meeting->mutex));
	if (!start_thread(lookup)) {
		lookup_free(lookup);
		leave(resolver->meeting);
		return false;
	}
	resolver->looking_up++;
	return true;
}

static struct list *bucket_of(struct resolver *resolver, const char *name)
{
	uint32_t hash = UINT32_C(2166136261);

	for (; *name != '\0'; name++) {
		hash = (hash ^ (unsigned char)*name) * UINT32_C(16777619);
	}
	return &resolver->buckets[hash % BUCKETS];
}

static struct known_name *find(struct resolver *resolver, const char *name)
{
	LIST_EACH(at, after, bucket_of(resolver, name)) {
		struct known_name *known = CONTAINER_OF(at, struct known_name, in_bucket);

		if (strcmp(known->name, name) == 0) {
			return known;
		}
	}
	return NULL;
}

static struct known_name *add(struct resolver *resolver, const char *name)
{
	struct known_name *known = allocate(sizeof *known);

	known->name = duplicate(text_of(name));
	list_init(&known->waiting);
	list_init(&known->by_age);
	list_add_last(bucket_of(resolver, name), &known->in_bucket);
	return known;
}

static void known_free(struct known_name *known)
{
	assert(list_is_empty(&known->waiting));
	free(known->addresses);
	free(known->name);
	free(known);
}

static bool is_old(const struct resolver *resolver, const struct known_name *known)
{
	return clock_monotonic_ms() - known->answered_at_ms >= resolver->remembered_ms;
}

static void take_from_age(struct resolver *resolver, struct known_name *known)
{
	list_remove(&known->by_age);
	resolver->remembered--;
}

static void forget_the_old(struct resolver *resolver)
{
	while (!list_is_empty(&resolver->by_age)) {
		struct known_name *oldest = LIST_FIRST(&resolver->by_age, struct known_name, by_age);

		if (resolver->remembered <= RESOLVER_NAMES && !is_old(resolver, oldest)) {
			return;
		}
		take_from_age(resolver, oldest);
		list_remove(&oldest->in_bucket);
		known_free(oldest);
	}
}

const struct host_addresses *resolver_known(struct resolver *resolver, const char *name)
{
	const struct known_name *known = find(resolver, name);

	return known != NULL && list_is_linked(&known->by_age) && !is_old(resolver, known) ? known->addresses : NULL;
}

enum err resolver_ask(struct resolver *resolver, struct resolver_question *question, const char *name, struct fault *fault)
{
	struct known_name *known = find(resolver, name);

	if (known != NULL && list_is_linked(&known->by_age)) { // what is remembered of it is too old
		take_from_age(resolver, known);
		list_remove(&known->in_bucket);
		known_free(known);
		known = NULL;
	}
	if (known == NULL) {
		if (resolver->looking_up >= RESOLVER_THREADS) {
			return fault_set(fault, ERR_NETWORK, "too many lookups of other hosts' names hang");
		}
		known = add(resolver, name);
		if (!start_lookup(resolver, known)) {
			list_remove(&known->in_bucket);
			known_free(known);
			return fault_set(fault, ERR_NETWORK, "there is no thread left to look up the host's name");
		}
	}
	list_add_last(&known->waiting, &question->link);
	return OK;
}

void resolver_give_up(struct resolver_question *question)
{
	list_remove(&question->link);
}

static void tell(struct known_name *known)
{
	while (!list_is_empty(&known->waiting)) {
		struct resolver_question *question = LIST_FIRST(&known->waiting, struct resolver_question, link);

		list_remove(&question->link);
		question->answered(question, known->addresses);
	}
}

static void on_answer(struct resolver *resolver, struct lookup *lookup)
{
	struct known_name *known = lookup->of;

	resolver->looking_up--;
	known->addresses = lookup->addresses;
	lookup->addresses = NULL;
	lookup_free(lookup);
	if (known->addresses == NULL) {
		list_remove(&known->in_bucket);
		tell(known);
		known_free(known);
		return;
	}
	tell(known); // still as one that is being looked up: nothing frees it meanwhile
	known->answered_at_ms = clock_monotonic_ms();
	list_add_last(&resolver->by_age, &known->by_age);
	resolver->remembered++;
	forget_the_old(resolver);
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

struct resolver *resolver_open(struct loop *loop, int64_t remembered_ms)
{
	struct resolver *resolver = allocate(sizeof *resolver);
	struct meeting *meeting = allocate(sizeof *meeting);

	must(pthread_mutex_init(&meeting->mutex, NULL));
	list_init(&meeting->answered);
	meeting->wake = &resolver->wake;
	meeting->holders = 1;
	resolver->loop = loop;
	resolver->meeting = meeting;
	resolver->remembered_ms = remembered_ms;
	list_init(&resolver->by_age);
	for (size_t i = 0; i < BUCKETS; i++) {
		list_init(&resolver->buckets[i]);
	}
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
	for (size_t i = 0; i < BUCKETS; i++) {
		LIST_EACH(at, after, &resolver->buckets[i]) {
			known_free(CONTAINER_OF(at, struct known_name, in_bucket));
		}
	}
	resolver->closed = closed;
	resolver->closed_argument = argument;
	uv_close((uv_handle_t *)&resolver->wake, on_wake_closed);
}
