// SPDX-License-Identifier: Apache-2.0
//
// Property lists: what Python's plistlib and plutil write, what is refused, and every damage of one byte.
#include "support/cmocka_all.h"
#include "tenants/plist.h"

#include <stdlib.h>
#include <string.h>

#define XML(body) "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" " \
	"\"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n<plist version=\"1.0\">" body "</plist>\n"

enum { SERIAL, NAME, AWAITING, OFF, NESTED, TOKEN, MISSING, MEMBERS };

// A device's Authenticate with a text beyond ASCII, booleans, data, and a serial number of something inside of it.
static const char binary[] =
	"bplist00\331\001\002\003\004\005\006\007\010\011\012\013\014\015\016\027\030\031\032_\020\025AwaitingCo"
	"nfigurationTDateZDeviceName[MessageTypeV"
	"NestedSOff\134SerialNumberUTokenTUDID\0113A\307\202\370"
	"@\000\000\000n\000\334\000n\000\357\000 \000&\000 \000<\000M\000a\000c\000>\000 \330=\336\000\134Authen"
	"ticate\322\007\017\020\021QaRno\243\022\023\024\020\001#@\004\000\000\000\000\000\000\321\025\026Qb\240\010[C"
	"02TEST0001O\020(xxxxxxxxxxxxxxxxxxxxxxxxxxx"
	"xxxxxxxxxxxxx]66ADE930-5FDF\000\010\000\033\0003\0008\000C\000O\000"
	"V\000Z\000g\000m\000r\000s\000|\000\231\000\246\000\253\000\255\000\260\000\264\000\266\000\277\000\302\000\304\000\305\000\306\000\322\000"
	"\375\000\000\000\000\000\000\002\001\000\000\000\000\000\000\000\033\000\000\000\000\000\000\000\000\000\000\000\000\000\000\001\013";

static enum err read_members(struct plist_member members[MEMBERS], struct text plist, struct arena *arena, struct fault *fault)
{
	static const char *const names[MEMBERS] = { "SerialNumber", "DeviceName", "AwaitingConfiguration", "Off", "Nested", "Token", "Missing" };

	for (size_t i = 0; i < MEMBERS; i++) {
		members[i] = (struct plist_member){ .name = names[i] };
	}
	return plist_read(members, MEMBERS, plist, arena, fault);
}

static void check(struct text plist)
{
	struct arena arena CLEANUP(arena_fini) = ARENA(1 << 16);
	struct plist_member members[MEMBERS];
	struct fault fault = { 0 };

	assert_int_equal(read_members(members, plist, &arena, &fault), OK);
	assert_int_equal(members[SERIAL].kind, PLIST_STRING);
	assert_true(text_equal(members[SERIAL].text, TEXT("C02TEST0001")));
	assert_true(text_equal(members[NAME].text, TEXT("\xc3\x9cn\xc3\xaf & <Mac> \xf0\x9f\x98\x80")));
	assert_int_equal(members[AWAITING].kind, PLIST_TRUE);
	assert_int_equal(members[OFF].kind, PLIST_FALSE);
	assert_int_equal(members[NESTED].kind, PLIST_OTHER);
	assert_int_equal(members[TOKEN].kind, PLIST_OTHER);
	assert_int_equal(members[MISSING].kind, PLIST_ABSENT);
}

static void both_forms_say_the_same(void **state)
{
	(void)state;
	check((struct text){ binary, sizeof binary - 1 });
	check(TEXT(XML("<dict><key>Nested</key><dict><key>SerialNumber</key><string>no</string><key>a</key><array><dict/><integer>1</integer>"
		"</array></dict>\n<!-- a comment -->\t<key>SerialNumber</key> <string>C02TEST0001</string>"
		"<key>DeviceName</key><string>\xc3\x9cn&#xEF; &amp; &lt;Mac&#62; &#128512;</string><key>AwaitingConfiguration</key><true/>"
		"<key>Off</key><false></false><key>Token</key><data>\neHh4\n</data></dict>")));
}

static void what_is_no_dictionary_is_refused(void **state)
{
	static const char *const bad[] = {
		"", " ", "x", "bplist00", "<plist/>", "<plist>", "<plist></plist>", "<dict/>",
		XML("<array/>"), XML("<dict>"), XML("<dict><key>a</key></dict>"), XML("<dict><string>a</string></dict>"),
		XML("<dict><key>a</key><string>b</dict>"), XML("<dict><key>a</key><string>b</key></dict>"),
		XML("<dict><key>a</key><string><b/></string></dict>"), XML("<dict><key>a</key><blink/></dict>"),
		XML("<dict><key>a</key><array><dict></array></dict></dict>"), XML("<dict/>") "x", XML("<dict/><dict/>"),
		XML("<dict><key>SerialNumber</key><string>a</string><key>SerialNumber</key><string>b</string></dict>"),
		XML("<dict><key>SerialNumber</key><string>&x;</string></dict>"), XML("<dict><key>SerialNumber</key><string>&#0;</string></dict>"),
		XML("<dict><key>SerialNumber</key><string>&#xD800;</string></dict>"), XML("<dict><key>SerialNumber</key><string>&</string></dict>"),
		XML("<dict><key>SerialNumber</key><string>&#1114112;</string></dict>"), XML("<dict><key>SerialNumber</key><string>\xff</string></dict>"),
		XML("<dict><key>SerialNumber</key><string><![CDATA[a]]></string></dict>"), XML("<dict><!-- a </dict>"),
		"<!DOCTYPE plist [<!ENTITY x \"y\">]><plist><dict/></plist>", "<?xml version='1.0'", "<!DOCTYPE plist",
	};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct arena arena CLEANUP(arena_fini) = ARENA(1 << 16);
		struct plist_member members[MEMBERS];
		struct fault fault = { 0 };

		assert_int_equal(read_members(members, text_of(bad[i]), &arena, &fault), ERR_BAD_INPUT);
		assert_string_not_equal(fault.text, "");
	}
}

static void depth_and_length_have_limits(void **state)
{
	struct buffer list CLEANUP(buffer_fini) = BUFFER(PLIST_BYTES_MAX + 100);
	struct arena arena CLEANUP(arena_fini) = ARENA(1 << 16);
	struct plist_member members[MEMBERS];

	(void)state;
	for (int depth = PLIST_DEPTH_MAX; depth <= PLIST_DEPTH_MAX + 1; depth++) {
		buffer_clear(&list);
		buffer_add_string(&list, "<plist><dict><key>a</key>");
		for (int i = 0; i < depth; i++) {
			buffer_add_string(&list, "<array>");
		}
		for (int i = 0; i < depth; i++) {
			buffer_add_string(&list, "</array>");
		}
		buffer_add_string(&list, "</dict></plist>");
		assert_int_equal(read_members(members, buffer_text(&list), &arena, NULL), depth <= PLIST_DEPTH_MAX ? OK : ERR_BAD_INPUT);
	}
	while (list.length <= PLIST_BYTES_MAX) {
		buffer_add_string(&list, " ");
	}
	assert_int_equal(read_members(members, buffer_text(&list), &arena, NULL), ERR_BAD_INPUT);
}

// Whatever a byte becomes, the list is read or refused, and memory is as a sanitizer likes it.
static void no_damage_of_one_byte_does_harm(void **state)
{
	static const unsigned char values[] = { 0, 1, 0x0f, 0x5f, 0x6f, 0x7f, 0x80, 0xd1, 0xff };

	(void)state;
	for (size_t at = 0; at < sizeof binary - 1; at++) {
		for (size_t i = 0; i < sizeof values; i++) {
			struct arena arena CLEANUP(arena_fini) = ARENA(1 << 16);
			struct plist_member members[MEMBERS];
			char *copy = allocate(sizeof binary - 1); // exactly: to read beyond it is seen

			memcpy(copy, binary, sizeof binary - 1);
			copy[at] = (char)values[i];
			(void)!read_members(members, (struct text){ copy, sizeof binary - 1 }, &arena, NULL);
			free(copy);
		}
	}
}

static void a_cut_list_is_refused_wherever_it_is_cut(void **state)
{
	(void)state;
	for (size_t length = 0; length < sizeof binary - 1; length++) {
		struct arena arena CLEANUP(arena_fini) = ARENA(1 << 16);
		struct plist_member members[MEMBERS];
		char *copy = allocate(length > 0 ? length : 1);

		memcpy(copy, binary, length);
		assert_int_equal(read_members(members, (struct text){ copy, length }, &arena, NULL), ERR_BAD_INPUT);
		free(copy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_forms_say_the_same),
		cmocka_unit_test(what_is_no_dictionary_is_refused),
		cmocka_unit_test(depth_and_length_have_limits),
		cmocka_unit_test(no_damage_of_one_byte_does_harm),
		cmocka_unit_test(a_cut_list_is_refused_wherever_it_is_cut),
	};

	return cmocka_run_group_tests_name("plist", tests, NULL, NULL);
}
