/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/session_tools.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "vault/session.h"

struct set {
    struct session_tool tool; /* first: what the worker holds */
    atomic_flag taken;
};

struct session_tools {
    unsigned count;
    struct set *set;
};

struct session_tools *session_tools_new(const struct seal_suite *suite,
                                        unsigned workers)
{
    struct session_tools *t = calloc(1, sizeof(*t));

    if (!t)
        return NULL;
    t->set = calloc(workers, sizeof(*t->set));
    if (!t->set) {
        free(t);
        return NULL;
    }
    t->count = workers;
    for (unsigned i = 0; i < workers; i++) {
        struct session_tool *tool = &t->set[i].tool;

        atomic_flag_clear(&t->set[i].taken);
        tool->slots = seal_slot_work_new(suite);
        tool->sha256 = seal_digest_new(suite, SEAL_DIGEST_SHA256);
        tool->zstd = ZSTD_createCCtx();
        if (!tool->slots || !tool->sha256 || !tool->zstd) {
            session_tools_free(t);
            return NULL;
        }
    }
    return t;
}

void session_tools_free(struct session_tools *t)
{
    if (!t)
        return;
    for (unsigned i = 0; i < t->count; i++) {
        seal_slot_work_free(t->set[i].tool.slots);
        seal_digest_free(t->set[i].tool.sha256);
        ZSTD_freeCCtx(t->set[i].tool.zstd);
    }
    free(t->set);
    free(t);
}

struct session_tool *session_tools_take(struct session_tools *t)
{
    for (;;) {
        for (unsigned i = 0; i < t->count; i++)
            if (!atomic_flag_test_and_set_explicit(&t->set[i].taken,
                                                   memory_order_acquire))
                return &t->set[i].tool;
        sched_yield(); /* only where there are more workers than sets */
    }
}

void session_tools_give(struct session_tools *t, struct session_tool *tool)
{
    struct set *set = (struct set *)tool;

    (void)t;
    atomic_flag_clear_explicit(&set->taken, memory_order_release);
}
