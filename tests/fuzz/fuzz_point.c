/* SPDX-License-Identifier: Apache-2.0 */
/* A point that is taken can be written, and says the same again. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "vault/point.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool good)
{
    if (!good)
        abort();
}

static bool same(struct slice a, struct slice b)
{
    return a.len == b.len && (!a.len || memcmp(a.data, b.data, a.len) == 0);
}

static void compare(const struct point *a, const struct point *b)
{
    need(same(a->series, b->series) && same(a->name, b->name) &&
         same(a->metadata, b->metadata) && same(a->roster, b->roster) &&
         same(a->replaces, b->replaces));
    need(a->start_ms == b->start_ms && a->end_ms == b->end_ms &&
         a->unfinished == b->unfinished && a->keys == b->keys &&
         a->packs == b->packs && a->disks == b->disks);
    for (size_t i = 0; i < a->disks; i++) {
        need(same(a->disk[i].map, b->disk[i].map));
        need(a->disk[i].bytes == b->disk[i].bytes &&
             a->disk[i].position == b->disk[i].position &&
             a->disk[i].paged == b->disk[i].paged);
    }
}

/* What a reader does with a point that was taken must be safe. */
static void use(const struct point *p)
{
    char name[NAME_POINT_BYTES + 1];

    for (size_t i = 0; i < p->roster.len / NAME_POINT_BYTES; i++) {
        point_name_at(p->roster, i, name);
        need(point_names_have(p->roster, name));
    }
    for (size_t i = 0; i < p->packs; i++)
        need(p->pack[i].key < p->keys && p->pack[i].kind < 2);
    for (size_t i = 0; i < p->disks; i++) {
        const struct point_disk *d = &p->disk[i];
        uint64_t chunks = map_chunks(d->bytes, d->log2_chunk), n = 0;
        struct map_reader r;
        struct map_run run;
        struct err err;

        map_reader_init(&r, d->map, d->paged ? map_pages(chunks) : chunks,
                        p->packs);
        while (map_next(&r, &run, &err)) {
            need(run.pack == MAP_ZERO || run.pack < p->packs);
            n += run.count;
        }
        need(err.code == ERR_OK);
        need(n == (d->paged ? map_pages(chunks) : chunks));
        if (chunks)
            need(point_chunk_bytes(d, chunks - 1) > 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct point *p = NULL, *again = NULL;
    struct err err = {0};
    struct buf b;

    if (point_decode((struct slice){data, size}, &p, &err) != ERR_OK) {
        need(!p && (err.code == ERR_INTEGRITY || err.code == ERR_NOMEM) &&
             err.text[0]);
        return 0;
    }
    use(p);
    buf_init(&b, 2 * size + 1000);
    need(point_encode(p, &b, &err) == ERR_OK);
    need(point_decode((struct slice){b.data, b.len}, &again, &err) == ERR_OK);
    compare(p, again);
    buf_fini(&b);
    point_free(p);
    point_free(again);
    return 0;
}
