/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "vault/map.h"
#include "vault/varint.h"

static enum err_code refuse(struct err *err, const char *why)
{
    return err_set(err, ERR_INTEGRITY, 0, "map page: %s", why);
}

/* Numbers must come up in the order of the list, all of them. */
static enum err_code check_order(const struct map_page *page, uint32_t chunks,
                                 struct err *err)
{
    struct map_reader r;
    struct map_run run;
    uint64_t used = 0;

    map_reader_init(&r, page->runs, chunks, page->packs);
    while (map_next(&r, &run, err)) {
        if (run.pack == MAP_ZERO || run.pack < used)
            continue;
        if (run.pack != used)
            return refuse(err, "pack ids are not in order of first use");
        used++;
    }
    if (err->code != ERR_OK)
        return err->code;
    if (used != page->packs)
        return refuse(err, "a pack id that no run uses");
    return ERR_OK;
}

enum err_code map_page_open(struct slice page, uint32_t chunks,
                            struct map_page *out, struct err *err)
{
    struct map_page p;
    uint64_t packs;

    if (page.len > MAP_PAGE_BYTES)
        return refuse(err, "it is too long");
    if (!varint_take(&page, &packs))
        return refuse(err, "its pack count is cut off or malformed");
    if (packs > page.len / 16)
        return refuse(err, "its pack ids are cut off");
    p.packs = (size_t)packs;
    p.ids = page.data;
    p.runs.data = page.data + 16 * p.packs;
    p.runs.len = page.len - 16 * p.packs;
    if (check_order(&p, chunks, err) != ERR_OK)
        return err->code;
    *out = p;
    return ERR_OK;
}

struct id16 map_page_pack(const struct map_page *page, uint32_t number)
{
    struct id16 id;

    memcpy(id.b, page->ids + 16 * (size_t)number, 16);
    return id;
}

/* The caller's pack numbers -> the page's: open addressing. */
#define TABLE 8192u /* twice the chunks of a page */

struct local {
    uint32_t pack; /* MAP_ZERO: free */
    uint32_t number;
};

static struct local *find(struct local *table, uint32_t pack)
{
    uint32_t i = (uint32_t)(pack * 2654435761u) >> 19; /* 13 bits */

    while (table[i].pack != MAP_ZERO && table[i].pack != pack)
        i = (i + 1) % TABLE;
    return &table[i];
}

/* Number the packs in order of first use, into `order`; how many there are. */
static uint32_t number_packs(struct local *table, const struct map_run *runs,
                             size_t count, uint32_t *order)
{
    uint32_t packs = 0;

    for (size_t i = 0; i < TABLE; i++)
        table[i].pack = MAP_ZERO;
    for (size_t i = 0; i < count; i++) {
        struct local *l;

        if (runs[i].pack == MAP_ZERO)
            continue;
        l = find(table, runs[i].pack);
        if (l->pack != MAP_ZERO)
            continue;
        l->pack = runs[i].pack;
        l->number = packs;
        order[packs++] = runs[i].pack;
    }
    return packs;
}

enum err_code map_page_add(struct buf *out, const struct map_run *runs,
                           size_t count,
                           struct id16 (*pack_id)(void *ctx, uint32_t pack),
                           void *ctx, struct err *err)
{
    struct local *table = NULL;
    struct map_writer w;
    size_t begin = out->len;
    uint32_t packs, *order;

    if (count > MAP_PAGE_CHUNKS)
        return err_set(err, ERR_ARGUMENT, 0, "map page: %zu runs", count);
    table = malloc(TABLE * sizeof(*table) + MAP_PAGE_CHUNKS * sizeof(*order));
    if (!table)
        return err_set(err, ERR_NOMEM, 0, "map page");
    order = (uint32_t *)(table + TABLE);
    packs = number_packs(table, runs, count, order);
    varint_add(out, packs);
    for (uint32_t i = 0; i < packs; i++) {
        struct id16 id = pack_id(ctx, order[i]);

        buf_add(out, id.b, 16);
    }
    map_writer_init(&w, out);
    for (size_t i = 0; i < count; i++) {
        struct map_run run = runs[i];

        if (run.pack != MAP_ZERO)
            run.pack = find(table, run.pack)->number;
        map_writer_add(&w, run);
    }
    free(table);
    if (!map_writer_end(&w))
        return err_set(err, ERR_NOMEM, 0, "map page");
    if (out->len - begin > MAP_PAGE_BYTES)
        return err_set(err, ERR_ARGUMENT, 0, "map page: it is too long");
    return ERR_OK;
}
