// SPDX-License-Identifier: Apache-2.0
//
// The address guard with real sockets, and names: the resolver is replaced, for names that end in ".test".
#include "support/cmocka_all.h"
#include "support/files.h"
#include "support/http_world.h"

#include "depbroker/clock.h"
#include "depbroker/log.h"
#include "loop/resolver.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAMES = 3200, PASSES = 4, AT_ONCE = 32, REFUSED_MIN = 10000 };

static struct {
	const char *answers[4]; // of every name but those below; NULL ends them
	atomic_int lookups;
	sem_t release; // of lookups of hang-N.test
	uint64_t seed;
	atomic_uint lookups_of[NAMES]; // story-N.test: what it leads to changes with each lookup,
	atomic_int wanted[NAMES];      // and so does what must come of a request
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

static uint64_t next_of(uint64_t *random)
{
	*random = *random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return *random >> 33;
}

static struct addrinfo **add_answer(struct addrinfo **end, const char *answer)
{
	const struct addrinfo numeric = { .ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM };

	assert_int_equal(look_up(answer, NULL, &numeric, end), 0);
	return &(*end)->ai_next;
}

static int answer_all(const char *const *answers, size_t count, struct addrinfo **out)
{
	*out = NULL;
	for (size_t i = 0; i < count && answers[i] != NULL; i++) {
		out = add_answer(out, answers[i]);
	}
	return 0;
}

enum story {
	STORY_GOOD, STORY_LONG, STORY_ONE_BAD, STORY_LAST_OF_MANY_BAD, STORY_ALL_BAD, STORY_OF_BOTH_FAMILIES, STORY_OF_NO_FAMILY, STORY_ALIAS_OF_BAD,
	STORY_TOO_MANY, STORY_EMPTY, STORY_ERROR, STORY_COUNT
};

static const char *bad_of(uint64_t *random, bool is_v6)
{
	return refused_ones[next_of(random) % (is_v6 ? REFUSED_COUNT - FIRST_V6 : FIRST_V6) + (is_v6 ? FIRST_V6 : 0)];
}

static int tell_story(enum story story, uint64_t random, struct addrinfo **out)
{
	static const int errors[] = { EAI_AGAIN, EAI_FAIL, EAI_NONAME, EAI_NODATA, EAI_SYSTEM, EAI_MEMORY, EAI_ADDRFAMILY };
	const size_t few = 1 + next_of(&random) % 4;
	const size_t count = story == STORY_LONG || story == STORY_LAST_OF_MANY_BAD ? RESOLVER_ADDRESSES_MAX
		: story == STORY_TOO_MANY ? RESOLVER_ADDRESSES_MAX + 1 : story == STORY_OF_BOTH_FAMILIES ? 2 : few;
	const size_t bad = story == STORY_LAST_OF_MANY_BAD ? count - 1 : next_of(&random) % count;
	const bool is_v6 = (next_of(&random) & 1) != 0;
	const char *answers[RESOLVER_ADDRESSES_MAX + 1];

	*out = NULL;
	if (story == STORY_ERROR) {
		return errors[next_of(&random) % (sizeof errors / sizeof *errors)];
	}
	if (story == STORY_EMPTY) {
		return 0;
	}
	for (size_t i = 0; i < count; i++) {
		answers[i] = story == STORY_ALL_BAD || story == STORY_ALIAS_OF_BAD ? bad_of(&random, is_v6) : "127.0.0.1";
	}
	if (story == STORY_ONE_BAD || story == STORY_LAST_OF_MANY_BAD || story == STORY_OF_BOTH_FAMILIES) {
		answers[bad] = bad_of(&random, is_v6 || story == STORY_OF_BOTH_FAMILIES);
	}
	(void)answer_all(answers, count, out);
	if (story == STORY_OF_NO_FAMILY) {
		(*out)->ai_family = AF_UNIX;
	} else if (story == STORY_ALIAS_OF_BAD) { // where a chain of CNAME ends is all that there is to be seen of it
		(*out)->ai_canonname = strdup("public.example");
	}
	return 0;
}

static enum err outcome_of_story(enum story story)
{
	return story <= STORY_LONG ? OK : story < STORY_TOO_MANY ? ERR_FORBIDDEN_ADDRESS : ERR_NETWORK;
}

static int answer_by_story(const char *node, struct addrinfo **out)
{
	const unsigned long name = strtoul(strchr(node, '-') + 1, NULL, 10);
	const unsigned lookup = atomic_fetch_add(&resolver.lookups_of[name], 1);
	uint64_t random = (resolver.seed + name * PASSES + lookup) * UINT64_C(0x9e3779b97f4a7c15);
	const enum story story = next_of(&random) % STORY_COUNT;

	atomic_store(&resolver.wanted[name], outcome_of_story(story));
	return tell_story(story, random, out);
}

// Takes the place of the C library's, which is called on a thread for each name.
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **out)
{
	if (node == NULL || strstr(node, ".test") == NULL) {
		return look_up(node, service, hints, out);
	}
	atomic_fetch_add(&resolver.lookups, 1);
	if (strncmp(node, "hang-", strlen("hang-")) == 0) {
		(void)sem_wait(&resolver.release);
		return EAI_FAIL;
	}
	if (strncmp(node, "story-", strlen("story-")) == 0) {
		return answer_by_story(node, out);
	}
	(void)answer_all(resolver.answers, sizeof resolver.answers / sizeof *resolver.answers, out);
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

static void open_configured(struct http_world *world, const char *list, struct http_client_config config)
{
	config.allow_plain_http = true;
	config.guard = HTTP_ADDRESS_PUBLIC_ONLY;
	assert_int_equal(address_ranges_parse(&allowed, &config.allowed_count, text_of(list), NULL), OK);
	config.allowed = allowed;
	http_world_open(world, config, on_request);
	connected.only = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((uint16_t)world->peer.port), .sin_addr = { htonl(INADDR_LOOPBACK) } };
	atomic_store(&connected.connections, 0);
	atomic_store(&connected.elsewhere, 0);
}

static void open_guarded(struct http_world *world, const char *list)
{
	open_configured(world, list, (struct http_client_config){ 0 });
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

static uint64_t seed_of_the_test(void)
{
	const char *given = getenv("DEPBROKER_TEST_SEED");
	const uint64_t seed = given != NULL ? strtoull(given, NULL, 10) : (uint64_t)clock_wall_us();

	print_message("seed %llu\n", (unsigned long long)seed);
	return seed;
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
	struct http_world world;
	char host[128];

	(void)state;
	random_state = seed_of_the_test();
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
		{ { "10.0.0.1", "127.0.0.1" }, ERR_FORBIDDEN_ADDRESS }, // one bad address refuses the name,
		{ { "127.0.0.1", "10.0.0.1" }, ERR_FORBIDDEN_ADDRESS }, // wherever it stands
		{ { "127.0.0.1", "::1" }, ERR_FORBIDDEN_ADDRESS },
		{ { "127.0.0.1", "127.0.0.1" }, OK },
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

struct tally {
	unsigned reached, forbidden, failed;
};

static void start_story(struct http_world *world, struct http_trial *trial, unsigned name)
{
	char url[64];

	(void)snprintf(url, sizeof url, "http://story-%u.test:%u/close", name, world->peer.port);
	http_trial_init(trial, world, url);
	trial->call.lane_key = name;
	http_trial_start(trial);
}

static void end_story(struct http_world *world, struct http_trial *trial, unsigned name, struct tally *tally)
{
	HTTP_WAIT_UNTIL(world, trial->completions > 0);
	const enum err wanted = (enum err)atomic_load(&resolver.wanted[name]);

	if (trial->call.op.rc != wanted) {
		fail_msg("%s, lookup %u: %s instead of %s", trial->url, atomic_load(&resolver.lookups_of[name]), err_name(trial->call.op.rc),
			err_name(wanted));
	}
	tally->reached += wanted == OK;
	tally->forbidden += wanted == ERR_FORBIDDEN_ADDRESS;
	tally->failed += wanted == ERR_NETWORK;
	http_trial_fini(trial);
}

// What each name leads to is drawn anew for each lookup. All that may be reached is reached, by one connection, and nothing else is.
static void answers_that_change_reach_nobody(void **state)
{
	struct http_trial trials[AT_ONCE];
	struct tally tally = { 0 };
	struct http_world world;

	(void)state;
	resolver.seed = seed_of_the_test();
	assert_true(log_set_level(TEXT("warning")));
	open_configured(&world, "127.0.0.1", (struct http_client_config){ .names_kept_ms = 1 }); // the other names take longer
	for (unsigned pass = 1; pass <= PASSES; pass++) {
		for (unsigned first = 0; first < NAMES; first += AT_ONCE) {
			for (unsigned i = 0; i < AT_ONCE; i++) {
				start_story(&world, &trials[i], first + i);
			}
			for (unsigned i = 0; i < AT_ONCE; i++) {
				end_story(&world, &trials[i], first + i, &tally);
				assert_int_equal(atomic_load(&resolver.lookups_of[first + i]), pass);
			}
		}
	}
	print_message("%u reached, %u forbidden, %u without an address\n", tally.reached, tally.forbidden, tally.failed);
	assert_true(tally.reached > 0 && tally.forbidden + tally.failed >= REFUSED_MIN);
	assert_int_equal(http_client_counters(world.client).refused_addresses, tally.forbidden);
	assert_int_equal(world.peer.accepted, tally.reached);
	assert_int_equal(atomic_load(&connected.connections), tally.reached);
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

static void a_connection_is_used_again(void **state)
{
	struct http_world world;

	(void)state;
	open_configured(&world, "127.0.0.1", (struct http_client_config){ .names_kept_ms = 1 });
	set_answers("127.0.0.1", NULL);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(outcome_at(&world, "kept.test", "/"), OK);
	}
	assert_int_equal(world.peer.accepted, 1);
	assert_int_equal(atomic_load(&connected.connections), 1);
	close_guarded(&world);
}

static void a_kept_connection_does_not_outlive_a_bad_answer(void **state)
{
	struct http_world world;

	(void)state;
	open_configured(&world, "127.0.0.1", (struct http_client_config){ .names_kept_ms = 1 });
	set_answers("127.0.0.1", NULL);
	assert_int_equal(outcome_at(&world, "kept.test", "/"), OK);
	set_answers("127.0.0.1", "10.0.0.1");
	for (const int64_t since_ms = clock_monotonic_ms(); clock_monotonic_ms() <= since_ms + 1;) { // until the answer is too old
		(void)sched_yield();
	}
	assert_int_equal(outcome_at(&world, "kept.test", "/"), ERR_FORBIDDEN_ADDRESS);
	assert_int_equal(world.peer.accepted, 1);
	close_guarded(&world);
}

static void those_who_ask_for_a_name_at_once_share_its_answer(void **state)
{
	enum { ASKING = 8 };
	struct http_trial trials[ASKING];
	struct http_world world;
	char url[64];

	(void)state;
	open_guarded(&world, "127.0.0.1");
	set_answers("127.0.0.1", NULL);
	(void)snprintf(url, sizeof url, "http://shared.test:%u/", world.peer.port);
	for (int i = 0; i < ASKING; i++) {
		http_trial_init(&trials[i], &world, url);
		trials[i].call.lane_key = i;
		http_trial_start(&trials[i]);
	}
	for (int i = 0; i < ASKING; i++) {
		HTTP_WAIT_UNTIL(&world, trials[i].completions > 0);
		assert_int_equal(trials[i].call.op.rc, OK);
		http_trial_fini(&trials[i]);
	}
	assert_int_equal(atomic_load(&resolver.lookups), 1);
	close_guarded(&world);
}

static size_t count_threads(void)
{
	return count_entries("/proc/self/task");
}

// The threads outlive the client, and end by themselves.
static void release_lookups(int count, size_t threads_before)
{
	for (int i = 0; i < count; i++) {
		(void)sem_post(&resolver.release);
	}
	while (count_threads() > threads_before) {
		(void)sched_yield();
	}
}

// A lookup that has begun wakes nobody.
static void wait_for_lookups(struct http_world *world, int count)
{
	while (atomic_load(&resolver.lookups) < count) {
		(void)uv_run(&world->loop.uv, UV_RUN_NOWAIT);
		(void)sched_yield();
	}
}

static void start_hanging(struct http_world *world, struct http_trial *trial, int number, int64_t lane_key)
{
	char url[64];

	(void)snprintf(url, sizeof url, "http://hang-%d.test/", number);
	http_trial_init(trial, world, url);
	trial->call.lane_key = lane_key;
	trial->call.timeout_ms = number == 0 ? 100 : 20000;
	http_trial_start(trial);
}

// A lookup cannot be stopped, so whoever waits for it must not wait in the loop.
static void a_lookup_that_hangs_holds_up_nobody(void **state)
{
	const size_t threads_before = count_threads();
	struct http_trial stuck;
	struct http_trial cancelled;
	struct http_trial closing;
	struct http_world world;
	int64_t started_ms;

	(void)state;
	open_guarded(&world, "127.0.0.1");
	set_answers("127.0.0.1", NULL);
	started_ms = clock_monotonic_ms();
	start_hanging(&world, &stuck, 0, 0);
	start_hanging(&world, &cancelled, 1, 0);
	start_hanging(&world, &closing, 2, 1);
	wait_for_lookups(&world, 3);
	assert_int_equal(outcome_at(&world, "lively.test", "/"), OK);
	http_trial_cancel(&cancelled);
	http_trial_wait(&cancelled);
	assert_int_equal(cancelled.call.op.rc, ERR_CANCELLED);
	HTTP_WAIT_UNTIL(&world, stuck.completions > 0);
	assert_int_equal(stuck.call.op.rc, ERR_TIMEOUT);
	assert_non_null(strstr(stuck.call.op.fault.text, "name"));
	http_world_close_client(&world);
	assert_int_equal(closing.call.op.rc, ERR_CANCELLED);
	assert_true(clock_monotonic_ms() - started_ms < 10000);
	http_trial_fini(&stuck);
	http_trial_fini(&cancelled);
	http_trial_fini(&closing);
	close_guarded(&world);
	release_lookups(3, threads_before);
}

static void end_hanging(struct http_world *world, struct http_trial *hanging, int count)
{
	for (int i = 0; i < count; i++) {
		(void)sem_post(&resolver.release);
	}
	for (int i = 0; i < count; i++) {
		HTTP_WAIT_UNTIL(world, hanging[i].completions > 0);
		assert_int_equal(hanging[i].call.op.rc, ERR_NETWORK);
		http_trial_fini(&hanging[i]);
	}
}

static enum err outcome_of_lane(struct http_world *world, const char *host, int64_t lane_key)
{
	struct http_trial trial;
	char url[64];
	enum err rc;

	(void)snprintf(url, sizeof url, "http://%s:%u/", host, world->peer.port);
	http_trial_init(&trial, world, url);
	trial.call.lane_key = lane_key;
	rc = http_trial_run(&trial);
	http_trial_fini(&trial);
	return rc;
}

static void as_many_lookups_may_hang_and_then_names_are_refused(void **state)
{
	const size_t threads_before = count_threads();
	struct http_trial *hanging = allocate_array(RESOLVER_THREADS, sizeof *hanging);
	struct http_world world;

	(void)state;
	open_configured(&world, "127.0.0.1", (struct http_client_config){ .in_flight = RESOLVER_THREADS + 1 });
	set_answers("127.0.0.1", NULL);
	assert_int_equal(outcome_at(&world, "known.test", "/"), OK);
	for (int i = 0; i < RESOLVER_THREADS; i++) {
		start_hanging(&world, &hanging[i], i + 1, 1 + i / 2);
	}
	wait_for_lookups(&world, RESOLVER_THREADS + 1);
	assert_int_equal(outcome_at(&world, "unknown.test", "/"), ERR_NETWORK);
	assert_int_equal(outcome_at(&world, "known.test", "/"), OK);
	assert_int_equal(outcome_at(&world, "127.0.0.1", "/"), OK);
	end_hanging(&world, hanging, RESOLVER_THREADS);
	assert_int_equal(outcome_at(&world, "unknown.test", "/"), OK);
	close_guarded(&world);
	release_lookups(0, threads_before);
	free(hanging);
}

static void nobody_can_have_all_lookups_hang(void **state)
{
	const size_t threads_before = count_threads();
	struct http_trial hanging[RESOLVER_THREADS_PER_KEY];
	struct http_world world;

	(void)state;
	open_configured(&world, "127.0.0.1", (struct http_client_config){ .in_flight = RESOLVER_THREADS_PER_KEY + 1,
		.in_flight_per_key = RESOLVER_THREADS_PER_KEY + 1 });
	set_answers("127.0.0.1", NULL);
	for (int i = 0; i < RESOLVER_THREADS_PER_KEY; i++) {
		start_hanging(&world, &hanging[i], i + 1, 7);
	}
	wait_for_lookups(&world, RESOLVER_THREADS_PER_KEY);
	assert_int_equal(outcome_of_lane(&world, "unknown.test", 7), ERR_NETWORK);
	assert_int_equal(outcome_of_lane(&world, "unknown.test", 8), OK);
	assert_int_equal(outcome_of_lane(&world, "unknown.test", 7), OK); // known by now
	end_hanging(&world, hanging, RESOLVER_THREADS_PER_KEY);
	close_guarded(&world);
	release_lookups(0, threads_before);
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
		cmocka_unit_test(a_connection_is_used_again),
		cmocka_unit_test(a_kept_connection_does_not_outlive_a_bad_answer),
		cmocka_unit_test(those_who_ask_for_a_name_at_once_share_its_answer),
		cmocka_unit_test(a_lookup_that_hangs_holds_up_nobody),
		cmocka_unit_test(as_many_lookups_may_hang_and_then_names_are_refused),
		cmocka_unit_test(nobody_can_have_all_lookups_hang),
		cmocka_unit_test(behind_a_proxy_addresses_cannot_be_guarded),
	};

	if (sem_init(&resolver.release, 0, 0) != 0) {
		return 1;
	}
	return cmocka_run_group_tests_name("http_guard", tests, NULL, NULL);
}
