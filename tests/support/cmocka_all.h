// SPDX-License-Identifier: Apache-2.0
//
// cmocka_all.h - cmocka, with the standard headers that it needs before it.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
