// SPDX-License-Identifier: Apache-2.0
//
// problems.h - every problem that the REST API can answer with: one table, which docs/reference/problems.md explains.
//
// Laws  1. a code is stable: programs decide by it. `detail` is for people and may change
//       2. each tells what to do
#pragma once

#include "loop/problem.h"

// name, status, title, fix. The code is the name in lower case
#define API_PROBLEMS(X)                                                                                               \
	X(UNAUTHENTICATED, 401, "The request carries no valid API key",                                                   \
		"Send the header Authorization: Bearer with a key of depbroker admin create-key that is neither expired nor revoked.") \
	X(FORBIDDEN, 403, "The key's role does not allow this",                                                           \
		"Use a key with the role that the detail names.")                                                             \
	X(TENANT_NOT_FOUND, 404, "There is no such tenant",                                                               \
		"List the tenants that this key may see with GET /api/v1/tenants.")                                           \
	X(KEY_PAIR_NOT_FOUND, 404, "There is no such key pair",                                                           \
		"List the tenant's key pairs with GET .../token/keys.")                                                       \
	X(TOKEN_NOT_FOUND, 404, "The tenant has no server token",                                                         \
		"Upload the .p7m from Apple with PUT .../token.")                                                             \
	X(INSTANCE_NOT_FOUND, 404, "There is no such instance",                                                           \
		"List the tenant's instances with GET .../instances.")                                                        \
	X(DEP_TOKEN_NOT_FOUND, 404, "The instance has no server token of depbroker's",                                    \
		"Make one with POST .../dep-token and the certificate of its MDM server.")                                    \
	X(DEVICE_NOT_FOUND, 404, "There is no such device",                                                               \
		"Check the serial number; a device shows up after the next sync.")                                            \
	X(BAD_JSON, 400, "The body is not acceptable JSON",                                                               \
		"Send one JSON object in UTF-8, each member at most once.")                                                   \
	X(BAD_BODY, 422, "The body has the right form and a wrong content",                                               \
		"Correct the member that the detail names.")                                                                  \
	X(UNKNOWN_PARAMETER, 400, "The query has a parameter that this resource does not know",                           \
		"Leave it out; the OpenAPI document lists the known ones.")                                                   \
	X(BAD_PARAMETER, 400, "A query parameter or header has a wrong value",                                            \
		"Correct what the detail names.")                                                                             \
	X(BAD_CURSOR, 400, "The cursor is not one of this list",                                                          \
		"Send the cursor of the previous page unchanged, or none to begin anew.")                                     \
	X(SLUG_TAKEN, 409, "A tenant of this slug exists",                                                                \
		"Choose another slug.")                                                                                       \
	X(NAME_TAKEN, 409, "An instance of this name exists",                                                             \
		"Choose another name.")                                                                                       \
	X(TOO_MANY_INSTANCES, 409, "The tenant has as many instances as there can be",                                    \
		"Reuse one of them with PATCH.")                                                                              \
	X(ENDPOINT_NOT_FOUND, 404, "There is no such endpoint",                                                           \
		"List the tenant's endpoints with GET .../endpoints.")                                                        \
	X(TOO_MANY_ENDPOINTS, 409, "There are as many endpoints as there can be",                                         \
		"Change one with PATCH, or delete one: five for each instance, one for the tenant itself, ten for alerts.")      \
	X(ENDPOINT_STAYS, 409, "An instance's first endpoint stays as long as the instance",                              \
		"Set webhook_url of the instance to null: nothing is sent then.")                                             \
	X(TOO_MANY_SECRETS, 409, "The endpoint has as many valid secrets as there can be",                                \
		"Wait until the oldest ends, or send overlap_s 0, which ends all of them now.")                               \
	X(REPLAY_TOO_LARGE, 409, "More events would wait to be sent once more than may wait",                             \
		"Wait until those are sent, or ask for a shorter time.")                                                      \
	X(TENANT_NOT_ACTIVE, 409, "The tenant is paused or quarantined",                                                  \
		"Set its state to active with PATCH first.")                                                                  \
	X(REMOVALS_DIFFER, 409, "Another number of removals waits to be allowed",                                         \
		"Read GET .../sync, look at what is held, and allow that number.")                                            \
	X(NO_KEY_PAIR, 409, "The tenant has no key pair that a token could belong to",                                    \
		"Make one with POST .../token/keys and upload its certificate at Apple.")                                     \
	X(TOKEN_FILE_UNREADABLE, 422, "The file is not a server token from Apple",                                        \
		"Upload the file that ends in _smime.p7m exactly as Apple gave it.")                                          \
	X(TOKEN_FILE_TRUNCATED, 422, "The end of the token file is missing",                                              \
		"Download it from Apple again, and upload it whole.")                                                         \
	X(TOKEN_FILE_IS_CERTIFICATE, 422, "The file is a certificate, not a server token",                                \
		"Upload the certificate at Apple; there, download the server token, and upload that here.")                   \
	X(TOKEN_FILE_IS_PRIVATE_KEY, 422, "The file is a private key, not a server token",                                \
		"Keep it secret, and replace it if others saw it. Upload the .p7m file from Apple.")                          \
	X(TOKEN_FILE_IS_WEB_PAGE, 422, "The file is a web page, not a server token",                                      \
		"Log in at Apple, download the server token again, and upload the file that ends in _smime.p7m.")             \
	X(TOKEN_FILE_IS_DECRYPTED, 422, "The file is a token without its envelope",                                       \
		"Upload the .p7m file as it came from Apple. If you do not know who decrypted it, download a new one there.") \
	X(TOKEN_WRONG_KEY, 422, "The token was made for another certificate",                                             \
		"At Apple, upload the certificate of one of the named key pairs, then download a new token.")                 \
	X(TOKEN_CONTENT_UNREADABLE, 422, "The file opens, but holds no server token",                                     \
		"Download a new token at Apple.")                                                                             \
	X(TOKEN_EXPIRED, 422, "The token has expired",                                                                    \
		"Download a new token at Apple.")                                                                             \
	X(TOKEN_REFUSED_BY_APPLE, 422, "Apple refuses the token",                                                         \
		"Download a new token at Apple: an older one ends when a newer one is made, or when its administrator leaves.") \
	X(APPLE_TERMS_UNSIGNED, 409, "Apple's terms must be accepted first",                                              \
		"The organisation's administrator accepts the new terms at Apple; then upload the token again.")              \
	X(TOKEN_IDENTITY_MISMATCH, 409, "The token belongs to another organisation or server",                            \
		"Upload the token of the server that this tenant is pinned to; the one in use stays. docs/how-to/approve-a-large-change.md has the way to another one.")                        \
	X(SERVER_BELONGS_TO_ANOTHER_TENANT, 409, "Another tenant is this Apple server",                                   \
		"Check whose token this is; one Apple server serves one tenant.")                                             \
	X(APPLE_UNREACHABLE, 503, "Apple cannot be asked whose token this is",                                            \
		"Try again later; nothing was changed.")                                                                      \
	X(APPLE_ANSWER_UNUSABLE, 502, "Apple's answer cannot be used",                                                    \
		"Try again; if it stays so, check the tenant's apple_url. Nothing was changed.")                              \
	X(TOKEN_HAS_NO_KEY, 409, "The token in use came without its private key",                                         \
		"Make a key pair with POST .../token/keys, upload its certificate at Apple, and upload the token made for it.") \
	X(DEVICE_GONE, 409, "The device has left the tenant",                                                             \
		"Check the serial number, and at Apple where the device is now.")                                             \
	X(BYPASS_CODE_NOT_FOUND, 404, "There is no bypass code of this device",                                           \
		"Make one with POST .../bypass-code.")                                                                        \
	X(TOO_MANY_BYPASS_CODES, 409, "The device has as many bypass codes as there can be",                              \
		"Use the newest one of GET .../bypass-code; none is thrown away, because the device may be locked with it.")  \
	X(ACTIVATION_LOCK_REFUSED, 409, "Apple has not locked the device",                                                \
		"Look what Apple's word in apple_error means.")                                                               \
	X(RULES_INVALID, 422, "The rules have errors",                                                                     \
		"Mend what findings say; each has its place in the document.")                                                \
	X(RULES_VERSION_NOT_FOUND, 404, "There is no such version of the rules",                                          \
		"List the versions with GET .../rules/versions.")                                                             \
	X(PIN_NOT_FOUND, 404, "The device is not pinned",                                                                 \
		"GET .../devices/{serial} shows why it is where it is.")                                                      \
	X(APPROVAL_NOT_FOUND, 404, "There is no such approval",                                                           \
		"List those that wait with GET /api/v1/approvals.")                                                           \
	X(APPROVAL_BY_SAME_KEY, 403, "Who asked for a change cannot approve it",                                          \
		"Let another person approve it, with a key of their own.")                                                    \
	X(APPROVAL_CLOSED, 409, "The approval does not wait any more",                                                    \
		"Ask for the change again.")                                                                                  \
	X(APPROVAL_STALE, 409, "What was to be approved is not so any more",                                              \
		"Ask for the change again: it is costed anew.")                                                               \
	X(URL_NOT_ALLOWED, 422, "A URL is not acceptable here",                                                           \
		"Use an https URL on a host of allowed_hosts, or list its host there.")                                       \
	X(PROFILE_INVALID, 422, "The enrolment profile has an error",                                                     \
		"Correct what findings name. docs/reference/profiles.md has the keys and what they take.")                    \
	X(TEMPLATE_NOT_FOUND, 404, "There is no such template",                                                           \
		"List the templates with GET /api/v1/templates.")                                                             \
	X(VERSION_NOT_FOUND, 404, "There is no such version",                                                             \
		"Leave version out to see which there are.")                                                                  \
	X(PRECONDITION_FAILED, 412, "Somebody else changed it meanwhile",                                                 \
		"Read it again, and repeat the change with the new ETag.")                                                    \
	X(TENANT_NOT_ARCHIVED, 409, "Only an archived tenant can be deleted",                                             \
		"Set its state to archived with PATCH first. Deleting cannot be taken back.")                                 \
	X(TENANT_QUARANTINED, 409, "The tenant is quarantined, and nothing tells that the reason is gone",                \
		"Find out what state_reason names. Then upload a token of the pinned server, or send a reason; it needs an admin.") \
	X(HOST_NOT_ALLOWED, 409, "A host of an instance is not among those that the tenant allows",                       \
		"Change allowed_hosts of the instance, or mdm_hosts of the tenant.")                                          \
	X(NO_PENDING_TOKEN, 404, "No token waits to be verified",                                                         \
		"GET .../token shows what there is.")                                                                         \
	X(ALERT_NOT_FOUND, 404, "There is no such alert",                                                                 \
		"List the alerts with GET /api/v1/alerts.")                                                                   \
	X(LINK_NOT_FOUND, 404, "This link does not work",                                                                 \
		"Ask for a new link.")                                                                                        \
	X(FORM_UNREADABLE, 422, "The form holds no file",                                                                 \
		"Choose the file that ends in _smime.p7m, and send the form again.")                                          \
	X(HOOK_NOT_FOUND, 404, "There is no such hook",                                                                   \
		"Make a secret with POST .../instances/{instance}/hook, and use the path that it gives, or sign with it.")    \
	X(HOOK_UNREADABLE, 422, "The message says something about an enrolment that cannot be understood",                \
		"Look at detail; the formats are in docs/how-to/hear-of-enrolments.md.")                                      \
	X(LIST_UNREADABLE, 422, "The list cannot be read",                                                                \
		"Look at detail, which names the line, and send the whole list again.")                                       \
	X(JOB_TOO_LARGE, 422, "The job has more rows than one may have",                                                   \
		"Divide it into several jobs.")                                                                               \
	X(JOB_NOT_FOUND, 404, "There is no such job",                                                                     \
		"List the jobs with GET .../jobs.")                                                                           \
	X(JOB_OVER, 409, "The job is over",                                                                               \
		"Nothing of it is left to be done: GET .../jobs/{id}/results shows what became of each row.")                 \
	X(TOO_MANY_JOBS, 409, "The tenant has as many unfinished jobs as there can be",                                   \
		"Wait until some are done, or cancel them.")                                                                  \
	X(RELEASE_DISABLED, 403, "Releasing devices is switched off in this installation",                                \
		"Whoever runs it can set DEPBROKER_ALLOW_RELEASE to 1. Released devices leave the organisation for good.")     \
	X(RELEASE_UNCONFIRMED, 422, "A release needs the number of its devices, typed",                                   \
		"Count the serial numbers, and send that number as confirm_devices.")                                         \
	X(INSTANCE_HAS_DEVICES, 409, "The instance is in use, and cannot be retired",                                     \
		"Name the instance that takes its place: PATCH with state retired and target, which makes a job; or drain it.") \
	X(INSTANCE_RETIRED, 409, "The instance is retired",                                                               \
		"Name another instance, or make this one active again with PATCH.")                                           \
	X(TOO_MANY_REQUESTS, 429, "Too many requests",                                                                    \
		"Wait for a minute.")                                                                                         \
	X(DATABASE_UNAVAILABLE, 503, "The database is away",                                                              \
		"Try again in a moment.")                                                                                     \
	X(OUTCOME_UNKNOWN, 503, "It is not known whether the change was made",                                            \
		"Read the resource to see, before you repeat it.")                                                            \
	X(ANSWER_TOO_LARGE, 422, "The answer would be too large",                                                         \
		"Ask for fewer items with limit.")                                                                            \
	X(INTERNAL, 500, "Something is wrong in depbroker itself",                                                        \
		"Look for the request id in depbroker's log, and report it.")

enum api_problem {
#define PROBLEM_ENUM(name, status, title, fix) PROBLEM_##name,
	API_PROBLEMS(PROBLEM_ENUM)
#undef PROBLEM_ENUM
	API_PROBLEM_COUNT
};

// Everything but detail and extra. `code` is lower case.
struct problem api_problem(enum api_problem which);
