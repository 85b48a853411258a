/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tenants/catalog_point.h - the restore points this gateway knows of, and the
 * witness: name and SHA-256 of what it last wrote or read of each VM.
 *
 * A cache but for witnesses, owners and verdicts: points are read again from
 * the vault at any time.
 */
#ifndef CAIRN_TENANTS_CATALOG_POINT_H
#define CAIRN_TENANTS_CATALOG_POINT_H

#include "tenants/catalog.h"

#define CATALOG_POINT_ID 26 /* "20261120T081530Z-0123abcd" with its NUL */

struct catalog_point {
    int64_t row;
    char id[CATALOG_POINT_ID]; /* last part of its name */
    int64_t vault_id;
    const char *vault;
    int64_t tenant_id;
    const char *tenant;
    const char *name;      /* "points/<vm tag>/<time>-<rand>" */
    const char *series;
    const char *vm_uuid;
    const char *vm_name;
    const char *pool;      /* as the point says; "" */
    const char *mode;      /* "xva", "vhd", "nbd" */
    const char *gateway;   /* that made it; "" */
    const char *disks;     /* JSON array of {position, uuid, name, size} */
    uint64_t time_ms;      /* of its name */
    uint64_t started_ms, ended_ms;
    uint64_t read_bytes, changed_bytes, new_bytes, stored_bytes;
    uint64_t virtual_bytes; /* sum of its disks */
    uint8_t sha256[32];    /* of the object */
    bool made_here;        /* by a job of this gateway: settles the owner */
    uint64_t verified_ms;  /* last verification; 0: never */
    const char *verdict;   /* "ok", "damaged"; "" */
    void *owned;
};

typedef bool catalog_point_fn(void *ctx, const struct catalog_point *p);

/* Add, or bring up to date what is known by vault and name. Of *p are read:
 * vault_id and all from name to made_here but id and tenant. made_here never
 * turns false again. With made_here the VM is the tenant's from now on. */
enum err_code catalog_point_put(struct catalog *c,
                                const struct catalog_point *p,
                                struct err *err);

/* Zeroed: all. Newest first. */
struct catalog_point_filter {
    int64_t tenant_id;
    int64_t vault_id;
    const char *vm_uuid;
    const char *vm_name;
    const char *pool;
    const char *id;
    uint64_t from_ms, before_ms; /* time_ms in [from, before); 0: open */
};
enum err_code catalog_point_each(struct catalog *c,
                                 const struct catalog_point_filter *filter,
                                 struct catalog_page *page,
                                 catalog_point_fn *fn, void *ctx,
                                 struct err *err);

/*
 * `ref` is an id, or VM@latest or VM@2026-11-20 (the newest of that day, UTC),
 * where VM is a uuid, a name, or POOL/NAME as of the VM's newest point. Of
 * `within`, tenant_id and vault_id count; a pool of "" says that pools are not
 * in sight: POOL/NAME is nothing then. ERR_NOT_FOUND; ERR_CONFLICT: the text
 * names the candidates (one id lies in a vault and in its copy).
 */
enum err_code catalog_point_get(struct catalog *c,
                                const struct catalog_point_filter *within,
                                const char *ref, struct catalog_point *out,
                                struct err *err);
void catalog_point_fini(struct catalog_point *p);

/* The newest known point of a series in a vault: the witness. */
enum err_code catalog_point_newest(struct catalog *c, int64_t vault_id,
                                   const char *series,
                                   struct catalog_point *out,
                                   struct err *err);

/* The number of the newest row, 0: none. A later one is greater. */
enum err_code catalog_point_last(struct catalog *c, int64_t *row,
                                 struct err *err);

/* Is no longer in the vault (by row). */
enum err_code catalog_point_forget(struct catalog *c, int64_t row,
                                   struct err *err);

enum err_code catalog_point_set_verdict(struct catalog *c, int64_t row,
                                        const char *verdict, struct err *err);

#endif
