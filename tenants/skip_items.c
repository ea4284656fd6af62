// SPDX-License-Identifier: Apache-2.0
#include "tenants/skip_items.h"

#include "tenants/nearest.h"

static const struct skip_item items[] = {
	{ TEXT("Accessibility"), { [SKIP_MACOS] = { .since = "11.0", .not_always = true } } },
	{ TEXT("AccessibilityAppearance"), { [SKIP_IOS] = { .since = "17.0" } } },
	{ TEXT("ActionButton"), { [SKIP_IOS] = { .since = "17.0" } } },
	{ TEXT("Android"), { [SKIP_IOS] = { .since = "9.0" } } },
	{ TEXT("Appearance"), { [SKIP_IOS] = { .since = "13.0" }, [SKIP_MACOS] = { .since = "10.14" } } },
	{ TEXT("AppleID"), {
		[SKIP_IOS] = { .since = "7.0" }, [SKIP_MACOS] = { .since = "10.9" },
		[SKIP_TVOS] = { .since = "10.2" }, [SKIP_VISIONOS] = { .since = "26.0" } } },
	{ TEXT("AppStore"), { [SKIP_IOS] = { .since = "14.3" }, [SKIP_MACOS] = { .since = "11.1" } } },
	{ TEXT("Biometric"), {
		[SKIP_IOS] = { .since = "8.1" }, [SKIP_MACOS] = { .since = "10.12.4" },
		[SKIP_VISIONOS] = { .since = "26.0" } } },
	{ TEXT("CameraButton"), { [SKIP_IOS] = { .since = "18.0" } } },
	{ TEXT("DeviceToDeviceMigration"), { [SKIP_IOS] = { .since = "12.4" } } },
	{ TEXT("Diagnostics"), {
		[SKIP_IOS] = { .since = "7.0" }, [SKIP_MACOS] = { .since = "10.9" },
		[SKIP_TVOS] = { .since = "10.2" }, [SKIP_VISIONOS] = { .since = "26.0" } } },
	{ TEXT("DisplayTone"), {
		[SKIP_IOS] = { .since = "9.3.2", .old_since = "15.0" }, [SKIP_MACOS] = { .since = "10.13.6", .old_since = "12.0" } } },
	{ TEXT("EnableLockdownMode"), { [SKIP_IOS] = { .since = "17.1" }, [SKIP_MACOS] = { .since = "14.0" } } },
	{ TEXT("FileVault"), { [SKIP_MACOS] = { .since = "10.10" } } },
	{ TEXT("HomeButtonSensitivity"), { [SKIP_IOS] = { .since = "10.0", .old_since = "15.0" } } },
	{ TEXT("iCloudDiagnostics"), { [SKIP_MACOS] = { .since = "10.12.4" } } },
	{ TEXT("iCloudStorage"), { [SKIP_MACOS] = { .since = "10.13.4" } } },
	{ TEXT("iMessageAndFaceTime"), { [SKIP_IOS] = { .since = "12.0" } } },
	{ TEXT("Intelligence"), {
		[SKIP_IOS] = { .since = "18.0" }, [SKIP_MACOS] = { .since = "15.0" },
		[SKIP_VISIONOS] = { .since = "26.0" } } },
	{ TEXT("Keyboard"), { [SKIP_IOS] = { .since = "13.0", .not_always = true } } },
	{ TEXT("LiquidGlass"), { [SKIP_IOS] = { .since = "27.0" }, [SKIP_MACOS] = { .since = "27.0" } } },
	{ TEXT("Location"), {
		[SKIP_IOS] = { .since = "7.0" }, [SKIP_MACOS] = { .since = "10.11" },
		[SKIP_TVOS] = { .since = "10.2" }, [SKIP_VISIONOS] = { .since = "26.0" } } },
	{ TEXT("MessagingActivationUsingPhoneNumber"), { [SKIP_IOS] = { .since = "10.0" } } },
	{ TEXT("Multitasking"), { [SKIP_IOS] = { .since = "26.0" } } },
	{ TEXT("OnBoarding"), { [SKIP_IOS] = { .since = "11.0", .old_since = "14.0" } } },
	{ TEXT("OSShowcase"), { [SKIP_IOS] = { .since = "26.0" }, [SKIP_MACOS] = { .since = "26.1" } } },
	{ TEXT("Passcode"), {
		[SKIP_IOS] = { .since = "7.0" }, [SKIP_MACOS] = { .since = "10.9" },
		[SKIP_VISIONOS] = { .since = "26.0" } } },
	{ TEXT("Payment"), {
		[SKIP_IOS] = { .since = "8.1" }, [SKIP_MACOS] = { .since = "10.12.4" },
		[SKIP_VISIONOS] = { .since = "26.0" } } },
	{ TEXT("Privacy"), {
		[SKIP_IOS] = { .since = "11.3" }, [SKIP_MACOS] = { .since = "10.13.4" },
		[SKIP_TVOS] = { .since = "11.3" }, [SKIP_VISIONOS] = { .since = "26.0" } } },
	{ TEXT("Restore"), { [SKIP_IOS] = { .since = "7.0" }, [SKIP_MACOS] = { .since = "10.9" } } },
	{ TEXT("RestoreCompleted"), { [SKIP_IOS] = { .since = "14.0" } } },
	{ TEXT("ScreenSaver"), { [SKIP_TVOS] = { .since = "10.2" } } },
	{ TEXT("Safety"), { [SKIP_IOS] = { .since = "16.0" } } },
	{ TEXT("SafetyAndHandling"), { [SKIP_IOS] = { .since = "18.4", .not_always = true } } },
	{ TEXT("ScreenTime"), {
		[SKIP_IOS] = { .since = "12.0" }, [SKIP_MACOS] = { .since = "10.15" },
		[SKIP_VISIONOS] = { .since = "26.0" } } },
	{ TEXT("SIMSetup"), { [SKIP_IOS] = { .since = "12.0" } } },
	{ TEXT("Siri"), {
		[SKIP_IOS] = { .since = "7.0" }, [SKIP_MACOS] = { .since = "10.12" },
		[SKIP_TVOS] = { .since = "10.2" }, [SKIP_VISIONOS] = { .since = "26.0" } } },
	{ TEXT("SoftwareUpdate"), {
		[SKIP_IOS] = { .since = "12.0" }, [SKIP_MACOS] = { .since = "15.4" },
		[SKIP_VISIONOS] = { .since = "26.0" } } },
	{ TEXT("SpokenLanguage"), { [SKIP_IOS] = { .since = "13.0", .not_always = true } } },
	{ TEXT("TapToSetup"), { [SKIP_IOS] = { .since = "18.0", .not_always = true }, [SKIP_TVOS] = { .since = "10.2", .not_always = true } } },
	{ TEXT("TermsOfAddress"), {
		[SKIP_IOS] = { .since = "16.0", .not_always = true }, [SKIP_MACOS] = { .since = "13.0", .not_always = true } } },
	{ TEXT("Tips"), { [SKIP_VISIONOS] = { .since = "26.0" } } },
	{ TEXT("TOS"), {
		[SKIP_IOS] = { .since = "7.0" }, [SKIP_MACOS] = { .since = "10.9" },
		[SKIP_TVOS] = { .since = "10.2" }, [SKIP_VISIONOS] = { .since = "26.0" } } },
	{ TEXT("TVHomeScreenSync"), { [SKIP_TVOS] = { .since = "11.0" } } },
	{ TEXT("TVProviderSignIn"), { [SKIP_TVOS] = { .since = "11.0" } } },
	{ TEXT("TVRoom"), { [SKIP_TVOS] = { .since = "11.4" } } },
	{ TEXT("UnlockWithWatch"), { [SKIP_MACOS] = { .since = "15.0" } } },
	{ TEXT("UpdateCompleted"), { [SKIP_IOS] = { .since = "14.0" }, [SKIP_MACOS] = { .since = "26.1" } } },
	{ TEXT("Wallpaper"), { [SKIP_MACOS] = { .since = "14.1", .gone_since = "26.0" } } },
	{ TEXT("WatchMigration"), { [SKIP_IOS] = { .since = "11.0" } } },
	{ TEXT("WebContentFiltering"), { [SKIP_IOS] = { .since = "18.2", .gone_since = "26.1" } } },
	{ TEXT("Welcome"), {
		[SKIP_IOS] = { .since = "13.0" }, [SKIP_MACOS] = { .since = "15.0" },
		[SKIP_VISIONOS] = { .since = "26.0" } } },
	{ TEXT("Zoom"), { [SKIP_IOS] = { .since = "8.3", .old_since = "17.0" }, [SKIP_VISIONOS] = { .since = "26.0" } } },
};
enum { ITEM_COUNT = sizeof items / sizeof *items };

static const struct text seen_in_the_wild[] = {
	TEXT("AdditionalPrivacySettings"), TEXT("AgeBasedSafetySettings"), TEXT("Registration"),
};

const char *skip_os_name(enum skip_os os)
{
	static const char *const names[SKIP_OS_COUNT] = { "iOS", "macOS", "tvOS", "visionOS" };

	return names[os];
}

const struct skip_item *skip_item_find(struct text name)
{
	for (size_t i = 0; i < ITEM_COUNT; i++) {
		if (text_equal(items[i].name, name)) {
			return &items[i];
		}
	}
	return NULL;
}

bool skip_item_is_seen_in_the_wild(struct text name)
{
	for (size_t i = 0; i < sizeof seen_in_the_wild / sizeof *seen_in_the_wild; i++) {
		if (text_equal(seen_in_the_wild[i], name)) {
			return true;
		}
	}
	return false;
}

struct text skip_item_nearest(struct text name)
{
	struct text names[ITEM_COUNT];

	for (size_t i = 0; i < ITEM_COUNT; i++) {
		names[i] = items[i].name;
	}
	return nearest_word(name, names, ITEM_COUNT);
}
