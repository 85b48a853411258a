/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "gateway/api_handlers.h"
#include "gateway/api_hide.h"
#include "gateway/api_start.h"
#include "gateway/api_wait.h"

struct job_list {
    struct api_call_items items;
    const struct authz_who *who;
    struct catalog *c;
    struct api_hide hide;
};

/* The sentences of a result, its warnings, as who asks may read them: the
 * document to json_set(), NULL: there are none, or no memory (*failed). */
static struct json *warnings_shown(struct api_hide *h,
                                   const struct authz_who *who,
                                   struct catalog *c,
                                   const struct catalog_job *j,
                                   const struct json *doc, bool *failed)
{
    const struct json *all = json_get(json_get(doc, "result"), "warnings");
    struct json *shown = json_count(all) ? json_new_array() : NULL;

    for (size_t i = 0; i < json_count(all) && !*failed; i++) {
        const char *text =
            api_hide_text(h, who, c, j, json_text(json_at(all, i), ""));

        *failed = !text || !json_append(shown, json_new_text(text));
    }
    if (!*failed)
        return shown;
    json_free(shown);
    return NULL;
}

/* A job as it may be read by who asks; NULL: no memory. */
static struct json *job_doc(struct api_hide *h, const struct authz_who *who,
                            struct catalog *c, const struct catalog_job *j)
{
    struct catalog_job shown = *j;
    struct json *doc, *warnings;
    bool failed = false;

    shown.error = api_hide_text(h, who, c, j, j->error);
    doc = shown.error ? api_doc_job(&shown, who) : NULL;
    if (!doc || who->kind == AUTHZ_PROVIDER)
        return doc;
    warnings = warnings_shown(h, who, c, j, doc, &failed);
    if (warnings)
        failed = !json_set((struct json *)(uintptr_t)json_get(doc, "result"),
                           "warnings", warnings);
    if (!failed)
        return doc;
    json_free(doc);
    return NULL;
}

static enum err_code job_answer(struct api_call *call, struct catalog *c,
                                const struct catalog_job *j, struct err *err)
{
    struct api_hide hide = {0};
    struct json *doc = job_doc(&hide, &call->who, c, j);

    api_hide_fini(&hide);
    return api_call_answer(call, doc, err);
}

static bool on_job(void *ctx, const struct catalog_job *j)
{
    struct job_list *list = ctx;

    return api_call_items_add(&list->items,
                              job_doc(&list->hide, list->who, list->c, j));
}

/* The kinds are constants, so that a spec can borrow one. */
static const char *kind_of(const char *text)
{
    static const char *const kinds[] = {"backup", "restore", "verify"};

    for (size_t i = 0; i < BYTES_COUNT(kinds); i++)
        if (strcmp(text, kinds[i]) == 0)
            return kinds[i];
    return NULL;
}

static enum err_code job_filter(struct api_call *call, struct catalog *c,
                                struct catalog_job_filter *f, struct err *err)
{
    const char *state = api_call_query(call, "state");
    enum err_code rc;

    f->kind = api_call_query(call, "kind");
    f->vm_uuid = api_call_query(call, "vm");
    f->vault = api_call_query(call, "vault");
    f->by_state = state != NULL;
    if (state && !catalog_job_state_from(state, &f->state))
        return err_set(err, ERR_ARGUMENT, 0,
                       "state '%.40s': wanted queued, running, succeeded, "
                       "warned, failed or cancelled",
                       state);
    if (f->kind && !kind_of(f->kind))
        return err_set(err, ERR_ARGUMENT, 0,
                       "kind '%.40s': wanted backup, restore or verify",
                       f->kind);
    rc = api_call_tenant(call, c, api_call_query(call, "tenant"),
                         &f->tenant_id, err);
    if (rc == ERR_OK)
        rc = api_call_query_bool(call, "unfinished", &f->unfinished, err);
    if (rc == ERR_OK)
        rc = api_call_query_bool(call, "failed", &f->failed, err);
    if (rc == ERR_OK)
        rc = api_call_query_time(call, "since", &f->since_ms, err);
    return rc;
}

enum err_code api_job_list(struct api_call *call, struct catalog *c,
                           struct err *err)
{
    struct job_list list = {.who = &call->who, .c = c};
    struct catalog_job_filter f = {0};
    struct catalog_page page = {0};
    enum err_code rc;

    api_call_items_begin(&list.items);
    rc = api_call_page(call, &page, err);
    if (rc == ERR_OK)
        rc = job_filter(call, c, &f, err);
    if (rc == ERR_OK)
        rc = catalog_job_each(c, &f, &page, on_job, &list, err);
    api_hide_fini(&list.hide);
    return api_call_items_end(call, rc, &list.items, page.next, err);
}

/* What a waiting call compares. */
struct job_look {
    bool by_change;
    uint64_t seen;   /* change, or number of a log line */
    uint64_t found;
    bool final;
};

static enum err_code job_get(struct api_call *call, struct catalog *c,
                             struct catalog_job *out, struct err *err)
{
    enum err_code rc = catalog_job_get(c, authz_scope(&call->who),
                                       call->args[0], out, err);

    if (rc == ERR_OK)
        api_call_object(call, out->id, out->tenant_id, out->tenant);
    return rc;
}

static enum err_code on_show(struct api_call *call, struct catalog *c,
                             struct err *err)
{
    struct job_look *look = call->work;
    struct catalog_job j = {0};
    enum err_code rc = job_get(call, c, &j, err);

    if (rc == ERR_OK) {
        look->found = j.change;
        look->final = catalog_job_is_final(j.state);
        rc = job_answer(call, c, &j, err);
    }
    catalog_job_fini(&j);
    return rc;
}

static void show_look(struct api_call *call);

static void on_shown(struct api_call *call)
{
    const struct job_look *look = call->work;

    if (look->by_change && look->found == look->seen && !look->final &&
        api_wait_park(call, call->args[0], show_look))
        return;
    api_call_done(call);
}

static void show_look(struct api_call *call)
{
    api_call_ask(call, on_show, on_shown);
}

/* The work of a call that may wait; false: it has failed already. */
static bool look_begin(struct api_call *call, const char *seen_name)
{
    const char *seen = api_call_query(call, seen_name);
    struct job_look *look = calloc(1, sizeof(*look));
    struct err err;

    call->work = look;
    call->work_free = look ? free : NULL;
    if (!look) {
        err_set(&err, ERR_NOMEM, 0, "out of memory");
    } else if (seen && !parse_u64(seen, 0, INT64_MAX, &look->seen)) {
        err_set(&err, ERR_ARGUMENT, 0, "%s: wanted a number", seen_name);
    } else if (api_wait_begin(call, &err) == ERR_OK) {
        look->by_change = seen != NULL;
        return true;
    }
    api_call_fail(call, &err);
    return false;
}

void api_job_show(struct api_call *call)
{
    if (look_begin(call, "seen"))
        show_look(call);
}

struct line_list {
    struct api_call_items items;
    uint64_t last;
    const struct authz_who *who;
    struct catalog *c;
    const struct catalog_job *job;
    struct api_hide hide;
};

static bool on_line(void *ctx, const struct catalog_job_line *l)
{
    struct line_list *list = ctx;
    const char *text =
        api_hide_text(&list->hide, list->who, list->c, list->job, l->text);
    struct api_doc d;

    list->last = l->number;
    api_doc_begin(&d);
    api_doc_u64(&d, "number", l->number);
    api_doc_time(&d, "at", l->at_ms);
    api_doc_text(&d, "level", l->level);
    api_doc_text(&d, "text", text);
    d.failed |= !text;
    return api_call_items_add(&list->items, api_doc_end(&d));
}

/* The job first: what is final before its lines are read has no more of them
 * than were read. */
static enum err_code on_log(struct api_call *call, struct catalog *c,
                            struct err *err)
{
    struct job_look *look = call->work;
    struct catalog_page page = {0};
    struct catalog_job j = {0};
    struct line_list list = {
        .last = look->seen, .who = &call->who, .c = c, .job = &j};
    struct api_doc d;
    enum err_code rc;

    api_call_items_begin(&list.items);
    rc = api_call_page(call, &page, err);
    if (rc == ERR_OK)
        rc = job_get(call, c, &j, err);
    if (rc == ERR_OK)
        rc = catalog_job_log_each(c, j.id, look->seen, page.limit, on_line,
                                  &list, err);
    api_hide_fini(&list.hide);
    look->found = json_count(list.items.j);
    look->final = rc == ERR_OK && catalog_job_is_final(j.state);
    if (rc == ERR_OK && !list.items.failed) {
        api_doc_begin(&d);
        api_doc_take(&d, "items", list.items.j);
        api_doc_u64(&d, "after", list.last);
        api_doc_text(&d, "state", catalog_job_state_name(j.state));
        api_doc_bool(&d, "final", look->final);
        rc = api_call_answer(call, api_doc_end(&d), err);
    } else {
        json_free(list.items.j);
        if (rc == ERR_OK)
            rc = err_set(err, ERR_NOMEM, 0, "out of memory");
    }
    catalog_job_fini(&j);
    return rc;
}

static void log_look(struct api_call *call);

static void on_logged(struct api_call *call)
{
    const struct job_look *look = call->work;

    if (look->found == 0 && !look->final &&
        api_wait_park(call, call->args[0], log_look))
        return;
    api_call_done(call);
}

static void log_look(struct api_call *call)
{
    api_call_ask(call, on_log, on_logged);
}

void api_job_log(struct api_call *call)
{
    if (look_begin(call, "after"))
        log_look(call);
}

static enum err_code on_cancel(struct api_call *call, struct catalog *c,
                               struct err *err)
{
    struct catalog_job j = {0};
    enum err_code rc = job_get(call, c, &j, err);

    if (rc == ERR_OK)
        rc = catalog_job_ask_cancel(c, j.id, err);
    catalog_job_fini(&j);
    return rc;
}

static enum err_code on_cancelled(struct api_call *call, struct catalog *c,
                                  struct err *err)
{
    struct catalog_job j = {0};
    enum err_code rc = job_get(call, c, &j, err);

    if (rc == ERR_OK)
        rc = job_answer(call, c, &j, err);
    call->status = 202;
    catalog_job_fini(&j);
    return rc;
}

static void cancel_show(struct api_call *call)
{
    api_call_ask(call, on_cancelled, NULL);
}

static void cancel_tell(struct api_call *call)
{
    const struct api_backend *b = call->api->backend;

    api_job_changed(call->api, call->args[0]);
    api_call_wait(call, EXIT_PEER_NONE, cancel_show);
    b->job_cancel(b->ctx, call->args[0], api_call_on_json, call);
}

void api_job_cancel(struct api_call *call)
{
    api_call_object(call, call->args[0], 0, "");
    api_call_ask(call, on_cancel, cancel_tell);
}

/* What cannot be done again, or not by this one. */
static enum err_code retry_check(struct api_call *call,
                                 const struct catalog_job *j, struct err *err)
{
    struct json *params = NULL;
    enum err_code rc = json_parse(j->params, strlen(j->params), &params, err);

    if (rc != ERR_OK)
        return err_context(err, "job %s", j->id);
    if (!catalog_job_is_final(j->state))
        rc = err_set(err, ERR_CONFLICT, 0, "job %s is %s", j->id,
                     catalog_job_state_name(j->state));
    else if (j->state == CATALOG_JOB_SUCCEEDED)
        rc = err_set(err, ERR_CONFLICT, 0, "job %s has succeeded", j->id);
    else if (json_get(params, "output"))
        rc = err_set(err, ERR_CONFLICT, 0,
                     "job %s wrote to a client: ask for the restore again",
                     j->id);
    else if (!j->vault_id)
        rc = err_set(err, ERR_NOT_FOUND, 0, "the vault of job %s was removed",
                     j->id);
    else if (!j->pool_id && j->pool[0])
        rc = err_set(err, ERR_NOT_FOUND, 0, "the pool of job %s was removed",
                     j->id);
    else if (strcmp(j->kind, "restore") == 0)
        rc = authz_check(&call->who, AUTHZ_RESTORE_POOL, err);
    json_free(params);
    return rc;
}

static enum err_code on_retry(struct api_call *call, struct catalog *c,
                              struct err *err)
{
    struct api_start *s = call->work;
    struct catalog_job j = {0};
    enum err_code rc = job_get(call, c, &j, err);

    if (rc == ERR_OK)
        rc = retry_check(call, &j, err);
    if (rc == ERR_OK) {
        s->kind = kind_of(j.kind);
        s->tenant_id = j.tenant_id;
        s->pool_id = j.pool_id;
        s->vault_id = j.vault_id;
        snprintf(s->tenant, sizeof(s->tenant), "%s", j.tenant);
        snprintf(s->vault, sizeof(s->vault), "%s", j.vault);
        snprintf(s->vm_uuid, sizeof(s->vm_uuid), "%s", j.vm_uuid);
        memcpy(s->retry_of, j.id, sizeof(s->retry_of));
        /* A backup's point is its outcome, the others' their subject. */
        if (s->kind && strcmp(s->kind, "backup") != 0)
            snprintf(s->point, sizeof(s->point), "%s", j.point);
        s->vm_name = strdup(j.vm_name);
        s->params = strdup(j.params);
        if (!s->kind)
            rc = err_set(err, ERR_CONFLICT, 0, "a %s is not done again",
                         j.kind);
        else if (!s->vm_name || !s->params)
            rc = err_set(err, ERR_NOMEM, 0, "out of memory");
    }
    catalog_job_fini(&j);
    return rc;
}

void api_job_retry(struct api_call *call)
{
    api_call_object(call, call->args[0], 0, "");
    if (api_start_new(call, "backup"))
        api_call_ask(call, on_retry, api_start_go);
}
