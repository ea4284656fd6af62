// SPDX-License-Identifier: Apache-2.0
//
// TLS and proxies: whom the HTTP client believes, and what it takes from its environment. The server is openssl's.
#include "support/certificates.h"
#include "support/cmocka_all.h"
#include "support/files.h"
#include "support/http_world.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char *folder;
static struct authority authority;

struct tls_server {
	pid_t pid;
	unsigned port;
};

// "ACCEPT 127.0.0.1:40123" is how it says that it listens, and where.
static unsigned read_port(int from_child)
{
	FILE *out = fdopen(from_child, "r");
	char line[256];
	unsigned port = 0;

	assert_non_null(out);
	while (port == 0 && fgets(line, sizeof line, out) != NULL) {
		if (sscanf(line, "ACCEPT 127.0.0.1:%u", &port) != 1) {
			port = 0;
		}
	}
	(void)fclose(out);
	return port;
}

static void tls_server_start(struct tls_server *server, const char *certificate, const char *option)
{
	const char *const arguments[] = { "openssl", "s_server", "-accept", "127.0.0.1:0", "-www", "-cert", certificate, "-key",
		certificate, "-cipher", "ALL:@SECLEVEL=0", option, NULL };
	char *const *argv;
	int pipes[2];

	memcpy(&argv, &(const char *const *){ arguments }, sizeof argv); // execvp changes nothing
	assert_int_equal(pipe(pipes), 0);
	server->pid = fork();
	assert_true(server->pid >= 0);
	if (server->pid == 0) {
		(void)signal(SIGPIPE, SIG_IGN); // when we have read enough
		(void)dup2(pipes[1], STDOUT_FILENO);
		(void)dup2(open("/dev/null", O_WRONLY), STDERR_FILENO); // it complains of clients that do not believe it
		(void)close(pipes[0]);
		(void)close(pipes[1]);
		(void)execvp("openssl", argv);
		_exit(127);
	}
	(void)close(pipes[1]);
	server->port = read_port(pipes[0]);
	assert_int_not_equal(server->port, 0);
}

static void tls_server_stop(const struct tls_server *server)
{
	assert_int_equal(kill(server->pid, SIGKILL), 0);
	assert_int_equal(waitpid(server->pid, NULL, 0), server->pid);
}

static void on_request(struct raw_peer *peer, struct raw_connection *connection)
{
	(void)peer;
	raw_send_string(connection, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\ndirect");
}

static const char *path_of(char out[256], const char *name)
{
	(void)snprintf(out, 256, "%s/%s", folder, name);
	return out;
}

static const char *url_of(char out[128], const char *host, unsigned port)
{
	(void)snprintf(out, 128, "https://%s:%u/", host, port);
	return out;
}

// What comes of a request to a server with such a certificate. `why` becomes the fault.
static enum err outcome_with(const struct http_client_config *config, const struct certificate_wish *wish,
	const struct authority *issuer, const char *host, const char *option, struct fault *why)
{
	struct http_trial trial;
	struct http_world world;
	struct tls_server server;
	char path[256];
	char url[128];
	enum err rc;

	certificate_write(issuer, wish, path_of(path, "server.pem"));
	tls_server_start(&server, path, option);
	http_world_open(&world, *config, on_request);
	http_trial_init(&trial, &world, url_of(url, host, server.port));
	rc = http_trial_run(&trial);
	if (rc == OK) {
		assert_int_equal(trial.call.status, 200);
		assert_non_null(strstr(trial.call.answer.bytes, "s_server"));
	}
	*why = trial.call.op.fault;
	http_trial_fini(&trial);
	http_world_close(&world);
	tls_server_stop(&server);
	return rc;
}

static void the_pinned_store_is_believed(void **state)
{
	static const struct {
		struct certificate_wish wish;
		const char *host;
		bool http2;
	} cases[] = {
		{ { .alternative_names = "DNS:localhost" }, "localhost", false },
		{ { .alternative_names = "IP:127.0.0.1" }, "127.0.0.1", false },
		{ { .alternative_names = "DNS:a.example,DNS:localhost", .rsa_bits = 2048 }, "localhost", true }, // it has no HTTP/2
	};
	struct fault why;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const struct http_client_config config = { .ca_file = authority.path, .http2 = cases[i].http2 };

		if (outcome_with(&config, &cases[i].wish, &authority, cases[i].host, NULL, &why) != OK) {
			fail_msg("good certificate %zu: %s", i, why.text);
		}
	}
}

static void bad_certificates_are_refused(void **state)
{
	static const struct {
		struct certificate_wish wish;
		const char *host;
	} cases[] = {
		{ { .alternative_names = "DNS:example.com" }, "localhost" },
		{ { .alternative_names = "DNS:localhost" }, "127.0.0.1" },
		{ { .alternative_names = "IP:127.0.0.1" }, "localhost" },
		{ { .alternative_names = "DNS:127.0.0.1" }, "127.0.0.1" },
		{ { .alternative_names = "DNS:*" }, "localhost" },
		{ { .alternative_names = "DNS:localhost.example.com" }, "localhost" },
		{ { .alternative_names = "DNS:localhost", .valid_from_s = -7200, .valid_until_s = -3600 }, "localhost" },
		{ { .alternative_names = "DNS:localhost", .valid_from_s = 3600, .valid_until_s = 7200 }, "localhost" },
		{ { .alternative_names = "DNS:localhost", .self_signed = true }, "localhost" },
		{ { .alternative_names = "DNS:localhost", .purpose = "clientAuth" }, "localhost" },
		{ { .alternative_names = "DNS:localhost", .rsa_bits = 1024 }, "localhost" },
		{ { .alternative_names = "DNS:localhost", .sha1 = true }, "localhost" },
		{ { .alternative_names = "DNS:localhost", .tampered = true }, "localhost" },
	};
	const struct http_client_config config = { .ca_file = authority.path };
	struct fault why;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		if (outcome_with(&config, &cases[i].wish, &authority, cases[i].host, NULL, &why) != ERR_NETWORK) {
			fail_msg("bad certificate %zu was believed", i);
		}
		if (strstr(why.text, "certificate") == NULL && strstr(why.text, "asn1") == NULL) {
			fail_msg("bad certificate %zu was refused for another reason: %s", i, why.text);
		}
	}
}

static void only_the_pinned_store_is_believed(void **state)
{
	const struct certificate_wish wish = { .alternative_names = "DNS:localhost" };
	const struct http_client_config pinned = { .ca_file = authority.path };
	const struct http_client_config system_store = { .ca_file = NULL };
	struct authority other;
	struct authority not_one;
	struct fault why;

	(void)state;
	authority_open(&other, folder, "other", NULL, true);
	authority_open(&not_one, folder, "not-one", &authority, false); // a certificate of a server is no authority
	assert_int_equal(outcome_with(&pinned, &wish, &other, "localhost", NULL, &why), ERR_NETWORK);
	assert_int_equal(outcome_with(&pinned, &wish, &not_one, "localhost", NULL, &why), ERR_NETWORK);
	assert_int_equal(outcome_with(&system_store, &wish, &authority, "localhost", NULL, &why), ERR_NETWORK);
	assert_non_null(strstr(why.text, "certificate"));
	authority_close(&other);
	authority_close(&not_one);
}

// What comes of one request of a call that trusts these authorities; empty: the client's store.
static enum err outcome_in(struct http_world *world, unsigned port, struct text authorities)
{
	struct http_trial trial;
	char url[128];
	enum err rc;

	http_trial_init(&trial, world, url_of(url, "localhost", port));
	trial.call.authorities = authorities;
	rc = http_trial_run(&trial);
	if (rc != OK) {
		assert_non_null(strstr(trial.call.op.fault.text, "certificate"));
	}
	http_trial_fini(&trial);
	return rc;
}

// Each in turn with one client, so that a connection or a session that is kept would be found out.
static void trust_is_of_the_call(const char *protocol)
{
	const struct certificate_wish wish = { .alternative_names = "DNS:localhost" };
	struct authority other;
	struct http_world world;
	struct tls_server of_store, of_other;
	char path[256];
	size_t length;

	authority_open(&other, folder, "of-the-call", NULL, true);
	char *own = file_read(other.path, &length);
	char *store = file_read(authority.path, NULL);
	const struct text own_pem = { own, length };

	certificate_write(&authority, &wish, path_of(path, "of-store.pem"));
	tls_server_start(&of_store, path, protocol);
	certificate_write(&other, &wish, path_of(path, "of-other.pem"));
	tls_server_start(&of_other, path, protocol);
	http_world_open(&world, (struct http_client_config){ .ca_file = authority.path }, on_request);
	for (int round = 0; round < 3; round++) {
		assert_int_equal(outcome_in(&world, of_other.port, own_pem), OK);
		assert_int_equal(outcome_in(&world, of_other.port, TEXT_NONE), ERR_NETWORK);
		assert_int_equal(outcome_in(&world, of_other.port, text_of(store)), ERR_NETWORK);
		assert_int_equal(outcome_in(&world, of_store.port, TEXT_NONE), OK);
		assert_int_equal(outcome_in(&world, of_store.port, own_pem), ERR_NETWORK); // in place of the store, not besides
		assert_int_equal(outcome_in(&world, of_store.port, text_of(store)), OK);
	}
	http_world_close(&world);
	tls_server_stop(&of_store);
	tls_server_stop(&of_other);
	authority_close(&other);
	free(own);
	free(store);
}

static void the_authorities_of_a_call_are_the_only_ones_and_its_own(void **state)
{
	(void)state;
	trust_is_of_the_call("-tls1_2");
	trust_is_of_the_call("-tls1_3");
}

static void old_protocols_are_refused(void **state)
{
	const struct certificate_wish wish = { .alternative_names = "DNS:localhost" };
	const struct http_client_config config = { .ca_file = authority.path };
	struct fault why;

	(void)state;
	assert_int_equal(outcome_with(&config, &wish, &authority, "localhost", "-tls1_1", &why), ERR_NETWORK);
	assert_int_equal(outcome_with(&config, &wish, &authority, "localhost", "-tls1_2", &why), OK);
	assert_int_equal(outcome_with(&config, &wish, &authority, "localhost", "-tls1_3", &why), OK);
}

static void a_store_that_cannot_be_read_is_said_at_once(void **state)
{
	const struct http_client_config config = { .name = "apple", .user_agent = "x", .ca_file = "/nowhere/ca.pem" };
	struct http_client *client;
	struct fault fault;
	struct loop loop;

	(void)state;
	loop_init(&loop);
	assert_int_equal(http_client_open(&client, &loop, &config, &fault), ERR_BAD_INPUT);
	assert_null(client);
	assert_non_null(strstr(fault.text, "/nowhere/ca.pem"));
	loop_fini(&loop);
}

static struct buffer heads; // of all requests that the proxy saw

static void on_proxy_request(struct raw_peer *peer, struct raw_connection *connection)
{
	const char *colon = memchr(connection->path.bytes, ':', connection->path.length);

	(void)peer;
	buffer_add_text(&heads, connection->head);
	if (text_starts_with(connection->head, TEXT("CONNECT "))) {
		assert_non_null(colon);
		raw_tunnel(connection, (unsigned)strtoul(colon + 1, NULL, 10));
	} else {
		raw_send_string(connection, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nproxied");
	}
}

static void open_with_proxy(struct http_world *world, struct raw_peer *proxy, struct http_client_config config)
{
	static char url[64]; // borrowed by the client, and filled in when there is a loop for the proxy

	*proxy = (struct raw_peer){ .on_request = on_proxy_request };
	config.proxy = url;
	http_world_open(world, config, on_request);
	raw_peer_open(proxy, &world->loop);
	(void)snprintf(url, sizeof url, "http://127.0.0.1:%u", proxy->port);
	heads = BUFFER(65536);
}

static void close_with_proxy(struct http_world *world, struct raw_peer *proxy)
{
	http_world_close_client(world);
	raw_peer_close(proxy);
	http_world_close(world);
	buffer_fini(&heads);
}

static void a_configured_proxy_is_used_and_is_told_nothing(void **state)
{
	const struct certificate_wish wish = { .alternative_names = "DNS:localhost" };
	struct http_trial trial;
	struct http_world world;
	struct tls_server server;
	struct raw_peer proxy;
	char path[256];
	char url[128];

	(void)state;
	assert_int_equal(setenv("no_proxy", "*", 1), 0); // is not listened to
	assert_int_equal(setenv("NO_PROXY", "*", 1), 0);
	certificate_write(&authority, &wish, path_of(path, "server.pem"));
	tls_server_start(&server, path, NULL);
	open_with_proxy(&world, &proxy, (struct http_client_config){ .ca_file = authority.path, .allow_plain_http = true });
	http_trial_init(&trial, &world, url_of(url, "localhost", server.port));
	trial.call.headers[0] = "Authorization: secret";
	assert_int_equal(http_trial_run(&trial), OK);
	assert_int_equal(trial.call.status, 200);
	assert_int_equal(http_call_header(&trial.call, "Proxy-Says").length, 0);
	assert_int_equal(proxy.accepted, 1);
	assert_non_null(strstr(heads.bytes, "CONNECT localhost:"));
	assert_null(strstr(heads.bytes, "secret"));
	http_trial_fini(&trial);

	http_trial_init(&trial, &world, "/plain");
	assert_int_equal(http_trial_run(&trial), OK);
	assert_true(text_equal(buffer_text(&trial.call.answer), TEXT("proxied")));
	assert_int_equal(world.peer.accepted, 0);
	http_trial_fini(&trial);
	close_with_proxy(&world, &proxy);
	tls_server_stop(&server);
	assert_int_equal(unsetenv("no_proxy"), 0);
	assert_int_equal(unsetenv("NO_PROXY"), 0);
}

static void nothing_is_taken_from_the_environment(void **state)
{
	static const char *const names[] = {
		"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY",
	};
	struct http_trial trial;
	struct http_world world;
	struct raw_peer proxy = { .on_request = on_proxy_request };
	char url[64];
	char netrc[256];
	FILE *file = fopen(path_of(netrc, ".netrc"), "w");

	(void)state;
	assert_non_null(file);
	(void)fputs("machine 127.0.0.1 login secret password secret\ndefault login secret password secret\n", file);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(setenv("HOME", folder, 1), 0);
	http_world_open(&world, (struct http_client_config){ .allow_plain_http = true }, on_proxy_request);
	raw_peer_open(&proxy, &world.loop);
	(void)snprintf(url, sizeof url, "http://127.0.0.1:%u", proxy.port);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		assert_int_equal(setenv(names[i], url, 1), 0);
	}
	heads = BUFFER(65536);
	http_trial_init(&trial, &world, "/plain");
	assert_int_equal(http_trial_run(&trial), OK);
	http_trial_fini(&trial);
	assert_int_equal(http_outcome(&world, "https://127.0.0.1:1/"), ERR_NETWORK);
	assert_int_equal(proxy.accepted, 0);
	assert_int_equal(world.peer.accepted, 1);
	assert_null(strstr(heads.bytes, "Authorization"));
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		assert_int_equal(unsetenv(names[i]), 0);
	}
	close_with_proxy(&world, &proxy);
}

static int open_all(void **state)
{
	(void)state;
	folder = temporary_directory();
	authority_open(&authority, folder, "authority", NULL, true);
	return 0;
}

static int close_all(void **state)
{
	(void)state;
	authority_close(&authority);
	remove_tree(folder);
	free(folder);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_pinned_store_is_believed),
		cmocka_unit_test(bad_certificates_are_refused),
		cmocka_unit_test(only_the_pinned_store_is_believed),
		cmocka_unit_test(the_authorities_of_a_call_are_the_only_ones_and_its_own),
		cmocka_unit_test(old_protocols_are_refused),
		cmocka_unit_test(a_store_that_cannot_be_read_is_said_at_once),
		cmocka_unit_test(a_configured_proxy_is_used_and_is_told_nothing),
		cmocka_unit_test(nothing_is_taken_from_the_environment),
	};

	return cmocka_run_group_tests_name("http_tls", tests, open_all, close_all);
}
