// SPDX-License-Identifier: Apache-2.0
//
// own_targets.h - where depbroker itself and its database listen: no webhook goes there, whatever the operator allows.
//
// Law  what is meant is found once, at the start: the addresses that this machine has then, at the ports of the listeners; and the
//      database's ports at any address, since its servers may change their addresses, except 443, where others listen, too
#pragma once

#include "depbroker/config.h"
#include "loop/http_client.h"

struct own_targets {
	struct address_range *ranges;
	size_t count;
};

void own_targets_find(struct own_targets *own, const struct config *config);
void own_targets_fini(struct own_targets *own);
