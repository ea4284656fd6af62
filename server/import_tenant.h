// SPDX-License-Identifier: Apache-2.0
//
// import_tenant.h - makes a client of a token that another program used until now.
//
//   ask Apple whose token it is -> nobody here has that server, nor the slug -> client, keys, token in one transaction
//
// Ownership  the caller's texts are borrowed for the call.
// Laws       1. an import that fails leaves nothing behind
//            2. the token is pinned to the server that Apple names; one that another client has is refused
//            3. its first run reads the whole list of devices: a cursor of somebody else tells only what changes after it,
//               and nothing about devices that are there already
#pragma once

#include "crypto/key_pair.h"
#include "crypto/key_provider.h"
#include "database.h"
#include "loop/http_client.h"
#include "tenants/token.h"

struct importer {
	const struct config *config;
	struct database database; // ours
	struct http_client *apple;
	struct key_provider *keys;
};

struct import_wish {
	struct text slug;
	struct text display_name;
	struct text apple_url; // empty: the installation's
	struct text notes;
	const struct server_token *token;
	const struct key_pair *pair;    // of the token's certificate; NULL: not known
	const struct key_pair *staging; // of a renewal that is under way; NULL: none
};

struct import_result {
	bool was_there;         // the same server, under the same slug: nothing was done
	struct buffer org_name; // as Apple names it
	struct buffer server_uuid;
};
void import_result_fini(struct import_result *result);

MUST_USE enum err importer_open(struct importer *importer, const struct config *config, struct fault *fault);
void importer_close(struct importer *importer);
// `result` need not be initialised; import_result_fini in any case.
MUST_USE enum err import_tenant(struct importer *importer, const struct import_wish *wish, struct import_result *result,
	struct fault *fault);
