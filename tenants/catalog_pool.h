/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tenants/catalog_pool.h - XenServer and XCP-ng pools: how to reach them, whom
 * to trust there, and the account.
 *
 * The password is sealed under the gateway key. A host is trusted by the pool's
 * CA, or by the pin of its own certificate, per host: one without a pin in a
 * pool without a CA is known but not used until it is accepted.
 */
#ifndef CAIRN_TENANTS_CATALOG_POOL_H
#define CAIRN_TENANTS_CATALOG_POOL_H

#include "tenants/catalog.h"

#define CATALOG_POOL_HOSTS_MAX 64

struct catalog_pool_host {
    const char *address;  /* host name or IP, optionally ":port" */
    const char *uuid;     /* "" until the pool told */
    const char *name;     /* "" until the pool told */
    bool entry;           /* given by the provider: where to log in first */
    const char *dial;     /* address to connect to instead; "": none */
    bool pinned;
    uint8_t pin[32];      /* SHA-256 of the accepted leaf certificate */
    bool seen;
    uint8_t seen_pin[32]; /* what the host last showed, when it was not pin */
};

struct catalog_pool {
    int64_t id;
    const char *name;
    const char *user;
    const char *ca_pem;    /* "": pins decide */
    bool paused;
    const char *pool_uuid; /* "" until the first login */
    uint64_t created_ms;
    struct catalog_pool_host *hosts;
    size_t host_count;
    void *owned;
};

typedef bool catalog_pool_fn(void *ctx, const struct catalog_pool *p);

/* id, created_ms, paused and owned of *p are not read. At least one host. */
enum err_code catalog_pool_add(struct catalog *c, const struct catalog_pool *p,
                               const char *password, int64_t *id,
                               struct err *err);
enum err_code catalog_pool_get(struct catalog *c, const char *name,
                               struct catalog_pool *out, struct err *err);
enum err_code catalog_pool_get_id(struct catalog *c, int64_t id,
                                  struct catalog_pool *out, struct err *err);
void catalog_pool_fini(struct catalog_pool *p);

/* By name, with hosts. */
enum err_code catalog_pool_each(struct catalog *c, struct catalog_page *page,
                                catalog_pool_fn *fn, void *ctx,
                                struct err *err);

/* Appended to *out, which should be a buf_init_secret(). */
enum err_code catalog_pool_password(struct catalog *c, int64_t id,
                                    struct buf *out, struct err *err);
enum err_code catalog_pool_set_password(struct catalog *c, int64_t id,
                                        const char *password,
                                        struct err *err);

enum err_code catalog_pool_set_paused(struct catalog *c, int64_t id,
                                      bool paused, struct err *err);

/* What a login told: the pool's uuid and its members. Hosts are recognised by
 * uuid, else by address; pins and `dial` of those known stay, new ones come
 * unpinned, vanished ones go unless they are entries. */
enum err_code catalog_pool_set_members(struct catalog *c, int64_t id,
                                       const char *pool_uuid,
                                       const struct catalog_pool_host *hosts,
                                       size_t count, struct err *err);

/* A host showed a certificate that is not its pin. */
enum err_code catalog_pool_host_seen(struct catalog *c, int64_t id,
                                     const char *address,
                                     const uint8_t sha256[32],
                                     struct err *err);

/* Trust this certificate from now on for this host. */
enum err_code catalog_pool_host_accept(struct catalog *c, int64_t id,
                                       const char *address,
                                       const uint8_t sha256[32],
                                       struct err *err);

/* ERR_CONFLICT: unfinished jobs use it, or open journal rows name it. Rules
 * for the pool go with it; points stay. */
enum err_code catalog_pool_remove(struct catalog *c, int64_t id,
                                  struct err *err);

#endif
