// SPDX-License-Identifier: Apache-2.0
//
// endpoints.h - where a client's webhooks go: several endpoints for each instance, and one for the client itself; and where the alerts of all
// clients go: the endpoints of STORE_EVERYBODY.
//
// Laws  1. an instance's first endpoint has the instance's number, and stays; it is the one that may have no URL
//       2. an endpoint of an instance gets that instance's events only; the client's endpoint all of the log
//       3. positions come and go with their endpoint
#pragma once

#include "crypto/seal.h"
#include "store/store.h"
#include "tenants/endpoint_format.h"

enum { STORE_ENDPOINT_AUTHORITY_MAX = 16384, STORE_ENDPOINT_BATCH_MAX = 500, STORE_ENDPOINTS_OF_INSTANCE_MAX = 5, STORE_ENDPOINTS_FOR_ALERTS_MAX = 10, STORE_ENDPOINT_EVENTS_MAX = 64, STORE_ENDPOINT_KINDS_MAX = 32, STORE_ENDPOINT_HEADERS_MAX = 8 };

struct endpoint_row {
	int64_t endpoint_id;
	int64_t instance_id; // 0: of the client itself
	struct text instance; // its name; read only
	struct text url;      // empty: nothing is sent
	struct text events[STORE_ENDPOINT_EVENTS_MAX]; // types that it wants
	size_t event_count;                            // 0: all
	struct text alert_kinds[STORE_ENDPOINT_KINDS_MAX]; // that it is told of, when it is for alerts
	size_t alert_kind_count;                           // 0: all
	struct text headers[STORE_ENDPOINT_HEADERS_MAX]; // "name: value", sent besides our own
	size_t header_count;
	struct text certificate_authority; // PEM: the only ones that its server's certificate is believed from; empty: the system's
	enum endpoint_format format; // as it was made
	int batch_size; // events in one request; 1: an event as it is
	int64_t secret_version; // of the newest one
	int64_t key_version;    // of the newest key pair; 0: there was none yet
	int64_t disabled_at_us;
	struct text disabled_reason;
	int64_t not_before_us; // it asked to slow down
	int64_t succeeded_at_us; // while an event of it waited to be tried again; INSTANT_NONE: not known
	int64_t created_at_us, updated_at_us;
};

// Api scope, all of these; the client's run starts over, but for the last.
// Its positions begin at the end of the log. Of an instance that has as many as there can be, or when there are as many for alerts: ERR_FENCED. A second one of the client:
// ERR_CONFLICT.
void store_endpoint_insert(struct pg_transaction *t, int64_t tenant_id, const struct endpoint_row *endpoint);
unsigned store_endpoint_update(struct pg_transaction *t, int64_t tenant_id, const struct endpoint_row *endpoint); // all but its format
void store_endpoint_delete(struct pg_transaction *t, int64_t tenant_id, int64_t endpoint_id); // its secrets, too
// The new version of its secret, or of its key pair, signs first; those before it for `overlap_s` longer, at most. With as many as can be
// valid: ERR_FENCED. `public_part` of a key pair only.
void store_endpoint_rotate(struct pg_transaction *t, const struct seal_binding *binding, const struct sealed *sealed, struct text public_part,
	int64_t overlap_s);
void store_endpoint_drop_keys(struct pg_transaction *t, int64_t tenant_id, int64_t endpoint_id); // signed by no key pair any more
// Api scope: the public parts of its valid key pairs, the newest first.
unsigned store_endpoint_keys(struct pg_transaction *t, int64_t tenant_id, int64_t endpoint_id);
void store_endpoint_key_read(const struct pg_transaction *t, unsigned statement, size_t row, struct text *public_part, int64_t *expires_at_us);
// Deliveries go on from where they stopped, at once.
void store_endpoint_enable(struct pg_transaction *t, int64_t tenant_id, int64_t endpoint_id);

// Worker scope.
unsigned store_endpoint_disable(struct pg_transaction *t, int64_t tenant_id, int64_t endpoint_id, struct text reason);
unsigned store_endpoint_slow(struct pg_transaction *t, int64_t tenant_id, int64_t endpoint_id, int64_t not_before_us);
unsigned store_endpoint_succeeded(struct pg_transaction *t, int64_t tenant_id, int64_t endpoint_id, int64_t at_us);

// By number; 0: all of the client.
unsigned store_endpoint_select(struct pg_transaction *t, int64_t tenant_id, int64_t endpoint_id);
void store_endpoint_read(const struct pg_transaction *t, unsigned statement, size_t row, struct endpoint_row *out);
// Those that have a URL, each with its secrets and key pairs that are valid: a row for each of these, the newest first, and one without a
// secret for an endpoint that has none. For store_secret_open and store_secret_version (0: none).
unsigned store_endpoint_list_with_secrets(struct pg_transaction *t, int64_t tenant_id);
void store_endpoint_read_with_secret(const struct pg_transaction *t, unsigned statement, size_t row, struct endpoint_row *out);
