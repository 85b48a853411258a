/* SPDX-License-Identifier: Apache-2.0 */
#include "restore/restore_verify.h"

#include <stdlib.h>

#include "base/json.h"
#include "base/parse.h"
#include "restore/restore_pick.h"
#include "restore/restore_progress.h"
#include "vault/verify.h"

struct verification {
    struct restore_site *site;
    const struct restore_args *args;
    struct restore_progress progress;
    struct json *findings; /* for --json */
    unsigned hurts;
    struct verify_figures figures;
};

static void on_finding(void *ctx, const struct verify_finding *f)
{
    struct verification *v = ctx;

    v->hurts += f->hurts;
    if (v->findings) {
        struct json *one = json_new_object();

        json_set_text(one, "object", f->object);
        json_set_bool(one, "hurts", f->hurts);
        json_set_text(one, "error", f->err.text);
        json_append(v->findings, one);
        return;
    }
    restore_progress_end(&v->progress);
    printf("%s: %s\n", f->hurts ? "HURT" : "damaged", f->err.text);
}

static void on_progress(void *ctx, const struct verify_figures *f)
{
    struct verification *v = ctx;

    restore_progress_say(&v->progress, f->bytes_done, f->bytes);
}

static void on_done(void *ctx, const struct err *err,
                    const struct verify_figures *figures)
{
    struct verification *v = ctx;

    v->figures = *figures;
    restore_site_done(v->site, err);
}

static void cancel(void *op)
{
    verify_cancel(op);
}

/* Where not told, everything is opened that this key can open. */
static bool can_read(const struct points_list *list,
                     const struct points_entry *one)
{
    if (one)
        return one->has_keys || one->state == POINTS_BAD;
    for (size_t i = 0; i < list->count; i++)
        if (!list->entry[i].has_keys && list->entry[i].state != POINTS_BAD)
            return false;
    return true;
}

static void print_end(const struct verification *v, bool full)
{
    const struct verify_figures *f = &v->figures;
    struct json *doc;
    char size[24], *text;

    if (!v->findings) {
        parse_size_text(f->bytes_done, size, sizeof(size));
        printf("%s: %ju objects, %s, %ju points, %s: %ju findings, %u hurt a "
               "point\n",
               f->findings ? "DAMAGE FOUND" : "all is well",
               (uintmax_t)f->objects_done, size, (uintmax_t)f->points,
               full ? "every chunk opened" : "structure only",
               (uintmax_t)f->findings, v->hurts);
        return;
    }
    doc = json_new_object();
    json_set_bool(doc, "full", full);
    json_set_int(doc, "objects", (int64_t)f->objects_done);
    json_set_int(doc, "bytes", (int64_t)f->bytes_done);
    json_set_int(doc, "points", (int64_t)f->points);
    json_set_int(doc, "hurts", v->hurts);
    json_set(doc, "findings", v->findings);
    text = json_dump(doc, true, NULL);
    json_free(doc);
    if (text)
        puts(text);
    free(text);
}

void restore_verify(struct restore_site *site, const struct restore_args *args)
{
    struct verification v = {.site = site, .args = args};
    struct points_list *list = restore_pick_list(site);
    const struct points_entry *one = NULL;
    struct verify_opts opts = {
        .store = site->store,
        .keys = site->keys,
        .memory_bytes = RESTORE_SITE_MEMORY,
        .on_finding = on_finding,
        .on_progress = on_progress,
        .done = on_done,
        .ctx = &v,
    };
    struct verify *verify;
    struct err err;

    if (!list)
        return;
    if (args->point && !(one = restore_pick_one(site, list, args->point)))
        goto out;
    opts.point = one ? one->name : NULL;
    opts.full = args->full || (!args->structure && can_read(list, one));
    restore_progress_begin(&v.progress, "verifying");
    v.findings = args->json ? json_new_array() : NULL;
    if (verify_start(&opts, &verify, &err) != ERR_OK) {
        json_free(v.findings);
        restore_site_fail(site, &err, EXIT_FAILED);
        goto out;
    }
    if (!restore_site_wait(site, cancel, verify)) {
        json_free(v.findings);
        err = site->err;
        restore_site_fail_reading(site, &err);
    }
    restore_progress_end(&v.progress);
    if (site->exit == EXIT_OK) {
        print_end(&v, opts.full);
        if (v.figures.findings)
            site->exit = EXIT_DAMAGE; /* it has been said what */
    }
out:
    points_list_free(list);
}
