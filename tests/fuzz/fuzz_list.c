/* SPDX-License-Identifier: Apache-2.0 */
/* A collection list that is taken can be written, and says the same again. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "vault/condemned.h"
#include "vault/list.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool good)
{
    if (!good)
        abort();
}

static void use(const struct list *l)
{
    struct condemned *c = condemned_new();
    struct err err;

    for (size_t i = 0; c && i < l->packs; i++) {
        const struct list_pack *p = &l->pack[i];

        if (!p->ranges)
            condemned_add(c, &p->id, 0, 0, &err);
        for (size_t k = 0; k < p->ranges; k++) {
            need(p->range[k].count > 0 &&
                 p->range[k].first + p->range[k].count <= 65536);
            condemned_add(c, &p->id, p->range[k].first, p->range[k].count,
                          &err);
            need(condemned_has(c, &p->id, p->range[k].first));
        }
        need(p->ranges || condemned_has(c, &p->id, 65535));
    }
    condemned_free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct list *l = NULL, *again = NULL;
    struct err err = {0};
    struct buf b;

    if (list_decode((struct slice){data, size}, &l, &err) != ERR_OK) {
        need(!l && (err.code == ERR_INTEGRITY || err.code == ERR_NOMEM) &&
             err.text[0]);
        return 0;
    }
    use(l);
    buf_init(&b, 2 * size + 1000);
    need(list_encode(l, &b, &err) == ERR_OK);
    need(list_decode((struct slice){b.data, b.len}, &again, &err) == ERR_OK);
    need(l->packs == again->packs && l->removed.len == again->removed.len &&
         l->restored.len == again->restored.len);
    buf_fini(&b);
    list_free(l);
    list_free(again);
    return 0;
}
