// SPDX-License-Identifier: Apache-2.0
#include "loop/curl_loop.h"

#include "depbroker/text.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct curl_watch {
	uv_poll_t poll;
	struct curl_loop *curl;
	curl_socket_t socket;
	int events;   // asked for now
	int polled;   // what libuv looks for: it may still do so for a while when nothing is asked for
	bool is_kept; // opened by curl_loop_socket, so we hear when it is closed; the resolver's sockets are not
	bool has_brought; // something: it is connected
};

static void must(bool worked)
{
	if (!worked) { // only exhaustion of memory or descriptors gets here
		abort();
	}
}

static void handle_closed(struct curl_loop *curl)
{
	curl->open_handles--;
	if (curl->is_closing && curl->open_handles == 0) {
		free(curl->watches);
		curl->watches = NULL;
		curl->closed(curl);
	}
}

static void on_poll_closed(uv_handle_t *handle)
{
	struct curl_watch *watch = CONTAINER_OF(handle, struct curl_watch, poll);
	struct curl_loop *curl = watch->curl;

	free(watch);
	handle_closed(curl);
}

static struct curl_watch *watch_of(const struct curl_loop *curl, curl_socket_t socket)
{
	return (size_t)socket < curl->watch_slots ? curl->watches[socket] : NULL;
}

static void watch_close(struct curl_watch *watch)
{
	watch->curl->watches[watch->socket] = NULL;
	uv_close((uv_handle_t *)&watch->poll, on_poll_closed);
}

static struct curl_watch *watch_open(struct curl_loop *curl, curl_socket_t socket, bool is_kept)
{
	struct curl_watch *watch = allocate(sizeof *watch);

	if ((size_t)socket >= curl->watch_slots) {
		const size_t slots = ((size_t)socket + 1) * 2;

		curl->watches = reallocate(curl->watches, slots * sizeof *curl->watches);
		memset(curl->watches + curl->watch_slots, 0, (slots - curl->watch_slots) * sizeof *curl->watches);
		curl->watch_slots = slots;
	}
	watch->curl = curl;
	watch->socket = socket;
	watch->is_kept = is_kept;
	must(uv_poll_init_socket(&curl->loop->uv, &watch->poll, socket) == 0);
	curl->watches[socket] = watch;
	curl->open_handles++;
	return watch;
}

// Tells curl what happened; afterwards, outside of curl, come the ends of transfers.
static void act(struct curl_loop *curl, curl_socket_t socket, int events)
{
	const CURLMsg *message;
	int running;
	int left;

	must(curl_multi_socket_action(curl->multi, socket, events, &running) == CURLM_OK);
	while ((message = curl_multi_info_read(curl->multi, &left)) != NULL) {
		if (message->msg == CURLMSG_DONE) {
			curl->finished(curl, message->easy_handle, message->data.result);
		}
	}
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct curl_watch *watch = CONTAINER_OF(poll, struct curl_watch, poll);
	// An error is for curl to find by reading: only so does it try again on another connection when this one had been kept and was reset.
	int curl_events = status < 0 ? CURL_CSELECT_ERR | CURL_CSELECT_IN | CURL_CSELECT_OUT : 0;

	if (watch->events == 0) {
		watch->polled = 0;
		must(uv_poll_stop(poll) == 0);
		return;
	}
	watch->has_brought = watch->has_brought || (status == 0 && (events & UV_READABLE) != 0);
	curl_events |= (events & UV_READABLE) != 0 ? CURL_CSELECT_IN : 0;
	curl_events |= (events & UV_WRITABLE) != 0 ? CURL_CSELECT_OUT : 0;
	act(watch->curl, watch->socket, curl_events);
}

static void on_timer(struct delay *timer)
{
	act(CONTAINER_OF(timer, struct curl_loop, timer), CURL_SOCKET_TIMEOUT, 0);
}

static int on_curl_timer(CURLM *multi, long timeout_ms, void *argument)
{
	struct curl_loop *curl = argument;

	(void)multi;
	if (timeout_ms < 0) {
		delay_stop(&curl->timer);
	} else {
		delay_start(&curl->timer, timeout_ms); // 0 too fires later: curl must not be called from inside of curl
	}
	return 0;
}

static void watch_for(struct curl_watch *watch, int events)
{
	watch->events = events;
	if (watch->polled != events) { // starting again what is started costs two system calls
		watch->polled = events;
		must(uv_poll_start(&watch->poll, events, on_poll) == 0);
	}
}

// A kept connection is soon used again, and has nothing to tell before: it is looked at on, until it tells something.
static void watch_for_nothing(struct curl_watch *watch)
{
	watch->events = 0;
	if (!watch->is_kept) {
		watch_close(watch);
	} else if (!watch->has_brought) { // it may be closed without a word
		watch->polled = 0;
		must(uv_poll_stop(&watch->poll) == 0);
	}
}

static int on_curl_socket(CURL *easy, curl_socket_t socket, int what, void *argument, void *unused)
{
	struct curl_loop *curl = argument;
	struct curl_watch *watch = watch_of(curl, socket);

	(void)easy;
	(void)unused;
	if (what == CURL_POLL_REMOVE) {
		if (watch != NULL) {
			watch_for_nothing(watch);
		}
		return 0;
	}
	watch_for(watch != NULL ? watch : watch_open(curl, socket, false),
		((what & CURL_POLL_IN) != 0 ? UV_READABLE : 0) | ((what & CURL_POLL_OUT) != 0 ? UV_WRITABLE : 0));
	return 0;
}

static int on_curl_closes(void *argument, curl_socket_t socket)
{
	struct curl_watch *watch = watch_of(argument, socket);

	if (watch != NULL) {
		watch_close(watch);
	}
	return close(socket);
}

curl_socket_t curl_loop_socket(struct curl_loop *curl, const struct curl_sockaddr *address)
{
	const int descriptor = socket(address->family, address->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, address->protocol);

	if (descriptor < 0) {
		return CURL_SOCKET_BAD;
	}
	if (watch_of(curl, descriptor) != NULL) { // some versions of curl close a socket that never connected without a word
		watch_close(curl->watches[descriptor]);
	}
	(void)watch_open(curl, descriptor, true);
	return descriptor;
}

void curl_loop_prepare(struct curl_loop *curl, CURL *easy)
{
	CURL_SET(easy, CURLOPT_CLOSESOCKETFUNCTION, on_curl_closes);
	CURL_SET(easy, CURLOPT_CLOSESOCKETDATA, curl);
	CURL_SET(easy, CURLOPT_NOSIGNAL, 1L);
	CURL_SET(easy, CURLOPT_QUICK_EXIT, 1L); // else removing a handle blocks until its name lookup has ended
}

void curl_loop_add(struct curl_loop *curl, CURL *easy)
{
	must(curl_multi_add_handle(curl->multi, easy) == CURLM_OK);
}

void curl_loop_remove(struct curl_loop *curl, CURL *easy)
{
	must(curl_multi_remove_handle(curl->multi, easy) == CURLM_OK);
}

void curl_loop_open(struct curl_loop *curl, struct loop *loop, void (*finished)(struct curl_loop *, CURL *, CURLcode))
{
	*curl = (struct curl_loop){ .loop = loop, .finished = finished, .open_handles = 1 };
	must(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
	curl->multi = curl_multi_init();
	must(curl->multi != NULL &&
		curl_multi_setopt(curl->multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket) == CURLM_OK &&
		curl_multi_setopt(curl->multi, CURLMOPT_SOCKETDATA, curl) == CURLM_OK &&
		curl_multi_setopt(curl->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer) == CURLM_OK &&
		curl_multi_setopt(curl->multi, CURLMOPT_TIMERDATA, curl) == CURLM_OK);
	delay_init(&curl->timer, loop, on_timer);
}

static void on_timer_closed(struct delay *timer)
{
	handle_closed(CONTAINER_OF(timer, struct curl_loop, timer));
}

void curl_loop_close(struct curl_loop *curl, void (*closed)(struct curl_loop *curl))
{
	curl->closed = closed;
	curl->is_closing = true;
	must(curl_multi_cleanup(curl->multi) == CURLM_OK);
	curl_global_cleanup();
	for (size_t i = 0; i < curl->watch_slots; i++) {
		if (curl->watches[i] != NULL) {
			watch_close(curl->watches[i]);
		}
	}
	delay_close(&curl->timer, on_timer_closed);
}
