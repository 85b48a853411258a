/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tenants/catalog_audit.h - who did what, when, and how it went. Lines are added
 * and never changed; they outlive their tenants, and go when they are old.
 */
#ifndef CAIRN_TENANTS_CATALOG_AUDIT_H
#define CAIRN_TENANTS_CATALOG_AUDIT_H

#include "tenants/catalog.h"

struct catalog_audit {
    int64_t id;
    uint64_t at_ms;
    const char *actor;   /* "provider", "token 12", "gateway" */
    int64_t tenant_id;   /* whom it concerns; 0: nobody in particular */
    const char *tenant;  /* name then; "" */
    const char *action;  /* "vault.add" */
    const char *object;  /* name or id; "" */
    const char *outcome; /* "ok", or the word of an error code */
    const char *detail;  /* one sentence; "" */
    void *owned;
};

typedef bool catalog_audit_fn(void *ctx, const struct catalog_audit *a);

/* id and at_ms are not read. */
enum err_code catalog_audit_add(struct catalog *c,
                                const struct catalog_audit *a,
                                struct err *err);

/* Newest first. tenant_id 0: all. since_ms 0: from the start. */
enum err_code catalog_audit_each(struct catalog *c, int64_t tenant_id,
                                 uint64_t since_ms, struct catalog_page *page,
                                 catalog_audit_fn *fn, void *ctx,
                                 struct err *err);

/* Remove the lines written before, but not more than CATALOG_AUDIT_EXPIRE_MAX
 * in one call: others wait for the catalog. */
#define CATALOG_AUDIT_EXPIRE_MAX 500u
enum err_code catalog_audit_expire(struct catalog *c, uint64_t before_ms,
                                   unsigned *count, struct err *err);

#endif
