/* SPDX-License-Identifier: Apache-2.0 */
#include "restore/restore_pick.h"

#include <string.h>

#include "base/clock.h"
#include "base/parse.h"

#define DAY_MS ((uint64_t)24 * 3600 * 1000)

/* --- listing -------------------------------------------------------------- */

struct listing {
    struct restore_site *site;
    struct points_list *list;
};

static void on_points(void *ctx, const struct err *err,
                      struct points_list *take)
{
    struct listing *l = ctx;

    l->list = take;
    restore_site_done(l->site, err);
}

static void cancel_points(void *op)
{
    points_cancel(op);
}

struct points_list *restore_pick_list(struct restore_site *site)
{
    struct listing l = {.site = site};
    struct points_opts opts = {
        .store = site->store, .keys = site->keys, .done = on_points, .ctx = &l};
    struct points *points;
    struct err err;

    if (points_start(&opts, &points, &err) != ERR_OK) {
        restore_site_fail(site, &err, EXIT_FAILED);
        return NULL;
    }
    if (!restore_site_wait(site, cancel_points, points)) {
        err = site->err;
        restore_site_fail_reading(site, &err);
        return NULL;
    }
    if (l.list->bad_lists)
        fprintf(stderr,
                "cairn-restore: warning: %u collection lists cannot be read; "
                "removed points may be shown: %s\n",
                l.list->bad_lists, l.list->bad_list.text);
    return l.list;
}

const char *restore_pick_id(const struct points_entry *e)
{
    return strrchr(e->name, '/') + 1;
}

const char *restore_pick_state(const struct points_entry *e)
{
    switch (e->state) {
    case POINTS_SHOWN:
        return e->has_keys ? "shown" : "shown, no key";
    case POINTS_REMOVED:
        return "removed";
    case POINTS_REPLACED:
        return "replaced";
    case POINTS_UNFINISHED:
        return "unfinished";
    case POINTS_BAD:
        return "damaged";
    }
    return "";
}

/* --- choosing ------------------------------------------------------------- */

static const struct points_entry *none(struct restore_site *site,
                                       const char *text, const char *why)
{
    struct err err;

    err_set(&err, ERR_NOT_FOUND, 0, "%s: %s", text, why);
    restore_site_fail(site, &err, EXIT_NOT_FOUND);
    return NULL;
}

static const struct points_entry *ambiguous(struct restore_site *site,
                                            const char *text,
                                            const struct points_entry *a,
                                            const struct points_entry *b)
{
    struct err err;

    err_set(&err, ERR_CONFLICT, 0,
            "%s: several are called so, as %s (%s) and %s (%s)", text,
            a->series, a->vm_name, b->series, b->vm_name);
    restore_site_fail(site, &err, EXIT_CONFLICT);
    return NULL;
}

/* By id: also what is not shown, since whoever names it knows. */
static const struct points_entry *by_id(struct restore_site *site,
                                        const struct points_list *list,
                                        const char *text)
{
    const struct points_entry *found = NULL;

    for (size_t i = 0; i < list->count; i++) {
        const struct points_entry *e = &list->entry[i];

        if (strcmp(text, e->name) != 0 &&
            strcmp(text, e->name + strlen("points/")) != 0 &&
            strcmp(text, restore_pick_id(e)) != 0)
            continue;
        if (found)
            return ambiguous(site, text, found, e);
        found = e;
    }
    if (found)
        return found;
    return none(site, text,
                strspn(text, "0123456789") == 8
                    ? "no such point"
                    : "no such point; a VM's newest is VM@latest");
}

static bool is_uuid_of(const char *vm, const struct points_entry *e)
{
    struct id16 id;

    return parse_uuid(vm, &id) && id16_equal(&id, &e->vm);
}

/* Whether a VM is meant: its series, uuid, name or POOL/NAME. */
static bool is_vm(const char *vm, const struct points_entry *e)
{
    size_t pool = strlen(e->pool);

    if (strcmp(vm, e->series) == 0 || is_uuid_of(vm, e) ||
        (e->vm_name[0] && strcmp(vm, e->vm_name) == 0))
        return true;
    return pool && strncmp(vm, e->pool, pool) == 0 && vm[pool] == '/' &&
           strcmp(vm + pool + 1, e->vm_name) == 0;
}

static const struct points_entry *by_vm(struct restore_site *site,
                                        const struct points_list *list,
                                        const char *text, const char *vm,
                                        uint64_t from_ms, uint64_t to_ms)
{
    const struct points_entry *found = NULL;
    bool known = false;

    for (size_t i = 0; i < list->count; i++) {
        const struct points_entry *e = &list->entry[i];

        if (e->state != POINTS_SHOWN || !is_vm(vm, e))
            continue;
        known = true;
        if (found && strcmp(found->series, e->series) != 0)
            return ambiguous(site, text, found, e);
        if (e->time_ms >= from_ms && e->time_ms < to_ms)
            found = e; /* rising order: the newest stays */
    }
    if (found)
        return found;
    return none(site, text, known ? "no point of that day" : "no such VM");
}

const struct points_entry *restore_pick_one(struct restore_site *site,
                                            const struct points_list *list,
                                            const char *text)
{
    const char *at = strrchr(text, '@');
    char vm[512], day[32];
    uint64_t from;

    if (!at)
        return by_id(site, list, text);
    if ((size_t)(at - text) >= sizeof(vm) || strlen(at + 1) > 10)
        return none(site, text, "no such point");
    memcpy(vm, text, (size_t)(at - text));
    vm[at - text] = 0;
    if (strcmp(at + 1, "latest") == 0)
        return by_vm(site, list, text, vm, 0, UINT64_MAX);
    snprintf(day, sizeof(day), "%sT00:00:00Z", at + 1);
    if (!clock_parse_rfc3339(day, &from))
        return none(site, text, "wanted VM@latest or VM@2026-11-20");
    return by_vm(site, list, text, vm, from, from + DAY_MS);
}

/* --- reading -------------------------------------------------------------- */

struct reading {
    struct restore_site *site;
    struct point *point;
    struct store_op *op;
};

static void on_point(void *ctx, const struct err *err, struct point *take,
                     const uint8_t sha256[32])
{
    struct reading *r = ctx;

    (void)sha256;
    r->point = take;
    restore_site_done(r->site, err);
}

static void cancel_reading(void *op)
{
    store_op_cancel(((struct reading *)op)->op);
}

struct point *restore_pick_read(struct restore_site *site,
                                const struct points_entry *e)
{
    struct reading r = {.site = site};
    struct err err;

    if (e->state == POINTS_UNFINISHED) {
        err_set(&err, ERR_NOT_FOUND, 0,
                "%s: the anchor of a session, no restore point", e->name);
        restore_site_fail(site, &err, EXIT_NOT_FOUND);
        return NULL;
    }
    if (points_fetch(site->store, site->keys, e->name, on_point, &r, &r.op,
                     &err) != ERR_OK) {
        restore_site_fail(site, &err, EXIT_FAILED);
        return NULL;
    }
    if (restore_site_wait(site, cancel_reading, &r))
        return r.point;
    err = site->err;
    restore_site_fail_reading(site, &err);
    return NULL;
}
