// SPDX-License-Identifier: Apache-2.0
#include "depbroker/clock.h"


// Days since 1970-01-01 of a date in the proleptic Gregorian calendar, counted in 400-year cycles from 1 March.
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
	const int64_t from_march = (month + 9) % 12;
	const int64_t years = year - (month <= 2 ? 1 : 0);
	const int64_t cycle = years / 400;
	const int64_t of_cycle = years - cycle * 400;
	const int64_t day_of_year = (153 * from_march + 2) / 5 + day - 1;

	return cycle * 146097 + of_cycle * 365 + of_cycle / 4 - of_cycle / 100 + day_of_year - 719468;
}

static void date_of(int64_t days, int64_t *year, int64_t *month, int64_t *day)
{
	const int64_t shifted = days + 719468;
	const int64_t cycle = shifted / 146097;
	const int64_t of_cycle = shifted - cycle * 146097;
	const int64_t years = (of_cycle - of_cycle / 1460 + of_cycle / 36524 - of_cycle / 146096) / 365;
	const int64_t day_of_year = of_cycle - (365 * years + years / 4 - years / 100);
	const int64_t from_march = (5 * day_of_year + 2) / 153;

	*day = day_of_year - (153 * from_march + 2) / 5 + 1;
	*month = from_march < 10 ? from_march + 3 : from_march - 9;
	*year = years + cycle * 400 + (*month <= 2 ? 1 : 0);
}

static int64_t days_in_month(int64_t year, int64_t month)
{
	const int64_t next_month = month == 12 ? 1 : month + 1;
	const int64_t next_year = month == 12 ? year + 1 : year;

	return days_of(next_year, next_month, 1) - days_of(year, month, 1);
}

struct reader {
	const char *at;
	const char *end;
	bool failed;
};

static int64_t read_number(struct reader *in, int digits)
{
	int64_t value = 0;

	for (int i = 0; i < digits; i++) {
		if (in->at == in->end || *in->at < '0' || *in->at > '9') {
			in->failed = true;
			return 0;
		}
		value = value * 10 + (*in->at++ - '0');
	}
	return value;
}

static bool read_one_of(struct reader *in, const char *set)
{
	for (; *set != '\0'; set++) {
		if (in->at < in->end && *in->at == *set) {
			in->at++;
			return true;
		}
	}
	return false;
}

static void expect(struct reader *in, const char *set)
{
	if (!read_one_of(in, set)) {
		in->failed = true;
	}
}

static int64_t read_fraction_us(struct reader *in)
{
	int64_t value = 0;
	int64_t unit = SECOND_US / 10;

	if (!read_one_of(in, ".")) {
		return 0;
	}
	if (in->at == in->end || *in->at < '0' || *in->at > '9') {
		in->failed = true;
	}
	while (in->at < in->end && *in->at >= '0' && *in->at <= '9') {
		value += unit * (*in->at++ - '0');
		unit /= 10;
	}
	return value;
}

static int64_t read_offset_s(struct reader *in)
{
	int64_t sign;
	int64_t hours;
	int64_t minutes;

	if (read_one_of(in, "Zz")) {
		return 0;
	}
	sign = read_one_of(in, "-") ? -1 : 1;
	if (sign == 1) {
		expect(in, "+");
	}
	hours = read_number(in, 2);
	expect(in, ":");
	minutes = read_number(in, 2);
	if (hours > 23 || minutes > 59) {
		in->failed = true;
	}
	return sign * (hours * 3600 + minutes * 60);
}

int64_t instant_parse(struct text t)
{
	struct reader in = { .at = t.bytes, .end = t.bytes + t.length };
	const int64_t year = read_number(&in, 4);
	expect(&in, "-");
	const int64_t month = read_number(&in, 2);
	expect(&in, "-");
	const int64_t day = read_number(&in, 2);
	expect(&in, "Tt ");
	const int64_t hour = read_number(&in, 2);
	expect(&in, ":");
	const int64_t minute = read_number(&in, 2);
	expect(&in, ":");
	const int64_t second = read_number(&in, 2);
	const int64_t fraction_us = read_fraction_us(&in);
	const int64_t offset_s = read_offset_s(&in);

	if (in.failed || in.at != in.end || year < 1970 || month < 1 || month > 12 || day < 1 ||
		day > days_in_month(year, month) || hour > 23 || minute > 59 || second > 60) {
		return INSTANT_NONE;
	}
	return (days_of(year, month, day) * DAY_S + hour * 3600 + minute * 60 + second - offset_s) * SECOND_US + fraction_us;
}

static char *put_digits(char *out, int64_t value, int count)
{
	for (int i = count - 1; i >= 0; i--) {
		out[i] = (char)('0' + value % 10);
		value /= 10;
	}
	return out + count;
}

static char *put_part(char *out, int64_t value, char before)
{
	*out = before;
	return put_digits(out + 1, value, 2);
}

// Written digit by digit: a page has thousands, and snprintf takes ten times as long.
const char *instant_format(char out[INSTANT_TEXT_SIZE], int64_t instant_us, bool fraction)
{
	if (instant_us < 0 || instant_us >= INT64_C(253402300800) * SECOND_US) {
		out[0] = '\0';
		return out;
	}
	const int64_t seconds = instant_us / SECOND_US;
	const int64_t part_us = instant_us % SECOND_US;
	const int64_t of_day = seconds % DAY_S;
	int64_t year;
	int64_t month;
	int64_t day;
	char *at = out;

	date_of(seconds / DAY_S, &year, &month, &day);
	at = put_digits(at, year, 4);
	at = put_part(at, month, '-');
	at = put_part(at, day, '-');
	at = put_part(at, of_day / 3600, 'T');
	at = put_part(at, of_day / 60 % 60, ':');
	at = put_part(at, of_day % 60, ':');
	if (fraction && part_us != 0) {
		*at++ = '.';
		at = put_digits(at, part_us, 6);
	}
	*at++ = 'Z';
	*at = '\0';
	return out;
}
