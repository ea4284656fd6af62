// SPDX-License-Identifier: Apache-2.0
//
// state.h - the world in a file, so that a second run goes on where the first one ended. Sessions are not kept.
#pragma once

#include "applesim/world.h"

MUST_USE enum err state_save(struct world *world, const char *path, struct fault *fault);
// Into a fresh world. OK and nothing read when there is no such file.
MUST_USE enum err state_load(struct world *world, const char *path, struct fault *fault);
