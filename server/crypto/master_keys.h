// SPDX-License-Identifier: Apache-2.0
//
// master_keys.h - the file that holds the master keys: lines of 64 hexadecimal digits, the newest first; or one key of 32 raw bytes.
//
// Ownership  a struct master_keys is a value of the caller, who wipes it (master_keys_fini).
// Thread     file i/o, of one small file.
// Laws       1. the file must be a regular file that nobody else can read (mode 0600 or stricter), and belong to us or to root
//            2. the file is never seen half-written: it is made beside, brought to the disk, and then given the name
//            3. a key is named by the beginning of its SHA-256; the name says nothing about the key
#pragma once

#include "crypto/seal.h"

enum { MASTER_KEYS_MAX = 8, MASTER_KEY_ID_SIZE = 16 };

struct master_keys {
	struct master_key keys[MASTER_KEYS_MAX]; // the newest first
	size_t count;
};

// ERR_SYSTEM with a sentence on what to do. `create_missing`: when there is no such file it is made, with one new key; when another
// process makes it at the same time, both load the same key.
MUST_USE enum err master_keys_load(struct master_keys *keys, const char *path, bool create_missing, struct fault *fault);
// The file, which must exist, holds these from now on.
MUST_USE enum err master_keys_replace(const struct master_keys *keys, const char *path, struct fault *fault);
// Removes what a process that was killed inside of master_keys_replace left beside the file: it holds keys. For whoever is sure to be
// the only one that replaces the file now.
MUST_USE enum err master_keys_sweep(const char *path, struct fault *fault);
void master_keys_fini(struct master_keys *keys);

void master_key_make(struct master_key *key);
void master_key_id(char out[MASTER_KEY_ID_SIZE + 1], const struct master_key *key);
const struct master_key *master_keys_find(const struct master_keys *keys, struct text id); // NULL: none
