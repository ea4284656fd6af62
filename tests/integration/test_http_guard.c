// SPDX-License-Identifier: Apache-2.0
//
// The address guard with real sockets, and names: the resolver is replaced, for names that end in ".test".
#include "support/cmocka_all.h"
#include "support/http_world.h"

#include "depbroker/clock.h"
#include "depbroker/log.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
	const char *answers[4]; // of every name but hang.test; NULL ends them
	atomic_int lookups;
	atomic_bool all_are_good; // also of names with a number
	sem_t release; // of lookups of hang.test
} resolver;

static int look_up(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **out)
{
	static int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

	if (real == NULL) {
		void *found = dlsym(RTLD_NEXT, "getaddrinfo");

		memcpy(&real, &found, sizeof real);
	}
	return real(node, service, hints, out);
}

static const char *const refused_ones[] = { "127.0.0.2", "10.0.0.1", "169.254.169.254", "192.168.1.1", "172.16.0.1", "100.64.0.1", "0.0.0.0",
	"224.0.0.1", "198.18.0.1", "203.0.113.1", "255.255.255.255", "::1", "::", "fe80::1", "fd00::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
	"64:ff9b::7f00:1", "2002:7f00:1::", "2001::1", "2001:db8::1", "ff02::1" };

enum { FIRST_V6 = 11, REFUSED_COUNT = sizeof refused_ones / sizeof *refused_ones };

// "refused-N.test" has one to three addresses of one family, none of which may be reached; "mixed-N.test" has them of both, and one may.
static void answer_by_number(const char *node, const char *answers[4])
{
	uint64_t random = strtoull(strchr(node, '-') + 1, NULL, 10) * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	const unsigned count = 1 + (unsigned)(random >> 33) % 3;
	const bool is_v6 = (random >> 50 & 1) != 0;
	const unsigned good = node[0] == 'm' ? (unsigned)(random >> 40) % count : count;

	for (unsigned i = 0; i < count; i++) {
		random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		answers[i] = i == good ? "127.0.0.1" : node[0] == 'm' ? refused_ones[(random >> 33) % REFUSED_COUNT]
			: refused_ones[(random >> 33) % (is_v6 ? REFUSED_COUNT - FIRST_V6 : FIRST_V6) + (is_v6 ? FIRST_V6 : 0)];
	}
}

// Takes the place of the C library's, which curl calls on a thread of its own.
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **out)
{
	struct addrinfo **end = out;

	if (node == NULL || strstr(node, ".test") == NULL) {
		return look_up(node, service, hints, out);
	}
	atomic_fetch_add(&resolver.lookups, 1);
	if (strcmp(node, "hang.test") == 0) {
		(void)sem_wait(&resolver.release);
		return EAI_FAIL;
	}
	const char *numbered[4] = { NULL };
	const char *const *answers = resolver.answers;

	if (strchr(node, '-') != NULL && !atomic_load(&resolver.all_are_good)) {
		answer_by_number(node, numbered);
		answers = numbered;
	}
	*out = NULL;
	for (size_t i = 0; answers[i] != NULL; i++) {
		struct addrinfo numeric = *hints;

		numeric.ai_flags = AI_NUMERICHOST;
		numeric.ai_family = AF_UNSPEC;
		assert_int_equal(look_up(answers[i], service, &numeric, end), 0);
		end = &(*end)->ai_next;
	}
	return *out != NULL ? 0 : EAI_NONAME;
}

// Where the C library was told to connect to by IP, in the place of its own.
static struct {
	atomic_uint connections, elsewhere; // than `only`
	struct sockaddr_in only;
} connected;

int connect(int descriptor, const struct sockaddr *address, socklen_t length)
{
	static int (*real)(int, const struct sockaddr *, socklen_t);

	if (real == NULL) {
		void *found = dlsym(RTLD_NEXT, "connect");

		memcpy(&real, &found, sizeof real);
	}
	if (address->sa_family == AF_INET || address->sa_family == AF_INET6) {
		const struct sockaddr_in *v4 = (const void *)address;

		atomic_fetch_add(&connected.connections, 1);
		if (address->sa_family != AF_INET || v4->sin_addr.s_addr != connected.only.sin_addr.s_addr || v4->sin_port != connected.only.sin_port) {
			atomic_fetch_add(&connected.elsewhere, 1);
		}
	}
	return real(descriptor, address, length);
}

static void on_request(struct raw_peer *peer, struct raw_connection *connection)
{
	(void)peer;
	raw_send_string(connection, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
	if (text_equal_string(connection->path, "/close")) {
		raw_finish(connection);
	}
}

static struct address_range *allowed;

static void open_guarded(struct http_world *world, const char *list)
{
	size_t count;

	assert_int_equal(address_ranges_parse(&allowed, &count, text_of(list), NULL), OK);
	http_world_open(world, (struct http_client_config){ .allow_plain_http = true, .guard = HTTP_ADDRESS_PUBLIC_ONLY,
		.allowed = allowed, .allowed_count = count }, on_request);
	connected.only = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((uint16_t)world->peer.port), .sin_addr = { htonl(INADDR_LOOPBACK) } };
	atomic_store(&connected.connections, 0);
	atomic_store(&connected.elsewhere, 0);
}

static void close_guarded(struct http_world *world)
{
	http_world_close(world);
	free(allowed);
	allowed = NULL;
}

static enum err outcome_at(struct http_world *world, const char *host, const char *path)
{
	char url[256];

	(void)snprintf(url, sizeof url, "http://%s:%u%s", host, world->peer.port, path);
	return http_outcome(world, url);
}

static void no_spelling_of_a_private_address_gets_through(void **state)
{
	static const char *const hosts[] = {
		"127.0.0.1", "127.1", "127.0.1", "2130706433", "017700000001", "0x7f000001", "0x7f.1", "0x7f.0.0.1", "0177.0.0.1",
		"0177.0x0.0.1", "127.000.000.001", "127.255.255.254", "0", "0.0.0.0", "0x0", "[::1]", "[0:0:0:0:0:0:0:1]",
		"[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[64:ff9b::127.0.0.1]", "[64:ff9b::7f00:1]",
		"[2002:7f00:1::]", "[2001:0:7f00:1::]", "[fe80::1]", "[fd00:ec2::254]", "[ff02::1]", "169.254.169.254", "2852039166",
		"0xa9fea9fe", "0251.0376.0251.0376", "10.0.0.1", "012.1", "172.16.0.1", "192.168.0.1", "100.64.0.1", "198.18.0.1",
		"224.0.0.1", "255.255.255.255", "localhost", "LOCALHOST", "%31%32%37.0.0.1",
	};
	static const char *const others[] = { // what they mean depends on the resolver and the locale
		"127.0.0.1.", "localhost.", "127.0.0.1%00.example", "127.0.0.1\\@example.com",
		"\xe2\x91\xa0\xe2\x91\xa1\xe2\x91\xa6.\xe2\x93\xaa.\xe2\x93\xaa.\xe2\x91\xa0", // circled digits
	};
	struct http_world world;

	(void)state;
	open_guarded(&world, "");
	for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
		const enum err rc = outcome_at(&world, hosts[i], "/");

		if (rc != ERR_FORBIDDEN_ADDRESS) {
			fail_msg("%s: %s", hosts[i], err_name(rc));
		}
	}
	assert_int_equal(http_client_counters(world.client).refused_addresses, sizeof hosts / sizeof *hosts);
	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		assert_int_not_equal(outcome_at(&world, others[i], "/"), OK);
	}
	assert_int_equal(world.peer.accepted, 0);
	close_guarded(&world);
}

static uint64_t random_state;

static unsigned below(unsigned limit)
{
	random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)(random_state >> 33) % limit;
}

// An address within a refused range, in one of the many forms that the resolvers of old accept.
static void write_private(char *out, size_t size)
{
	static const struct {
		uint32_t net;
		uint32_t mask;
	} nets[] = {
		{ 0x7f000000, 0x00ffffff }, { 0x0a000000, 0x00ffffff }, { 0xac100000, 0x000fffff }, { 0xc0a80000, 0x0000ffff },
		{ 0xa9fe0000, 0x0000ffff }, { 0x64400000, 0x003fffff }, { 0xe0000000, 0x1fffffff }, { 0x7f000001, 0 },
	};
	const size_t net = below(sizeof nets / sizeof *nets);
	const uint32_t address = nets[net].net | (below(UINT32_MAX) & nets[net].mask);
	const unsigned parts = 1 + below(4);
	struct buffer text CLEANUP(buffer_fini) = BUFFER(128);
	char number[16];

	for (unsigned part = 0; part < parts; part++) {
		const bool is_last = part + 1 == parts;
		const uint32_t value = is_last ? address & (UINT32_MAX >> 8 * part) : address >> (24 - 8 * part) & 0xff;

		switch (below(3)) {
		case 0: (void)snprintf(number, sizeof number, "%u", value); break;
		case 1: (void)snprintf(number, sizeof number, "0x%x", value); break;
		default: (void)snprintf(number, sizeof number, "0%o", value); break;
		}
		buffer_add_format(&text, "%s%s", part > 0 ? "." : "", number);
	}
	(void)snprintf(out, size, "%s", text.bytes);
}

static void ten_thousand_spellings_reach_nobody(void **state)
{
	enum { TRIES = 10000 };
	const char *seed = getenv("DEPBROKER_TEST_SEED");
	struct http_world world;
	char host[128];

	(void)state;
	random_state = seed != NULL ? strtoull(seed, NULL, 10) : (uint64_t)clock_wall_us();
	print_message("seed %llu\n", (unsigned long long)random_state);
	assert_true(log_set_level(TEXT("warning")));
	open_guarded(&world, "");
	for (unsigned i = 0; i < TRIES; i++) {
		write_private(host, sizeof host);
		if (outcome_at(&world, host, "/") != ERR_FORBIDDEN_ADDRESS) {
			fail_msg("%s was not refused", host);
		}
	}
	assert_int_equal(world.peer.accepted, 0);
	assert_int_equal(atomic_load(&connected.connections), 0);
	assert_int_equal(http_client_counters(world.client).refused_addresses, TRIES);
	close_guarded(&world);
	assert_true(log_set_level(TEXT("info")));
}

static void what_the_list_allows_is_reached_in_any_spelling(void **state)
{
	static const char *const hosts[] = { "127.0.0.1", "127.1", "2130706433", "0x7f.1", "0177.0.0.1", "localhost" };
	struct http_world world;

	(void)state;
	open_guarded(&world, "127.0.0.1, ::1");
	for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
		assert_int_equal(outcome_at(&world, hosts[i], "/"), OK);
	}
	assert_true(world.peer.accepted > 0);
	assert_int_equal(outcome_at(&world, "127.0.0.2", "/"), ERR_FORBIDDEN_ADDRESS);
	assert_int_equal(outcome_at(&world, "[::ffff:127.0.0.1]", "/"), ERR_FORBIDDEN_ADDRESS);
	assert_int_equal(http_client_counters(world.client).refused_addresses, 2);
	close_guarded(&world);
}

static void a_refused_address_is_told_from_a_network_error(void **state)
{
	struct http_world world;
	struct http_trial trial;

	(void)state;
	open_guarded(&world, "127.0.0.1");
	http_trial_init(&trial, &world, "http://10.1.2.3/");
	assert_int_equal(http_trial_run(&trial), ERR_FORBIDDEN_ADDRESS);
	assert_string_not_equal(trial.call.op.fault.text, "");
	assert_null(strstr(trial.call.op.fault.text, "10.1.2.3")); // whoever chose the URL need not learn what our resolver says
	http_trial_fini(&trial);
	assert_int_equal(http_outcome(&world, "http://127.0.0.1:1/"), ERR_NETWORK);
	resolver.answers[0] = NULL;
	assert_int_equal(http_outcome(&world, "http://nowhere.test/"), ERR_NETWORK);
	close_guarded(&world);
}

static void set_answers(const char *first, const char *second)
{
	resolver.answers[0] = first;
	resolver.answers[1] = second;
	resolver.answers[2] = NULL;
	atomic_store(&resolver.lookups, 0);
}

static void the_answer_of_the_resolver_is_what_counts(void **state)
{
	static const struct {
		const char *answers[2];
		enum err rc;
	} cases[] = {
		{ { "127.0.0.1", NULL }, OK },
		{ { "127.0.0.2", NULL }, ERR_FORBIDDEN_ADDRESS },
		{ { "::1", NULL }, ERR_FORBIDDEN_ADDRESS },
		{ { "::ffff:127.0.0.1", NULL }, ERR_FORBIDDEN_ADDRESS },
		{ { "10.0.0.1", "127.0.0.1" }, ERR_FORBIDDEN_ADDRESS }, // one bad address refuses the name
		{ { "::1", "127.0.0.1" }, ERR_FORBIDDEN_ADDRESS },
		{ { "169.254.169.254", "10.0.0.1" }, ERR_FORBIDDEN_ADDRESS },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct http_world world;

		open_guarded(&world, "127.0.0.1");
		set_answers(cases[i].answers[0], cases[i].answers[1]);
		assert_int_equal(outcome_at(&world, "rebind.test", "/"), cases[i].rc);
		assert_int_equal(world.peer.accepted, cases[i].rc == OK ? 1 : 0);
		close_guarded(&world);
	}
}

static enum err outcome_of_number(struct http_world *world, const char *kind, unsigned number)
{
	struct http_trial trial;
	char url[64];
	enum err rc;

	(void)snprintf(url, sizeof url, "http://%s-%u.test:%u/close", kind, number, world->peer.port);
	http_trial_init(&trial, world, url);
	trial.call.timeout_ms = 1000;
	rc = http_trial_run(&trial);
	http_trial_fini(&trial);
	return rc;
}

// The same names first lead to where they may, then elsewhere, and others to both: whatever the resolver says, nothing is connected to what is
// refused. Once in a thousand tries or so, libcurl 7.88 forgets to say that none of a name's addresses was left.
static void answers_that_change_reach_nobody(void **state)
{
	enum { GOOD = 100, REFUSED = 300, MIXED = 60 };
	struct http_world world;
	unsigned forgotten = 0, answered = 0;

	(void)state;
	assert_true(log_set_level(TEXT("warning")));
	set_answers("127.0.0.1", NULL);
	atomic_store(&resolver.all_are_good, true);
	open_guarded(&world, "127.0.0.1");
	for (unsigned i = 0; i < GOOD; i++) {
		assert_int_equal(outcome_of_number(&world, "refused", i), OK);
	}
	close_guarded(&world);
	atomic_store(&resolver.all_are_good, false);
	open_guarded(&world, "127.0.0.1"); // what was looked up is forgotten
	for (unsigned i = 0; i < REFUSED; i++) {
		const enum err rc = outcome_of_number(&world, "refused", i);

		assert_true(rc == ERR_FORBIDDEN_ADDRESS || rc == ERR_TIMEOUT);
		forgotten += rc == ERR_TIMEOUT;
	}
	assert_true(forgotten < REFUSED / 30);
	assert_int_equal(http_client_counters(world.client).refused_addresses, REFUSED);
	assert_int_equal(atomic_load(&connected.connections), 0);
	for (unsigned i = 0; i < MIXED; i++) {
		answered += outcome_of_number(&world, "mixed", i) == OK;
	}
	assert_true(answered > 0 && answered < MIXED);
	assert_true(atomic_load(&connected.connections) >= answered);
	assert_int_equal(atomic_load(&connected.elsewhere), 0);
	close_guarded(&world);
	assert_true(log_set_level(TEXT("info")));
}

static void a_name_is_looked_up_once(void **state)
{
	struct http_world world;

	(void)state;
	open_guarded(&world, "127.0.0.1");
	set_answers("127.0.0.1", NULL);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(outcome_at(&world, "cached.test", "/close"), OK);
	}
	assert_int_equal(world.peer.accepted, 5);
	assert_int_equal(atomic_load(&resolver.lookups), 1);
	close_guarded(&world);
}

// curl's resolver cannot be stopped, so whoever waits for it must not wait in the loop.
static void a_lookup_that_hangs_holds_up_nobody(void **state)
{
	struct http_trial stuck;
	struct http_trial cancelled;
	struct http_trial closing;
	struct http_world world;
	int64_t started_ms;

	(void)state;
	open_guarded(&world, "127.0.0.1");
	set_answers(NULL, NULL);
	http_trial_init(&stuck, &world, "http://hang.test/");
	http_trial_init(&cancelled, &world, "http://hang.test/");
	http_trial_init(&closing, &world, "http://hang.test/");
	stuck.call.timeout_ms = 100;
	closing.call.lane_key = 1;
	started_ms = clock_monotonic_ms();
	http_trial_start(&stuck);
	http_trial_start(&cancelled);
	http_trial_start(&closing);
	HTTP_WAIT_UNTIL(&world, atomic_load(&resolver.lookups) == 3);
	assert_int_equal(http_outcome(&world, "/"), OK);
	http_trial_cancel(&cancelled);
	http_trial_wait(&cancelled);
	assert_int_equal(cancelled.call.op.rc, ERR_CANCELLED);
	HTTP_WAIT_UNTIL(&world, stuck.completions > 0);
	assert_int_equal(stuck.call.op.rc, ERR_TIMEOUT);
	http_world_close_client(&world);
	assert_int_equal(closing.call.op.rc, ERR_CANCELLED);
	assert_true(clock_monotonic_ms() - started_ms < 10000);
	for (int i = 0; i < 3; i++) {
		(void)sem_post(&resolver.release);
	}
	http_trial_fini(&stuck);
	http_trial_fini(&cancelled);
	http_trial_fini(&closing);
	raw_peer_close(&world.peer);
	loop_run(&world.loop);
	loop_fini(&world.loop);
	while (open_descriptors() > world.descriptors) { // until the three threads have ended, too
		(void)sched_yield();
	}
	free(allowed);
}

static void behind_a_proxy_addresses_cannot_be_guarded(void **state)
{
	const struct http_client_config config = { .name = "webhooks", .user_agent = "x", .guard = HTTP_ADDRESS_PUBLIC_ONLY,
		.proxy = "http://127.0.0.1:3128" };
	struct http_client *client;
	struct fault fault;
	struct loop loop;

	(void)state;
	loop_init(&loop);
	assert_int_equal(http_client_open(&client, &loop, &config, &fault), ERR_BAD_INPUT);
	assert_null(client);
	loop_fini(&loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_spelling_of_a_private_address_gets_through),
		cmocka_unit_test(ten_thousand_spellings_reach_nobody),
		cmocka_unit_test(what_the_list_allows_is_reached_in_any_spelling),
		cmocka_unit_test(a_refused_address_is_told_from_a_network_error),
		cmocka_unit_test(the_answer_of_the_resolver_is_what_counts),
		cmocka_unit_test(answers_that_change_reach_nobody),
		cmocka_unit_test(a_name_is_looked_up_once),
		cmocka_unit_test(a_lookup_that_hangs_holds_up_nobody),
		cmocka_unit_test(behind_a_proxy_addresses_cannot_be_guarded),
	};

	if (sem_init(&resolver.release, 0, 0) != 0) {
		return 1;
	}
	return cmocka_run_group_tests_name("http_guard", tests, NULL, NULL);
}
