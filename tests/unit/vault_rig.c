/* SPDX-License-Identifier: Apache-2.0 */
#include "vault_rig.h"

#include <ftw.h>

#include "loop/timer.h"

static struct vault_rig *loading; /* nftw() has no context */

static int on_file(const char *path, const struct stat *st, int type,
                   struct FTW *ftw)
{
    size_t root = strlen(VECTORS "vault/"), len;
    uint8_t *data;

    (void)st;
    (void)ftw;
    if (type != FTW_F)
        return 0;
    data = vectors_file(path, &len);
    /* long ago: as old as its name says does not matter here */
    assert_true(
        store_fault_poke(loading->bucket, path + root, data, len, 1000));
    free(data);
    return 0;
}

void vault_rig_load(struct vault_rig *r)
{
    while (store_fault_objects(r->bucket))
        assert_true(
            store_fault_drop(r->bucket, store_fault_name(r->bucket, 0)));
    loading = r;
    assert_int_equal(nftw(VECTORS "vault", on_file, 8, 0), 0);
    loading = NULL;
    assert_true(store_fault_objects(r->bucket) >= 18);
}

static void key_file(struct vault_rig *r, const struct json *doc,
                     const char *field, struct seal_keyfile *out)
{
    out->vault_id = r->vault_id;
    out->is_private = true;
    vectors_hex(doc, field, out->private.b, 32);
}

void vault_rig_init(struct vault_rig *r, bool with_vault)
{
    struct json *doc = vectors_load("vault.json");
    struct err err = {0};

    memset(r, 0, sizeof(*r));
    vectors_hex(doc, "vault_id", r->vault_id.b, 16);
    r->recovery.vault_id = r->vault_id;
    snprintf(r->recovery.passphrase, sizeof(r->recovery.passphrase), "%s",
             vectors_text(doc, "passphrase"));
    key_file(r, doc, "recovery_private", &r->recovery_private);
    key_file(r, doc, "gateway_private", &r->gateway);
    json_free(doc);
    if (seal_suite_new(&r->suite, &err) != ERR_OK ||
        loop_new("rig", NULL, &r->loop, &err) != ERR_OK ||
        lane_new("slow", 1, 4, &r->slow, &err) != ERR_OK)
        fail_msg("%s", err.text);
    r->bucket = store_fault_bucket_new();
    assert_non_null(r->bucket);
    r->store = store_fault_new(r->loop, r->bucket);
    assert_non_null(r->store);
    if (with_vault)
        vault_rig_load(r);
}

void vault_rig_fini(struct vault_rig *r)
{
    store_free(r->store);
    store_fault_bucket_free(r->bucket);
    assert_true(lane_free(r->slow, 10000));
    loop_free(r->loop);
    seal_suite_free(r->suite);
}

static void on_alarm(struct timer *t)
{
    (void)t;
    fail_msg("nothing was done in 60 s");
}

void vault_rig_wait(struct vault_rig *r, unsigned done)
{
    struct timer alarm = {0};

    timer_start(r->loop, &alarm, 60000, on_alarm);
    while (r->done < done)
        loop_run(r->loop);
    timer_stop(&alarm);
    assert_int_equal(r->done, done);
}

void vault_rig_done(struct vault_rig *r, const struct err *err)
{
    r->err = *err;
    r->done++;
    loop_stop(r->loop);
}

static struct loop *turning;

static void on_turn(struct timer *t)
{
    (void)t;
    loop_stop(turning);
}

void vault_rig_turn(struct vault_rig *r)
{
    struct timer timer = {0};

    turning = r->loop;
    timer_start(r->loop, &timer, 1, on_turn);
    loop_run(r->loop);
}

/* --- opening -------------------------------------------------------------- */

struct opening {
    struct vault_rig *r;
    struct keyring *keys;
};

static void on_opened(void *ctx, const struct err *err,
                      const struct vault_opened *opened)
{
    struct opening *o = ctx;

    assert_int_equal(err->code == ERR_OK, opened != NULL);
    if (opened)
        o->keys = keyring_ref(opened->keys);
    vault_rig_done(o->r, err);
}

struct keyring *vault_rig_open(struct vault_rig *r,
                               const struct seal_keyfile *file)
{
    struct opening o = {.r = r};
    struct vault_open_opts opts = {
        .store = r->store,
        .suite = r->suite,
        .slow = r->slow,
        .work_max = r->work_max,
        .done = on_opened,
        .ctx = &o,
    };
    struct vault_open *open = NULL;
    unsigned before = r->done;

    if (vault_open_keyfile(&opts, file, &open, &r->err) != ERR_OK)
        return NULL;
    vault_rig_wait(r, before + 1);
    return o.keys;
}
