// SPDX-License-Identifier: Apache-2.0
//
// internal_exec.h - the hidden command `depbroker internal-exec`: becomes another program, as another user, tied to its parent.
//
//   internal-exec [--user NAME] [--parent PID] [--death-signal SIGINT|SIGTERM|SIGKILL] [--empty DIRECTORY] [--input TEXT]
//                 -- PROGRAM ARGUMENT...
//
// Laws  1. the user is changed first, everything else happens with that user's rights
//       2. with --parent: when that process is gone already, the program is not started; when it dies later, the program
//          gets the death signal
//       3. --empty removes what is in a directory, and leaves it; --input is what the program reads from its standard input
#pragma once

// argv[0] is "internal-exec". Returns only when it fails: 126, or 2 for wrong usage; the reason has been logged.
int internal_exec_main(int argc, char **argv);
