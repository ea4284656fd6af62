// SPDX-License-Identifier: Apache-2.0
//
// resources.h - the steps of all endpoints; routes.c says which route leads to which.
#pragma once

#include "api/call.h"

// tenants.c
void tenants_list(struct call *call);
void tenant_show(struct call *call);
void tenant_delete(struct call *call);
// tenant_write.c
void tenants_create(struct call *call);
void tenant_change(struct call *call);
// alerts.c
void alerts_list(struct call *call);
void alert_ack(struct call *call);
// jobs.c
void jobs_create(struct call *call);
void job_show(struct call *call);
void job_cancel(struct call *call);
void job_approve(struct call *call); // of approval_kinds.h
// job_list.c
void jobs_list(struct call *call);
// device_labels.c
void device_labels_show(struct call *call);
void device_labels_change(struct call *call);
// job_results.c
void job_results(struct call *call);
// audit.c
void audit_list(struct call *call);
// renewal_links.c
void renewal_links_create(struct call *call);
// renewal_link_list.c
void renewal_links_list(struct call *call);
void renewal_link_revoke(struct call *call);
// renewal.c
void renewal_page(struct call *call);
void renewal_certificate(struct call *call);
// status.c
void status_show(struct call *call);
// token_keys.c
void token_keys_list(struct call *call);
void token_keys_create(struct call *call);
void token_key_certificate(struct call *call);
// dep_tokens.c
void dep_token_make(struct call *call);
void dep_token_show(struct call *call);
void dep_token_revoke(struct call *call);
void dep_tokens_list(struct call *call);
// token.c
void token_show(struct call *call);
void token_remove(struct call *call);
void token_pending_remove(struct call *call);
// token_upload.c
void token_upload(struct call *call);
// sync.c
void sync_show(struct call *call);
void sync_request(struct call *call);
void sync_parked(struct call *call);
// instances.c
void instances_list(struct call *call);
void instance_show(struct call *call);
void instance_enable(struct call *call);
void instance_deliveries(struct call *call);
// instance_write.c
void instances_create(struct call *call);
void instance_change(struct call *call);
// endpoints.c
void endpoints_list(struct call *call);
void endpoint_show(struct call *call);
void endpoint_enable(struct call *call);
void endpoint_delete(struct call *call);
void endpoint_deliveries(struct call *call);
// endpoint_write.c
void endpoints_create(struct call *call);
void endpoint_change(struct call *call);
// endpoint_secret.c
void endpoint_rotate(struct call *call);
void endpoint_rotate_key(struct call *call);
// endpoint_keys.c
void endpoint_public_keys(struct call *call);
void endpoint_public_keys_of_everybody(struct call *call);
void endpoint_drop_keys(struct call *call);
// endpoint_replay.c
void endpoint_replay(struct call *call);
void endpoint_test(struct call *call);
// event_types.c
void event_types_list(struct call *call);
// hook_secret.c
void hook_secret_make(struct call *call);
void hook_secret_remove(struct call *call);
// hook.c
void hook_take(struct call *call);
// enrolments.c
void enrolments_list(struct call *call);
// expected.c
void expected_show(struct call *call);
void expected_put(struct call *call);
// instance_maid_jwt.c
void instance_maid_jwt(struct call *call);
// bypass_code.c
void bypass_code_show(struct call *call);
void bypass_code_make(struct call *call);
// activation_lock.c
void activation_lock(struct call *call);
// instance_profile.c
void instance_profile_show(struct call *call);
void instance_profile_put(struct call *call);
// tenant_profile.c
void tenant_profile_show(struct call *call);
void tenant_profile_put(struct call *call);
// templates.c
void templates_list(struct call *call);
void template_show(struct call *call);
void template_put(struct call *call);
// rules.c
void rules_show(struct call *call);
void rules_put(struct call *call);
void rules_versions(struct call *call);
void rules_preview(struct call *call);
// approvals.c
void approvals_list(struct call *call);
void approval_show(struct call *call);
void approval_devices(struct call *call);
void approval_approve(struct call *call);
void approval_reject(struct call *call);
// pin_list.c
void pins_list(struct call *call);
// pins.c
void pins_put(struct call *call);
void pin_put(struct call *call);
void pin_delete(struct call *call);
// devices.c
void devices_list(struct call *call);
void device_show(struct call *call);
// device_search.c
void device_search(struct call *call);
// events.c
void events_list(struct call *call);
void device_history(struct call *call);
// openapi.c
void openapi_show(struct call *call);
