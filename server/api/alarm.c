// SPDX-License-Identifier: Apache-2.0
#include "api/alarm.h"

#include "depbroker/text.h"

#include <stdlib.h>

struct alarm {
	struct delay delay;
	void (*ring)(void *argument);
	void *argument;
};

static void on_fired(struct delay *delay)
{
	struct alarm *alarm = CONTAINER_OF(delay, struct alarm, delay);

	alarm->ring(alarm->argument);
}

static void on_closed(struct delay *delay)
{
	free(CONTAINER_OF(delay, struct alarm, delay));
}

struct alarm *alarm_start(struct loop *loop, int64_t after_ms, void (*ring)(void *argument), void *argument)
{
	struct alarm *alarm = allocate(sizeof *alarm);

	alarm->ring = ring;
	alarm->argument = argument;
	delay_init(&alarm->delay, loop, on_fired);
	delay_start(&alarm->delay, after_ms);
	return alarm;
}

void alarm_stop(struct alarm *alarm)
{
	if (alarm != NULL) {
		delay_close(&alarm->delay, on_closed);
	}
}
