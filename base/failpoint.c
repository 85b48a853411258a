/* SPDX-License-Identifier: Apache-2.0 */
#include "base/failpoint.h"

#ifndef CAIRN_FAILPOINTS

#include <stddef.h>

void failpoint_setup(void)
{
}

const char *const *failpoint_names(void)
{
    static const char *const none[] = {NULL};

    return none;
}

#else

#include <assert.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/parse.h"

static const char *const names[] = {
#define FAILPOINT_NAME(name) name,
#include "base/failpoint_list.h"
#undef FAILPOINT_NAME
    NULL,
};

enum action { ACT_NONE, ACT_KILL, ACT_ERROR, ACT_HANG };

/* Written by failpoint_setup() before threads start; only hits counts on. */
static struct {
    enum action action;
    uint64_t at;
    atomic_uint_least64_t hits;
} points[BYTES_COUNT(names)];

const char *const *failpoint_names(void)
{
    return names;
}

static int find(const char *name, size_t len)
{
    for (int i = 0; names[i]; i++)
        if (strlen(names[i]) == len && memcmp(names[i], name, len) == 0)
            return i;
    return -1;
}

static bool set_one(const char *text, size_t len)
{
    static const char *const actions[] = {"", "kill", "error", "hang"};
    const char *is = memchr(text, '=', len);
    const char *end = text + len;
    const char *at, *action;
    uint64_t nth = 1;
    int which;

    if (!is)
        return false;
    which = find(text, (size_t)(is - text));
    action = is + 1;
    at = memchr(action, '@', (size_t)(end - action));
    if (at && !parse_u64_n(at + 1, (size_t)(end - at - 1), 1, UINT32_MAX, &nth))
        return false;
    len = (size_t)((at ? at : end) - action);
    for (int i = 1; which >= 0 && i < (int)BYTES_COUNT(actions); i++) {
        if (strlen(actions[i]) == len && memcmp(actions[i], action, len) == 0) {
            points[which].action = (enum action)i;
            points[which].at = nth;
            atomic_store(&points[which].hits, 0);
            return true;
        }
    }
    return false;
}

void failpoint_setup(void)
{
    const char *text = getenv("CAIRN_FAILPOINTS");

    while (text && *text) {
        size_t len = strcspn(text, ",");

        if (!set_one(text, len)) {
            fprintf(stderr, "CAIRN_FAILPOINTS: unknown: %.*s\n", (int)len,
                    text);
            _exit(2);
        }
        text += len;
        text += *text == ',';
    }
}

bool failpoint_hit(const char *name)
{
    int i = find(name, strlen(name));

    assert(i >= 0); /* not in failpoint_list.h */
    if (atomic_fetch_add(&points[i].hits, 1) + 1 != points[i].at)
        return false;
    if (points[i].action == ACT_KILL)
        kill(getpid(), SIGKILL);
    while (points[i].action == ACT_HANG)
        pause();
    return points[i].action == ACT_ERROR;
}

#endif
