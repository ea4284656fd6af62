// SPDX-License-Identifier: Apache-2.0
//
// The ways to a PostgreSQL: URLs, several hosts, names, passwords, TLS, and PgBouncer between.
#include "loop/pg.h"

#include "depbroker/clock.h"
#include "support/cmocka_all.h"
#include "support/files.h"
#include "support/pg_world.h"
#include "support/postgres.h"

#include <fcntl.h>
#include <libpq-fe.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROLE "depbroker_worker"

enum { URL_SIZE = 512 };

static struct test_postgres *postgres;

static int start_postgres(void **state)
{
	(void)state;
	postgres = test_postgres_new();
	test_postgres_run(postgres, "create role depbroker_worker; create role remote login password 'tweety'; "
		"grant depbroker_worker to remote; create table things (id bigint primary key); grant all on things to "
		"depbroker_worker");
	return 0;
}

static int stop_postgres(void **state)
{
	(void)state;
	test_postgres_free(postgres);
	return 0;
}

static void call_with(struct pg_call *call, const char *sql)
{
	pg_call_init(call, pg_scope_directory(ROLE));
	(void)pg_add(&call->transaction, sql, NULL, 0);
}

static void assert_works(struct pg_world *world)
{
	struct pg_call call;

	call_with(&call, "select 1");
	if (pg_call_run(&call, world) != OK) {
		fail_msg("%s", call.transaction.op.fault.text);
	}
	pg_transaction_fini(&call.transaction);
}

static void wait_for_error(struct pg_world *world, const char *part)
{
	while (!text_contains_ignoring_case(pg_pool_last_error(world->pool), part)) {
		pg_world_turn(world);
	}
	assert_false(pg_pool_is_connected(world->pool));
}

static void assert_url_works(const char *url)
{
	struct pg_world world;

	pg_world_open(&world, (struct pg_pool_config){ .url = url, .size = 1, .backoff_max_ms = 50,
		.connect_timeout_ms = 200 });
	assert_works(&world);
	pg_world_close(&world);
}

static void assert_url_fails(const char *url, const char *part)
{
	struct pg_world world;

	pg_world_open(&world, (struct pg_pool_config){ .url = url, .size = 1, .backoff_max_ms = 50,
		.connect_timeout_ms = 200 });
	wait_for_error(&world, part);
	assert_false(text_contains_ignoring_case(pg_pool_last_error(world.pool), "tweety"));
	pg_world_close(&world);
}

// --- URLs ---

static void a_url_that_makes_no_sense_is_refused_without_telling_it(void **state)
{
	static const char *const urls[] = {
		"postgresql://user:tweety%zz@host/x", "tweety", "host=a tweety", "postgresql://host/x?tweety=1",
		"host=a hostaddr=1.2.3.4,1.2.3.5",
		"host=a,b,c port=1,2", "host=a port=tweety", "host=a port=0", "host=a port=65536", "service=tweety",
		"password='tweety",
	};
	struct loop loop;

	(void)state;
	loop_init(&loop);
	for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
		struct fault fault = { "" };
		struct pg_pool *pool;

		assert_int_equal(pg_pool_open(&pool, &loop, &(struct pg_pool_config){ .url = urls[i] }, &fault), ERR_BAD_INPUT);
		assert_null(pool);
		assert_non_null(strstr(fault.text, "database URL"));
		assert_null(strstr(fault.text, "tweety"));
	}
	loop_fini(&loop);
}

static void keys_and_values_are_as_good_as_a_url(void **state)
{
	char url[URL_SIZE];

	(void)state;
	(void)snprintf(url, sizeof url, "host=%s port=%d user=postgres dbname=postgres application_name='its own'",
		postgres->directory, postgres->port);
	assert_url_works(url);
}

static void the_server_knows_who_is_connected(void **state)
{
	struct pg_world world;
	char *name;

	(void)state;
	pg_world_open(&world, (struct pg_pool_config){ .url = postgres->url, .application_name = "depbroker/worker-1",
		.size = 1 });
	pg_world_wait_connected(&world, 1);
	name = test_postgres_ask(postgres, "select application_name from pg_stat_activity where application_name like "
		"'depbroker%'");
	assert_string_equal(name, "depbroker/worker-1");
	free(name);
	pg_world_close(&world);
}

// --- several hosts ---

// A port that takes connections and never says a word.
static int silent_port(uint16_t *port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof address;
	const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(listener, (const struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(listen(listener, 16), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
	*port = ntohs(address.sin_port);
	return listener;
}

static void hosts_are_tried_in_turn_until_one_takes_changes(void **state)
{
	struct test_postgres *standby = test_postgres_new();
	uint16_t silent;
	const int listener = silent_port(&silent);
	struct pg_world world;
	struct pg_call call;
	char url[URL_SIZE];

	(void)state;
	test_postgres_run(standby, "alter system set default_transaction_read_only = on");
	test_postgres_run(standby, "select pg_reload_conf()");
	// A closed port, one that is silent, a name that does not exist, a server that only reads, and the one that works.
	(void)snprintf(url, sizeof url, "host=127.0.0.1,127.0.0.1,no-such-host.invalid,%s,%s port=1,%d,5432,%d,%d "
		"user=postgres dbname=postgres",
		standby->directory, postgres->directory, silent, standby->port, postgres->port);
	pg_world_open(&world, (struct pg_pool_config){ .url = url, .size = 2, .connect_timeout_ms = 100 });
	pg_world_wait_connected(&world, 2);
	call_with(&call, "select inet_server_port() is null, current_setting('port')::bigint");
	assert_int_equal(pg_call_run(&call, &world), OK);
	assert_int_equal(pg_int8(&call.transaction, 0, 0, 1), postgres->port);
	pg_transaction_fini(&call.transaction);
	pg_world_close(&world);
	// Alone it is refused, unless the URL says that it will do.
	(void)snprintf(url, sizeof url, "host=%s port=%d user=postgres dbname=postgres", standby->directory, standby->port);
	assert_url_fails(url, "session is read-only");
	(void)snprintf(url, sizeof url, "host=%s port=%d user=postgres dbname=postgres target_session_attrs=any",
		standby->directory,
		standby->port);
	pg_world_open(&world, (struct pg_pool_config){ .url = url, .size = 1 });
	pg_world_wait_connected(&world, 1);
	pg_world_close(&world);
	test_postgres_free(standby);
	(void)close(listener);
}

static void a_silent_server_costs_its_time_and_no_more(void **state)
{
	uint16_t silent;
	const int listener = silent_port(&silent);
	char url[URL_SIZE];

	(void)state;
	(void)snprintf(url, sizeof url, "postgresql://127.0.0.1:%d/x", silent);
	assert_url_fails(url, "did not answer within 200 ms");
	(void)close(listener);
}

// --- names and passwords ---

static void names_are_looked_up(void **state)
{
	char url[URL_SIZE];

	(void)state;
	(void)snprintf(url, sizeof url, "postgresql://remote:tweety@localhost:%d/postgres?sslmode=disable", postgres->port);
	assert_url_works(url);
	(void)snprintf(url, sizeof url,
		"postgresql://remote:tweety@not.used:%d/postgres?sslmode=disable&hostaddr=127.0.0.1", postgres->port);
	assert_url_works(url);
	assert_url_fails("postgresql://remote:tweety@no-such-host.invalid/postgres",
		"could not find the host \"no-such-host.invalid\"");
}

static void a_wrong_password_is_told_without_it(void **state)
{
	char url[URL_SIZE];

	(void)state;
	(void)snprintf(url, sizeof url, "postgresql://remote:tweety2@127.0.0.1:%d/postgres", postgres->port);
	assert_url_fails(url, "password authentication failed for user \"remote\"");
	// The server tells names back; a password in the wrong place is one.
	(void)snprintf(url, sizeof url, "host=%s port=%d user=postgres dbname=tweety password=tweety", postgres->directory,
		postgres->port);
	assert_url_fails(url, "database \"***\" does not exist");
}

// --- TLS ---

static void run_openssl(const char *key, const char *certificate)
{
	const pid_t pid = fork();
	int status;

	if (pid == 0) {
		const int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);

		(void)dup2(nothing, STDOUT_FILENO);
		(void)dup2(nothing, STDERR_FILENO);
		(void)execlp("openssl", "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
			"-nodes", "-days", "2", "-subj", "/CN=db.example", "-addext", "subjectAltName=DNS:db.example",
			"-keyout", key, "-out", certificate, (char *)NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void switch_tls_on(const char *key)
{
	assert_int_equal(chown(key, postgres->user.uid, postgres->user.gid), 0);
	test_postgres_run(postgres, "alter system set ssl = on");
	test_postgres_run(postgres, "select pg_reload_conf()");
}

// TLS hands out whole records, and what libpq does not take at once is not seen by whoever watches the socket. Rows of many
// sizes, so that messages end everywhere in a record, and a deadline that a connection which waits for nothing would miss.
static void read_rows_of_many_sizes(struct pg_world *world)
{
	for (int64_t i = 0; i < 400; i++) {
		struct pg_call call;

		pg_call_init(&call, pg_scope_directory(ROLE));
		PG_ADD(&call.transaction, "select repeat('x', $1)", PG_V_INT4(i * 331 % 70001));
		PG_ADD(&call.transaction, "select repeat('y', $1) from generate_series(1, 3)", PG_V_INT4(8192 + i * 7));
		pg_call_start(&call, world, 5000);
		assert_int_equal(pg_call_wait(&call, world), OK);
		assert_int_equal(pg_text(&call.transaction, 0, 0, 0).length, i * 331 % 70001);
		assert_int_equal(pg_text(&call.transaction, 1, 2, 0).length, 8192 + i * 7);
		pg_transaction_fini(&call.transaction);
	}
}

static pid_t start_tls_proxy(const char *certificate, const char *key, uint16_t *port)
{
	const pid_t parent = getpid();
	char path[URL_SIZE];
	char line[16] = "";
	int ends[2];
	pid_t pid;

	(void)snprintf(path, sizeof path, "%s/.s.PGSQL.%d", postgres->directory, postgres->port);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (dup2(ends[1], STDOUT_FILENO) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 || getppid() != parent) {
			_exit(126);
		}
		(void)execlp("python3", "python3", SOURCE_DIRECTORY "/tests/support/tls_proxy.py", path, certificate, key,
			(char *)NULL);
		_exit(127);
	}
	(void)close(ends[1]);
	assert_true(read(ends[0], line, sizeof line - 1) > 0);
	(void)close(ends[0]);
	*port = (uint16_t)strtol(line, NULL, 10);
	return pid;
}

static void stop_child(pid_t pid)
{
	int status;

	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
}

static void assert_rows_of_many_sizes_arrive(const char *url)
{
	struct pg_world world;

	pg_world_open(&world, (struct pg_pool_config){ .url = url, .size = 1 });
	read_rows_of_many_sizes(&world);
	assert_int_equal(pg_pool_counters(world.pool).reconnects, 0);
	pg_world_close(&world);
}

static void assert_is_encrypted(const char *url)
{
	struct pg_world world;
	char *encrypted;

	pg_world_open(&world, (struct pg_pool_config){ .url = url, .size = 1 });
	pg_world_wait_connected(&world, 1);
	encrypted = test_postgres_ask(postgres, "select ssl from pg_stat_ssl join pg_stat_activity using (pid) where "
		"usename = 'remote'");
	assert_string_equal(encrypted, "t");
	free(encrypted);
	pg_world_close(&world);
}

static void tls_is_used_and_the_name_in_the_certificate_is_checked(void **state)
{
	char certificate[URL_SIZE];
	char key[URL_SIZE];
	char url[3 * URL_SIZE];
	uint16_t port;
	pid_t proxy;

	(void)state;
	(void)snprintf(key, sizeof key, "%s/server.key", postgres->data_dir);
	(void)snprintf(certificate, sizeof certificate, "%s/server.crt", postgres->data_dir);
	run_openssl(key, certificate);
	proxy = start_tls_proxy(certificate, key, &port);
	switch_tls_on(key);
	(void)snprintf(url, sizeof url,
		"postgresql://remote:tweety@localhost:%d/postgres?sslmode=verify-full&sslrootcert=%s", postgres->port,
		certificate);
	assert_url_fails(url, "does not match host name \"localhost\"");
	(void)snprintf(url, sizeof url,
		"postgresql://remote:tweety@db.example:%d/postgres?hostaddr=127.0.0.1&sslmode=verify-full&sslrootcert=%s",
		postgres->port, certificate);
	assert_is_encrypted(url);
	assert_rows_of_many_sizes_arrive(url);
	(void)snprintf(url, sizeof url, "postgresql://postgres@127.0.0.1:%d/postgres?sslmode=require", port);
	assert_rows_of_many_sizes_arrive(url);
	stop_child(proxy);
}

// --- PgBouncer ---

static pid_t start_pgbouncer(const char *configuration)
{
	const pid_t parent = getpid();
	const pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		const int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);

		(void)dup2(nothing, STDERR_FILENO);
		if ((postgres->user.name != NULL && (setgid(postgres->user.gid) != 0 || setuid(postgres->user.uid) != 0)) ||
			prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 || getppid() != parent) {
			_exit(126);
		}
		(void)execl("/usr/sbin/pgbouncer", "pgbouncer", "-q", configuration, (char *)NULL);
		_exit(127);
	}
	return pid;
}

static void write_configuration(const char *path)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	(void)fprintf(file,
		"[databases]\npostgres = host=%s port=%d user=postgres\n"
		"[pgbouncer]\npool_mode = transaction\ndefault_pool_size = 2\nlisten_addr =\nunix_socket_dir = %s\n"
		"listen_port = 6432\nauth_type = any\nserver_login_retry = 0.1\n", postgres->directory,
		postgres->port, postgres->directory);
	(void)fclose(file);
}

enum { MANY = 300, AT_ONCE = 8 };

// Of any three, one is a tenant's, one the directory's (an error), and one fails otherwise.
static void start_one_of_many(struct pg_call *call, struct pg_world *world, int64_t number)
{
	pg_call_init(call, number % 3 == 1 ? pg_scope_directory(ROLE) : pg_scope_tenant(ROLE, number + 1));
	PG_ADD(&call->transaction, "select current_setting('depbroker.tenant')::bigint, $1", PG_V_INT8(number));
	if (number % 3 == 2) {
		PG_ADD(&call->transaction, "select 1 / ($1 - $1)", PG_V_INT8(number));
	}
	pg_call_start(call, world, 30000);
}

static void finish_one_of_many(struct pg_call *call, struct pg_world *world, int64_t number)
{
	assert_int_equal(pg_call_wait(call, world), number % 3 == 0 ? OK : ERR_BAD_INPUT);
	if (number % 3 == 0) {
		assert_int_equal(pg_int8(&call->transaction, 0, 0, 0), number + 1);
		assert_int_equal(pg_int8(&call->transaction, 0, 0, 1), number);
	} else {
		assert_string_equal(call->transaction.sqlstate, number % 3 == 1 ? "22P02" : "22012");
	}
	pg_transaction_fini(&call->transaction);
}

// What a stranger finds on the same connections.
static void assert_nothing_is_left_behind(const char *url)
{
	PGconn *stranger = PQconnectdb(url);
	PGresult *result = PQexec(stranger, "select current_user, coalesce(current_setting('depbroker.tenant', true), ''), "
		"current_setting('statement_timeout'), (select count(*) from pg_prepared_statements where name not like 'depbroker_%')");

	assert_int_equal(PQresultStatus(result), PGRES_TUPLES_OK);
	assert_string_equal(PQgetvalue(result, 0, 0), "postgres");
	assert_string_equal(PQgetvalue(result, 0, 1), "");
	assert_string_equal(PQgetvalue(result, 0, 2), "0");
	assert_string_equal(PQgetvalue(result, 0, 3), "0");
	PQclear(result);
	PQfinish(stranger);
}

static void a_lost_server_behind_pgbouncer_leaves_it_unknown(struct pg_world *world)
{
	struct pg_call call;

	call_with(&call, "select pg_sleep(60)");
	pg_call_start(&call, world, 60000);
	for (bool runs = false; !runs;) {
		char *value = test_postgres_ask(postgres, "select count(*) from pg_stat_activity where wait_event = 'PgSleep'");

		runs = strcmp(value, "1") == 0;
		free(value);
		(void)uv_run(&world->loop.uv, UV_RUN_NOWAIT);
	}
	test_postgres_kill(postgres);
	assert_int_equal(pg_call_wait(&call, world), ERR_UNKNOWN);
	pg_transaction_fini(&call.transaction);
	test_postgres_start(postgres);
}

static void everything_works_through_pgbouncer_in_transaction_mode(void **state)
{
	struct pg_call calls[AT_ONCE];
	struct pg_world world;
	char path[URL_SIZE];
	char url[URL_SIZE];
	pid_t pid;

	(void)state;
	if (access("/usr/sbin/pgbouncer", X_OK) != 0) {
		print_message("pgbouncer is not installed (deploy/dependencies.sh test installs it)\n");
		skip();
	}
	(void)snprintf(path, sizeof path, "%s/pgbouncer.ini", postgres->directory);
	write_configuration(path);
	pid = start_pgbouncer(path);
	(void)snprintf(url, sizeof url, "host=%s port=6432 user=postgres dbname=postgres", postgres->directory);
	pg_world_open(&world, (struct pg_pool_config){ .url = url, .size = AT_ONCE, .backoff_max_ms = 100 });
	pg_world_wait_connected(&world, AT_ONCE); // more than there are connections behind it
	for (int64_t first = 0; first < MANY; first += AT_ONCE) {
		for (int64_t i = 0; i < AT_ONCE; i++) {
			start_one_of_many(&calls[i], &world, first + i);
		}
		for (int64_t i = 0; i < AT_ONCE; i++) {
			finish_one_of_many(&calls[i], &world, first + i);
		}
	}
	assert_int_equal(pg_pool_counters(world.pool).reconnects, 0);
	assert_nothing_is_left_behind(url);
	a_lost_server_behind_pgbouncer_leaves_it_unknown(&world);
	pg_world_wait_connected(&world, AT_ONCE);
	assert_works(&world);
	pg_world_close(&world);
	stop_child(pid);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_url_that_makes_no_sense_is_refused_without_telling_it),
		cmocka_unit_test(keys_and_values_are_as_good_as_a_url),
		cmocka_unit_test(the_server_knows_who_is_connected),
		cmocka_unit_test(hosts_are_tried_in_turn_until_one_takes_changes),
		cmocka_unit_test(a_silent_server_costs_its_time_and_no_more),
		cmocka_unit_test(names_are_looked_up),
		cmocka_unit_test(a_wrong_password_is_told_without_it),
		cmocka_unit_test(tls_is_used_and_the_name_in_the_certificate_is_checked),
		cmocka_unit_test(everything_works_through_pgbouncer_in_transaction_mode),
	};

	return cmocka_run_group_tests_name("pg_links", tests, start_postgres, stop_postgres);
}
