/* SPDX-License-Identifier: Apache-2.0 */
#include "walk_rig.h"

#include "vectors_keys.h"

struct walk_rig walk_rig;

static struct vault_rig *const rig = &walk_rig.vault;
static struct vault_make *const make = &walk_rig.make;

int walk_rig_set_up(void **state)
{
    (void)state;
    work_setup();
    vault_rig_init(rig, false);
    walk_rig.keys = vectors_keyring(rig->suite, true);
    return 0;
}

int walk_rig_tear_down(void **state)
{
    (void)state;
    keyring_unref(walk_rig.keys);
    vault_rig_fini(rig);
    return 0;
}

void walk_rig_begin(void)
{
    while (store_fault_objects(rig->bucket))
        store_fault_drop(rig->bucket, store_fault_name(rig->bucket, 0));
    vault_make_init(make, rig, walk_rig.keys, WALK_RIG_CHUNK);
    walk_rig.run_count = 0;
    walk_rig.disk_bytes = 0;
}

void walk_rig_end(void)
{
    store_fault_clear(rig->store);
    vault_make_fini(make);
}

void walk_rig_add(uint32_t count, uint32_t pack, uint32_t first)
{
    assert_true(walk_rig.run_count < WALK_RIG_RUNS);
    walk_rig.runs[walk_rig.run_count++] = (struct map_run){count, pack, first};
    walk_rig.disk_bytes += (uint64_t)count * WALK_RIG_CHUNK;
}

enum err_code walk_rig_walk(struct vault_walk *w)
{
    struct point p = vault_make_point(make);
    uint8_t want[32];

    w->rig = rig;
    if (vault_walk_all(w, walk_rig.keys, &p, VAULT_MAKE_NAME, 0) != ERR_OK)
        return w->err.code;
    vault_make_sha256(make, walk_rig.disk_bytes, walk_rig.runs,
                      walk_rig.run_count, want);
    assert_memory_equal(w->sha256, want, 32);
    assert_int_equal(w->at, walk_rig.disk_bytes);
    assert_int_equal(w->figures.bytes, walk_rig.disk_bytes);
    return ERR_OK;
}

void walk_rig_expect(struct vault_walk *w)
{
    if (walk_rig_walk(w) != ERR_OK)
        fail_msg("%s", w->err.text);
}

void walk_rig_disk(bool paged)
{
    vault_make_disk(make, walk_rig.disk_bytes, walk_rig.runs,
                    walk_rig.run_count, paged);
}

void walk_rig_one_pack(void)
{
    walk_rig_begin();
    vault_make_data(make, 0, 60, 0);
    walk_rig_add(60, 0, 0);
    walk_rig_disk(false);
}
