/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway/vaults_task.h - one thing that the API asks of a vault: its row,
 * credentials and state read from the catalog, a store made, a step taken, the
 * answer given. Shared by the vaults_*.c files. Control loop.
 */
#ifndef CAIRN_GATEWAY_VAULTS_TASK_H
#define CAIRN_GATEWAY_VAULTS_TASK_H

#include "gateway/vaults.h"
#include "tenants/catalog_vault.h"
#include "vault/identity.h"
#include "vault/vault_open.h"
#include "vault/writer.h"

struct vaults_task {
    struct engine *engine;
    struct catalog_call call;
    int64_t id;
    struct catalog_vault row;
    struct buf credentials;
    struct identity identity;
    bool has_identity;
    struct writer *writer; /* NULL: none is kept */
    struct place *place;
    struct store *store;   /* of the control loop */
    bool known;
    char *text, *more;     /* key file, public key, vault id: the step's */
    void (*step)(struct vaults_task *t); /* all of this is there */
    /* To be put into the catalog by vaults_task_keep(). */
    struct buf new_identity, new_writer; /* empty: none */
    enum catalog_vault_state new_state;
    char new_traits[PLACE_TRAITS_TEXT]; /* "": as they are */
    char new_id[33], new_public[IDENTITY_PUBLIC_TEXT];
    struct err traits_err; /* why they are not known */
    void (*found)(struct vaults_task *t);
    bool proved;
    bool learnt; /* something that is to be kept */
    void (*kept)(struct vaults_task *t, const struct err *err);
    uint64_t count;
    struct json *answer;
    struct err err;
    api_json_done_fn *done;
    void *ctx;
};

/* Read what there is, then step(). Never fails: the answer says. known: the
 * vault was there once, and a store that nobody answers for will come back. */
void vaults_task_start(struct engine *e, int64_t vault, bool known,
                       const char *text, const char *more,
                       void (*step)(struct vaults_task *t),
                       api_json_done_fn *done, void *ctx);

/* For opening the vault of t, which is done()'s ctx: all but vault_id and the
 * key, which the caller knows. */
struct vault_open_opts
vaults_task_opening(struct vaults_task *t,
                    void (*done)(void *ctx, const struct err *err,
                                 const struct vault_opened *opened));

/* To be kept: the state, id and public key that the row has. */
void vaults_task_as_it_is(struct vaults_task *t);

/*
 * Write new_* and the state into the catalog, then kept(). Others may have
 * written since the row was read: refreshing, granting and exporting keys each
 * wait for the store. So what is there now is read again and joined with what
 * is new, in one transaction of the catalog's thread, which does them one by
 * one; and a state that did not change here is not written.
 */
void vaults_task_keep(struct vaults_task *t,
                      void (*kept)(struct vaults_task *t,
                                   const struct err *err));

/*
 * An S3 store whose traits nobody knows is probed, then found(): they are in
 * new_traits and in the store, or traits_err says why not. That is no failure:
 * credentials that only read serve for restores, and what is not known to work
 * is not relied on.
 */
void vaults_traits_find(struct vaults_task *t,
                        void (*found)(struct vaults_task *t));

/* Answer (t->answer, taken) or fail (err, kept when it is the first), and be
 * gone. */
void vaults_task_end(struct vaults_task *t, const struct err *err);

/* The functions of struct api_backend in other files. */
void vaults_create(void *ctx, int64_t vault, api_json_done_fn *done,
                   void *done_ctx);
void vaults_open_existing(void *ctx, const struct api_vault_open *open,
                          api_json_done_fn *done, void *done_ctx);
void vaults_test(void *ctx, int64_t vault, api_json_done_fn *done,
                 void *done_ctx);
void vaults_key_list(void *ctx, int64_t vault, api_json_done_fn *done,
                     void *done_ctx);
void vaults_key_test(void *ctx, int64_t vault, const char *key_file,
                     api_json_done_fn *done, void *done_ctx);
void vaults_key_grant(void *ctx, int64_t vault, const char *public_key,
                      api_json_done_fn *done, void *done_ctx);
void vaults_key_export(void *ctx, int64_t vault, api_json_done_fn *done,
                       void *done_ctx);

/* Read all points of the vault anew, and before that what keys other gateways
 * have granted us since. */
void vaults_refresh(void *ctx, int64_t vault, api_json_done_fn *done,
                    void *done_ctx);

/* Of the keys that opening gave, those that t->writer has not: added to it, to
 * read with, and made ready for vaults_task_keep(). added: how many; with none
 * nothing changes. ERR_NOMEM, ERR_IO. */
enum err_code vaults_learn(struct vaults_task *t, const struct keyring *opened,
                           size_t *added, struct err *err);

/* Something asynchronous began or is over: vaults_close() waits for it. */
void vaults_busy(struct vaults *v);
void vaults_idle(struct vaults *v);

#endif
