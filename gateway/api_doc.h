/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway/api_doc.h - rows of the catalog as the API shows them.
 *
 * A struct api_doc remembers the first failure, so that a document is written
 * down member by member and asked for once. Any thread, one at a time.
 */
#ifndef CAIRN_GATEWAY_API_DOC_H
#define CAIRN_GATEWAY_API_DOC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/json.h"
#include "gateway/authz.h"
#include "tenants/catalog_audit.h"
#include "tenants/catalog_job.h"
#include "tenants/catalog_point.h"
#include "tenants/catalog_pool.h"
#include "tenants/catalog_rule.h"
#include "tenants/catalog_tenant.h"
#include "tenants/catalog_token.h"
#include "tenants/catalog_vault.h"

struct api_doc {
    struct json *j;
    bool failed;
};

void api_doc_begin(struct api_doc *d); /* an object */
void api_doc_text(struct api_doc *d, const char *key, const char *text);
/* "" and NULL become null. */
void api_doc_text_or_null(struct api_doc *d, const char *key,
                          const char *text);
void api_doc_u64(struct api_doc *d, const char *key, uint64_t v);
void api_doc_int(struct api_doc *d, const char *key, int64_t v);
/* 0 becomes null. */
void api_doc_int_or_null(struct api_doc *d, const char *key, int64_t v);
void api_doc_bool(struct api_doc *d, const char *key, bool v);
/* RFC 3339; 0 becomes null. */
void api_doc_time(struct api_doc *d, const char *key, uint64_t wall_ms);
void api_doc_take(struct api_doc *d, const char *key, struct json *take);
/* JSON text kept by the catalog; "" and what does not parse become null. */
void api_doc_parsed(struct api_doc *d, const char *key, const char *text);
/* A SHA-256; has false: null. */
void api_doc_pin(struct api_doc *d, const char *key, bool has,
                 const uint8_t sha256[32]);
/* NULL: out of memory at some step. */
struct json *api_doc_end(struct api_doc *d);

/* NULL: out of memory. What a tenant may not see is left out for it. */
struct json *api_doc_tenant(const struct catalog_tenant *t);
struct json *api_doc_token(const struct catalog_token *t);
struct json *api_doc_rule(const struct catalog_rule *r);
struct json *api_doc_pool(const struct catalog_pool *p);
struct json *api_doc_vault(const struct catalog_vault *v);
struct json *api_doc_job(const struct catalog_job *j,
                         const struct authz_who *who);
struct json *api_doc_point(const struct catalog_point *p,
                           const struct authz_who *who);
struct json *api_doc_audit(const struct catalog_audit *a);

#endif
