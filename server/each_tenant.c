// SPDX-License-Identifier: Apache-2.0
#include "each_tenant.h"


enum { PAGE = 100 };

struct page {
	char after[65]; // a slug
	size_t count;
};

static enum err visit_all(struct database_transaction *list, struct page *page,
	enum err (*visit)(void *argument, const struct tenant_row *tenant, struct fault *fault), void *argument, struct fault *fault)
{
	enum err rc = database_run(list, fault);

	page->count = rc == OK ? pg_row_count(&list->pg, 0) : 0;
	for (size_t row = 0; row < page->count && rc == OK; row++) {
		struct tenant_row tenant;

		store_tenant_read(&list->pg, 0, row, &tenant);
		text_put(page->after, sizeof page->after, tenant.slug);
		rc = visit(argument, &tenant, fault);
	}
	pg_transaction_fini(&list->pg);
	return rc;
}

static enum err visit_page(struct database *database, struct page *page,
	enum err (*visit)(void *argument, const struct tenant_row *tenant, struct fault *fault), void *argument, struct fault *fault)
{
	struct database_transaction list;

	(void)store_tenant_list(database_begin(database, &list, store_directory()), text_of(page->after), NULL, 0, PAGE);
	return visit_all(&list, page, visit, argument, fault);
}

static enum err visit_everybody(struct database *database,
	enum err (*visit)(void *argument, const struct tenant_row *tenant, struct fault *fault), void *argument, struct fault *fault)
{
	struct database_transaction list;
	struct page page = { .after = "" };

	(void)store_tenant_everybody(database_begin(database, &list, store_directory()));
	return visit_all(&list, &page, visit, argument, fault);
}

enum err each_tenant(struct database *database,
	enum err (*visit)(void *argument, const struct tenant_row *tenant, struct fault *fault), void *argument, struct fault *fault)
{
	struct page page = { .after = "" };

	do {
		TRY(visit_page(database, &page, visit, argument, fault));
	} while (page.count == PAGE);
	return visit_everybody(database, visit, argument, fault);
}
