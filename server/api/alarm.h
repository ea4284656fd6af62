// SPDX-License-Identifier: Apache-2.0
//
// alarm.h - a timer for something that may be gone before the loop has closed it.
//
// Ownership  the alarm is ours; its owner keeps the pointer until alarm_stop, which must be called once, rung or not.
// Thread     loop thread only.
#pragma once

#include "loop/loop.h"

struct alarm;

struct alarm *alarm_start(struct loop *loop, int64_t after_ms, void (*ring)(void *argument), void *argument);
void alarm_stop(struct alarm *alarm); // NULL is harmless
