/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end goes done, bye, gone as in backup_pipe.c.
 */
#include "gateway/verify_pipe.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* That are told one by one, of those that hurt a point and of the others. */
#define FINDINGS_MAX 500

struct verify_pipe {
    struct verify_pipe_opts opts;
    char *point;
    struct mail to_start, to_cancel, to_bye;
    struct mail on_progress, on_done, on_gone;
    atomic_bool progress_busy;
    struct verify_figures shown; /* in on_progress */
    bool cancelled, over;        /* control loop */
    /* The data loop's. */
    struct store *store;
    struct verify *verify;
    unsigned told[2]; /* [hurts] */
    struct verify_figures figures;
    struct err err;
};

struct finding {
    struct mail mail;
    struct verify_pipe *pipe;
    bool hurts;
    char object[NAME_TEXT];
    char text[sizeof(((struct err *)0)->text)];
};

#define OWNER(mail, member)                                                    \
    ((struct verify_pipe *)(void *)((char *)(mail)-offsetof(                   \
        struct verify_pipe, member)))

static void send_data(struct verify_pipe *p, struct mail *mail)
{
    loop_send(p->opts.data->loop, mail);
}

static void send_control(struct verify_pipe *p, struct mail *mail)
{
    loop_send(p->opts.engine->control, mail);
}

static void pipe_free(struct verify_pipe *p)
{
    vault_unref(p->opts.vault);
    place_unref(p->opts.place);
    free(p->point);
    free(p);
}

static void deliver_gone(struct mail *mail)
{
    struct verify_pipe *p = OWNER(mail, on_gone);

    p->opts.done(p->opts.ctx, &p->err, &p->figures);
    pipe_free(p);
}

static void deliver_bye(struct mail *mail)
{
    struct verify_pipe *p = OWNER(mail, to_bye);

    send_control(p, &p->on_gone);
}

static void deliver_done(struct mail *mail)
{
    struct verify_pipe *p = OWNER(mail, on_done);

    p->over = true;
    send_data(p, &p->to_bye);
}

static void deliver_finding(struct mail *mail)
{
    struct finding *f = (struct finding *)mail;

    f->pipe->opts.finding(f->pipe->opts.ctx, f->hurts, f->object, f->text);
    free(f);
}

static void deliver_progress(struct mail *mail)
{
    struct verify_pipe *p = OWNER(mail, on_progress);

    p->opts.progress(p->opts.ctx, &p->shown);
    atomic_store(&p->progress_busy, false);
}

static void on_finding(void *ctx, const struct verify_finding *found)
{
    struct verify_pipe *p = ctx;
    unsigned *told = &p->told[found->hurts];
    struct finding *f = *told < FINDINGS_MAX ? malloc(sizeof(*f)) : NULL;

    if (!f)
        return; /* it is counted in the figures all the same */
    ++*told;
    f->mail.deliver = deliver_finding;
    f->pipe = p;
    f->hurts = found->hurts;
    snprintf(f->object, sizeof(f->object), "%s", found->object);
    memcpy(f->text, found->err.text, sizeof(f->text));
    send_control(p, &f->mail);
}

static void on_progress(void *ctx, const struct verify_figures *f)
{
    struct verify_pipe *p = ctx;

    if (atomic_load(&p->progress_busy))
        return;
    p->shown = *f;
    atomic_store(&p->progress_busy, true);
    send_control(p, &p->on_progress);
}

static void pipe_end(struct verify_pipe *p, const struct err *err)
{
    p->err = *err;
    p->verify = NULL;
    if (p->store)
        place_store_free(p->opts.place, p->store);
    p->store = NULL;
    send_control(p, &p->on_done);
}

static void on_verified(void *ctx, const struct err *err,
                        const struct verify_figures *f)
{
    struct verify_pipe *p = ctx;

    p->figures = *f;
    pipe_end(p, err);
}

static void deliver_start(struct mail *mail)
{
    struct verify_pipe *p = OWNER(mail, to_start);
    struct verify_opts o = {
        .keys = vault_keys(p->opts.vault),
        .full = p->opts.full,
        .point = p->point,
        .memory_bytes = VERIFY_PIPE_BYTES,
        .on_finding = on_finding,
        .on_progress = on_progress,
        .done = on_verified,
        .ctx = p,
    };
    struct err err = {0};

    if (place_store(p->opts.place, p->opts.data->loop, p->opts.data->client,
                    &p->store, &err) == ERR_OK) {
        o.store = p->store;
        if (verify_start(&o, &p->verify, &err) == ERR_OK)
            return;
    }
    pipe_end(p, &err);
}

static void deliver_cancel(struct mail *mail)
{
    struct verify_pipe *p = OWNER(mail, to_cancel);

    if (p->verify)
        verify_cancel(p->verify);
}

enum err_code verify_pipe_start(const struct verify_pipe_opts *opts,
                                struct verify_pipe **out, struct err *err)
{
    struct verify_pipe *p = calloc(1, sizeof(*p));

    if (!p)
        return err_set(err, ERR_NOMEM, 0, "verify");
    p->opts = *opts;
    vault_ref(opts->vault);
    place_ref(opts->place);
    p->point = opts->point ? strdup(opts->point) : NULL;
    if (opts->point && !p->point) {
        pipe_free(p);
        return err_set(err, ERR_NOMEM, 0, "verify");
    }
    p->to_start.deliver = deliver_start;
    p->to_cancel.deliver = deliver_cancel;
    p->to_bye.deliver = deliver_bye;
    p->on_progress.deliver = deliver_progress;
    p->on_done.deliver = deliver_done;
    p->on_gone.deliver = deliver_gone;
    send_data(p, &p->to_start);
    *out = p;
    return ERR_OK;
}

void verify_pipe_cancel(struct verify_pipe *p)
{
    if (p->cancelled || p->over)
        return;
    p->cancelled = true;
    send_data(p, &p->to_cancel);
}
