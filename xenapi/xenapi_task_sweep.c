/* SPDX-License-Identifier: Apache-2.0 */
/* Tasks that a crash left behind: the other half of xenapi/xenapi_task.h.
 *
 *   task.get_all_records -> for each of ours: cancel -> declare cancelled
 *     -> destroy -> done
 */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "xenapi/xenapi_flow.h"
#include "xenapi/xenapi_task.h"

struct sweep {
    struct xenapi_flow flow;
    char head[XENAPI_TASK_MARK]; /* "cairn/<gateway>/" */
    bool (*spare)(void *ctx, const char *job);
    void (*done)(void *ctx, const struct err *err, size_t removed);
    void *ctx;
    char (*tasks)[XENAPI_REF_MAX];
    size_t count, next, removed;
    struct err err;
};

static struct sweep *of(struct xenapi_flow *f)
{
    return (struct sweep *)((char *)f - offsetof(struct sweep, flow));
}

void xenapi_task_mark(char out[XENAPI_TASK_MARK], const char *gateway,
                      const char *job)
{
    snprintf(out, XENAPI_TASK_MARK, "cairn/%s/%s", gateway, job);
}

static void sweep_next(struct sweep *w);

static void on_removed(struct xenapi_flow *f, const struct xenapi_answer *a)
{
    struct sweep *w = of(f);

    if (a->err->code == ERR_OK)
        w->removed++;
    else if (!xenapi_rpc_is(a->failure, "HANDLE_INVALID"))
        err_keep(&w->err, a->err);
    w->next++;
    if (a->err->code != ERR_OK && !a->failure)
        w->next = w->count; /* no use in going on */
    sweep_next(w);
}

static void on_declared(struct xenapi_flow *f, const struct xenapi_answer *a)
{
    struct sweep *w = of(f);

    xenapi_flow_call(f, "task.destroy",
                     xenapi_call_params("s", w->tasks[w->next]), on_removed);
}

/* Of a task that has ended the pool takes neither notice; an answer that is
 * lost is told by the next. */
static void on_cancelled(struct xenapi_flow *f, const struct xenapi_answer *a)
{
    struct sweep *w = of(f);

    xenapi_flow_call(f, "task.set_status",
                     xenapi_call_params("ss", w->tasks[w->next], "cancelled"),
                     on_declared);
}

static void sweep_next(struct sweep *w)
{
    if (w->next < w->count) {
        xenapi_flow_call(&w->flow, "task.cancel",
                         xenapi_call_params("s", w->tasks[w->next]),
                         on_cancelled);
        return;
    }
    xenapi_flow_fini(&w->flow);
    w->done(w->ctx, &w->err, w->removed);
    free(w->tasks);
    free(w);
}

static bool is_left_over(const struct sweep *w, const struct xmlrpc *task)
{
    const char *mark = xmlrpc_get_text(task, "name_description");
    size_t n = strlen(w->head);

    if (strncmp(mark, w->head, n) != 0 || !mark[n])
        return false;
    return !w->spare || !w->spare(w->ctx, mark + n);
}

static void on_tasks(struct xenapi_flow *f, const struct xenapi_answer *a)
{
    struct sweep *w = of(f);
    size_t n = xmlrpc_count(a->value);
    struct xmlrpc *task = NULL;

    w->err = *a->err;
    w->tasks = calloc(n + 1, sizeof(*w->tasks));
    if (w->err.code == ERR_OK && !w->tasks)
        err_set(&w->err, ERR_NOMEM, 0, "a search for tasks");
    for (size_t i = 0; w->err.code == ERR_OK && i < n; i++) {
        const char *ref = xmlrpc_name_at(a->value, i, &task);

        if (ref && strlen(ref) < XENAPI_REF_MAX && is_left_over(w, task))
            memcpy(w->tasks[w->count++], ref, strlen(ref) + 1);
    }
    sweep_next(w);
}

static void on_stop(struct xenapi_flow *f)
{
    xenapi_flow_cancel(f);
}

enum err_code xenapi_task_sweep(struct xenapi_session *s,
                                const struct xenapi_task_sweep_opts *opts,
                                struct err *err)
{
    struct sweep *w;

    if (!opts->gateway || !opts->gateway[0] ||
        strlen(opts->gateway) >= XENAPI_TASK_MARK - 10 ||
        xenapi_session_is_closing(s))
        return err_set(err, ERR_ARGUMENT, 0, "a search for tasks");
    w = calloc(1, sizeof(*w));
    if (!w)
        return err_set(err, ERR_NOMEM, 0, "a search for tasks");
    snprintf(w->head, sizeof(w->head), "cairn/%s/", opts->gateway);
    w->spare = opts->spare;
    w->done = opts->done;
    w->ctx = opts->ctx;
    xenapi_flow_init(&w->flow, s, on_stop);
    xenapi_flow_call(&w->flow, "task.get_all_records", xenapi_call_params(""),
                     on_tasks);
    return ERR_OK;
}
