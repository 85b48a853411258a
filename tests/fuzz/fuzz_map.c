/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs and pages. The first byte says what follows is: 0 runs, else a page; the
 * second one how many chunks it is of.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "vault/map.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool good)
{
    if (!good)
        abort();
}

/* What is read run by run and written again covers the same. */
static void rewrite(struct slice runs, uint64_t chunks, uint64_t packs)
{
    struct map_reader r;
    struct map_writer w;
    struct map_run run;
    struct err err = {0};
    uint64_t covered = 0;
    struct buf b;

    buf_init(&b, runs.len + 16);
    map_writer_init(&w, &b);
    map_reader_init(&r, runs, chunks, packs);
    while (map_next(&r, &run, &err)) {
        need(run.count > 0);
        need(run.pack == MAP_ZERO ||
             (run.pack < packs && run.first + run.count <= 65536));
        covered += run.count;
        need(covered <= chunks);
        map_writer_add(&w, run);
    }
    need(map_writer_end(&w) && w.chunks == covered);
    need(err.code == ERR_INTEGRITY || covered == chunks);
    if (err.code == ERR_OK)
        need(b.len <= runs.len && map_check((struct slice){b.data, b.len},
                                            chunks, packs, &err) == ERR_OK);
    buf_fini(&b);
}

static struct id16 id_of(void *ctx, uint32_t pack)
{
    return map_page_pack(ctx, pack);
}

static void page(struct slice raw, uint32_t chunks)
{
    static struct map_run runs[MAP_PAGE_CHUNKS];
    struct map_page p, again;
    struct map_reader r;
    struct err err = {0};
    size_t count = 0;
    struct buf b;

    if (map_page_open(raw, chunks, &p, &err) != ERR_OK) {
        need(err.code == ERR_INTEGRITY);
        return;
    }
    map_reader_init(&r, p.runs, chunks, p.packs);
    while (map_next(&r, &runs[count], &err))
        count++;
    need(err.code == ERR_OK);
    buf_init(&b, MAP_PAGE_BYTES);
    need(map_page_add(&b, runs, count, id_of, &p, &err) == ERR_OK);
    need(map_page_open((struct slice){b.data, b.len}, chunks, &again, &err) ==
         ERR_OK);
    need(again.packs == p.packs && b.len <= raw.len);
    buf_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = {data + 2, size - 2};

    if (size < 2)
        return 0;
    if (data[0])
        page(rest, data[1] ? data[1] : MAP_PAGE_CHUNKS);
    else
        rewrite(rest, data[1] == 255 ? MAP_CHUNKS_MAX : data[1], 3);
    return 0;
}
