/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/map.h"

#include <string.h>

#include "vault/pack_layout.h"
#include "vault/varint.h"

void map_reader_init(struct map_reader *r, struct slice runs, uint64_t chunks,
                     uint64_t packs)
{
    r->rest = runs;
    r->left = chunks;
    r->packs = packs;
}

static bool refuse(struct err *err, const char *why)
{
    err_set(err, ERR_INTEGRITY, 0, "map: %s", why);
    return false;
}

/* Pack and slots of a run of `count` chunks that are not zero. */
static bool take_place(struct map_reader *r, uint64_t count,
                       struct map_run *out, struct err *err)
{
    uint64_t pack, first;

    if (!varint_take(&r->rest, &pack) || !varint_take(&r->rest, &first))
        return refuse(err, "a number is cut off or malformed");
    if (pack >= r->packs || pack >= MAP_ZERO)
        return refuse(err, "a pack that is not in the table");
    if (first >= PACK_LAYOUT_SLOTS_MAX || count > PACK_LAYOUT_SLOTS_MAX - first)
        return refuse(err, "a slot that no pack has");
    out->pack = (uint32_t)pack;
    out->first = (uint32_t)first;
    return true;
}

bool map_next(struct map_reader *r, struct map_run *out, struct err *err)
{
    uint64_t head, count;

    if (!r->rest.len) {
        if (r->left)
            return refuse(err, "it does not cover the disk");
        err_clear(err);
        return false;
    }
    if (!varint_take(&r->rest, &head))
        return refuse(err, "a number is cut off or malformed");
    count = head >> 1;
    if (count == 0)
        return refuse(err, "an empty run");
    if (count > r->left || count > MAP_CHUNKS_MAX)
        return refuse(err, "it covers more than the disk");
    out->count = (uint32_t)count;
    out->pack = MAP_ZERO;
    out->first = 0;
    if ((head & 1) && !take_place(r, count, out, err))
        return false;
    r->left -= count;
    return true;
}

enum err_code map_check(struct slice runs, uint64_t chunks, uint64_t packs,
                        struct err *err)
{
    struct map_reader r;
    struct map_run run;

    map_reader_init(&r, runs, chunks, packs);
    while (map_next(&r, &run, err))
        ;
    return err->code;
}

void map_writer_init(struct map_writer *w, struct buf *out)
{
    memset(w, 0, sizeof(*w));
    w->out = out;
}

static void put_run(struct buf *out, const struct map_run *run)
{
    if (run->pack == MAP_ZERO) {
        varint_add(out, (uint64_t)run->count << 1);
        return;
    }
    varint_add(out, (uint64_t)run->count << 1 | 1);
    varint_add(out, run->pack);
    varint_add(out, run->first);
}

/* Whether b goes on where a ends. */
static bool continues(const struct map_run *a, const struct map_run *b)
{
    if (a->pack != b->pack)
        return false;
    return a->pack == MAP_ZERO || a->first + a->count == b->first;
}

void map_writer_add(struct map_writer *w, struct map_run run)
{
    if (!run.count)
        return;
    w->chunks += run.count;
    if (w->last.count && continues(&w->last, &run)) {
        w->last.count += run.count;
        return;
    }
    if (w->last.count)
        put_run(w->out, &w->last);
    w->last = run;
}

bool map_writer_end(struct map_writer *w)
{
    if (w->last.count)
        put_run(w->out, &w->last);
    w->last.count = 0;
    return !buf_failed(w->out);
}
