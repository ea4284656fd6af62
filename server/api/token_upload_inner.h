// SPDX-License-Identifier: Apache-2.0
//
// token_upload_inner.h - what token_upload.c and token_upload_store.c share, and nobody else includes.
#pragma once

#include "api/alarm.h"
#include "api/token_opening.h"
#include "api/token_override.h"
#include "api/token_upload.h"
#include "apple/apple.h"
#include "store/tokens.h"

struct upload {
	struct call *call;
	struct alarm *alarm;
	struct token_brought brought;
	int64_t token_id;
	int64_t key_pair_id; // that it was opened with; 0: none
	struct data_key data_key;
	struct token_opening opening;
	struct apple_server server;
	struct apple_session session;
	struct apple_call apple;
	bool asks_apple;
	struct apple_account account;
	struct token_override override;
	struct token_row token;
	unsigned token_at, tenant_at, pending_at; // of the last transaction
};

void token_upload_fill(struct upload *upload); // the row of the new token
// These start the call's transaction, and note in the upload where its results are.
void token_upload_take(struct call *call);
void token_upload_store_pending(struct call *call);
