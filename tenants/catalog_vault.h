/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tenants/catalog_vault.h - where a tenant's backups lie, and what this gateway
 * needs to open it.
 *
 * Names are unique within a tenant. Credentials, the gateway's identity for the
 * vault and its writer state are sealed under the gateway key; the catalog does
 * not look into them.
 *
 *   creating -> unproved -> ready  (a new vault; a failure while it is created
 *                                removes the row, and so does opening the
 *                                catalog after a crash. It is unproved until a
 *                                key file has opened it: the only copy of its
 *                                recovery key was in an answer that may be lost)
 *   creating -> waiting -> ready  (an existing one, whose keys must first be
 *                                granted to this gateway's public key)
 */
#ifndef CAIRN_TENANTS_CATALOG_VAULT_H
#define CAIRN_TENANTS_CATALOG_VAULT_H

#include "tenants/catalog.h"

enum catalog_vault_state {
    CATALOG_VAULT_CREATING,
    CATALOG_VAULT_WAITING,
    CATALOG_VAULT_READY,
    CATALOG_VAULT_UNPROVED,
};

struct catalog_vault {
    int64_t id;
    int64_t tenant_id;
    const char *tenant;
    const char *name;
    const char *url;      /* file:///... or s3://bucket/prefix */
    const char *endpoint; /* "": the default */
    const char *region;
    const char *ca_pem;
    const char *lock;     /* "none", "governance", "compliance" */
    enum catalog_vault_state state;
    const char *vault_id;   /* 32 hex digits; "" while unknown */
    const char *public_key; /* this gateway's, 64 hex digits; "" */
    bool existing;          /* was opened, not created, here */
    uint64_t recovery_proved_ms; /* a key file opened it last; 0: never */
    uint64_t created_ms;
    const char *traits; /* what its store was found to do; "": not known */
    void *owned;
};

/* What is sealed. */
enum catalog_vault_secret {
    CATALOG_VAULT_CREDENTIALS,  /* as in the credentials file's form */
    CATALOG_VAULT_IDENTITY,     /* this gateway's private key for the vault */
    CATALOG_VAULT_WRITER_STATE, /* keys to seal under, recipients */
};

typedef bool catalog_vault_fn(void *ctx, const struct catalog_vault *v);

/* "creating", "waiting", "ready", "unproved" */
const char *catalog_vault_state_name(enum catalog_vault_state s);

/* Ready, or ERR_CONFLICT and what is to be done. */
enum err_code catalog_vault_check_ready(const struct catalog_vault *v,
                                        struct err *err);

/* Of *v are read: tenant, name, url, endpoint, region, ca_pem, lock,
 * existing. The row is `creating`. Also ERR_CONFLICT: another vault has this
 * url and endpoint. credentials "": none. */
enum err_code catalog_vault_add(struct catalog *c,
                                const struct catalog_vault *v,
                                const char *credentials, int64_t *id,
                                struct err *err);

/* `ref` is a name or a vault id. tenant_id 0: any tenant's, and then a name
 * that several use is ERR_CONFLICT, the text naming their tenants. Another
 * tenant's is ERR_NOT_FOUND. */
enum err_code catalog_vault_get(struct catalog *c, int64_t tenant_id,
                                const char *ref, struct catalog_vault *out,
                                struct err *err);
enum err_code catalog_vault_get_id(struct catalog *c, int64_t id,
                                   struct catalog_vault *out,
                                   struct err *err);
void catalog_vault_fini(struct catalog_vault *v);

/* By id. tenant_id 0: any. */
enum err_code catalog_vault_each(struct catalog *c, int64_t tenant_id,
                                 struct catalog_page *page,
                                 catalog_vault_fn *fn, void *ctx,
                                 struct err *err);

/* The vault is there: its id, our public key for it ("" as above). */
enum err_code catalog_vault_set_state(struct catalog *c, int64_t id,
                                      enum catalog_vault_state state,
                                      const char *vault_id,
                                      const char *public_key,
                                      struct err *err);

/* Words of the caller's, at most 200 bytes. ERR_NOT_FOUND. */
enum err_code catalog_vault_set_traits(struct catalog *c, int64_t id,
                                       const char *traits, struct err *err);

enum err_code catalog_vault_set_proved(struct catalog *c, int64_t id,
                                       struct err *err);

/* Appended to *out, which should be a buf_init_secret(); nothing stored:
 * ERR_NOT_FOUND. */
enum err_code catalog_vault_secret_get(struct catalog *c, int64_t id,
                                       enum catalog_vault_secret what,
                                       struct buf *out, struct err *err);
enum err_code catalog_vault_secret_set(struct catalog *c, int64_t id,
                                       enum catalog_vault_secret what,
                                       struct slice value, struct err *err);

/* Only the catalog's rows (its points too). ERR_CONFLICT: unfinished jobs use
 * it, or open journal rows name it. */
enum err_code catalog_vault_remove(struct catalog *c, int64_t id,
                                   struct err *err);

#endif
