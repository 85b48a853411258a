/* SPDX-License-Identifier: Apache-2.0 */
#include "store_dir_rig.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "store/store_dir.h"

int store_dir_rig_make(void **state, size_t queue_max, unsigned threads)
{
    struct store_dir_rig *w = calloc(1, sizeof(*w));
    struct err err;

    snprintf(w->root, sizeof(w->root), "/tmp/cairn-dir-XXXXXX");
    if (!mkdtemp(w->root) || loop_new("test", NULL, &w->loop, &err) ||
        lane_new("disk", threads, queue_max, &w->lane, &err) ||
        store_dir_new(w->loop, w->root, w->lane, &w->store, &err))
        return -1;
    store_try_init(&w->t, w->store);
    *state = w;
    return 0;
}

int store_dir_rig_setup(void **state)
{
    return store_dir_rig_make(state, 64, 2);
}

int store_dir_rig_setup_narrow(void **state)
{
    return store_dir_rig_make(state, 1, 1);
}

static int remove_one(const char *path, const struct stat *st, int flag,
                      struct FTW *ftw)
{
    return remove(path);
}

void store_dir_rig_wipe(const char *path)
{
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

int store_dir_rig_teardown(void **state)
{
    struct store_dir_rig *w = *state;

    store_try_fini(&w->t);
    store_free(w->store);
    if (!lane_free(w->lane, 10000))
        return -1;
    loop_free(w->loop);
    store_dir_rig_wipe(w->root);
    free(w);
    return 0;
}

/* Bytes that tell their place. */
uint8_t *store_dir_rig_pattern(size_t len, uint32_t seed)
{
    uint8_t *p = malloc(len + 1);

    for (size_t i = 0; i < len; i++)
        p[i] = (uint8_t)((i * 2654435761u + seed) >> 11);
    return p;
}

size_t store_dir_rig_file_bytes(const struct store_dir_rig *w, const char *name)
{
    char path[300];
    struct stat st;

    snprintf(path, sizeof(path), "%s/%s", w->root, name);
    return stat(path, &st) == 0 ? (size_t)st.st_size : SIZE_MAX;
}

const char *store_dir_rig_text(struct store_try *t)
{
    return buf_text(&t->bytes);
}
