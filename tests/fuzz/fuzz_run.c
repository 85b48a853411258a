/* SPDX-License-Identifier: Apache-2.0 */
/* Packs of an index run that are taken come back from what is written. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "vault/run.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool good)
{
    if (!good)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct run_reader r;
    struct run_pack p;
    struct err err = {0};
    struct buf b;
    unsigned count = 0;

    buf_init(&b, size + 1);
    run_reader_init(&r, (struct slice){data, size});
    for (; run_next(&r, &p, &err); count++) {
        need(p.slots <= PACK_LAYOUT_SLOTS_MAX && p.kind <= SEAL_SLOT_MAP);
        need(p.entries + (size_t)p.slots * PACK_LAYOUT_ENTRY <= data + size);
        need(run_add(&b, &p));
    }
    need(err.code == ERR_OK || err.code == ERR_INTEGRITY);
    run_reader_init(&r, (struct slice){b.data, b.len});
    while (run_next(&r, &p, &err))
        count--;
    need(err.code == ERR_OK && count == 0);
    buf_fini(&b);
    return 0;
}
