/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway/vaults.h - the vaults that are open in this gateway.
 *
 * A vault is opened when first asked for - from the catalog's row, the sealed
 * identity and writer state, by no more than its keys at hand - and stays open,
 * with its local index and, for a folder, its disk lane. Control loop only.
 */
#ifndef CAIRN_GATEWAY_VAULTS_H
#define CAIRN_GATEWAY_VAULTS_H

#include <stdint.h>

#include "base/err.h"
#include "gateway/api_backend.h"
#include "gateway/engine.h"
#include "gateway/place.h"
#include "vault/index.h"
#include "vault/session.h"
#include "vault/vault.h"

struct vaults;

/* What a job needs of a vault. Lent, counted; values do not change. The
 * members may be used on any thread as their own headers say. */
struct vaults_hold {
    int64_t id;        /* of the catalog */
    int64_t tenant_id;
    const char *name;
    const char *tenant;
    struct vault *vault;
    struct place *place;
    struct index *index;
    /* Tags of the recovery recipients that we wrap for: what is sealed under a
     * key that is not wrapped for them is not used again. */
    struct id16 recovery[SESSION_RECOVERY_MAX];
    unsigned recovery_count;
};

typedef void vaults_hold_fn(void *ctx, const struct err *err,
                            struct vaults_hold *hold);

enum err_code vaults_new(struct engine *e, struct vaults **out,
                         struct err *err);

struct engine *vaults_engine(struct vaults *v);

/* All holds must be back. closed() comes later, when indexes and lanes are
 * closed; then it is gone. */
void vaults_close(struct vaults *v, void (*closed)(void *ctx), void *ctx);

/* done() once, later: a hold (yours to give back with vaults_drop()), or NULL
 * and why: ERR_NOT_FOUND (no such vault, or not ready), ERR_KEY, ERR_IO,
 * ERR_NOMEM. */
void vaults_take(struct vaults *v, int64_t vault_id, vaults_hold_fn *done,
                 void *ctx);
void vaults_drop(struct vaults_hold *hold);

/* A store of the control loop on this vault, for small things; store_free()
 * it. */
enum err_code vaults_store(struct vaults_hold *hold, struct store **out,
                           struct err *err);

/* The vault's row is gone or changed: what is open is closed when its last hold
 * is back, and opened anew by the next vaults_take(). */
void vaults_changed(struct vaults *v, int64_t vault_id);

/* The vault_, key_ and point_ functions of struct api_backend, whose ctx is
 * the struct engine. */
void vaults_backend(struct api_backend *table);

/* Read all points of a vault into the catalog: after opening an existing one,
 * and for point_refresh; or those of one VM (vm_tag, copied; NULL: all). count:
 * points shown. done() once, later. */
void vaults_read_points(struct vaults *v, int64_t vault_id,
                        const struct id16 *vm_tag,
                        void (*done)(void *ctx, const struct err *err,
                                     uint64_t count),
                        void *ctx);

#endif
