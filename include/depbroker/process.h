// SPDX-License-Identifier: Apache-2.0
//
// process.h - what every process of depbroker that may hold keys does first.
#pragma once

// No core dumps, no reading of our memory by other processes of the same user, files for ourselves only (umask 077),
// no keys of TLS connections for whom SSLKEYLOGFILE names, and no death by SIGPIPE.
void process_harden(void);
