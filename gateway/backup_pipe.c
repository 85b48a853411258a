/* SPDX-License-Identifier: Apache-2.0 */
/*
 * On the data loop:
 *
 *                           +-----------+   (the host was not heard)
 *                           v           |
 *   STARTING -> READY -> STREAMING -> STREAMED -> COMMITTING -> (done)
 *       \---------\----------\-----------\------------\-----> ENDING -> (done)
 *
 * The end has four steps, so that no mail can meet freed memory: the data loop
 * says "done", the control loop answers "bye" behind whatever it sent before,
 * the data loop says "gone", and only then the struct is given up.
 */
#include "gateway/backup_pipe.h"

#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/parse.h"
#include "gateway/backup_pipe_inside.h"
#include "vault/point.h"
#include "xenapi/xenapi_transfer.h"

#define PROGRESS_MS 500
/* A store is down that answers nothing for this part of `store_request`, after
 * the first request in vain: 15 s. Pools are more patient than that. */
#define SPILL_AFTER 4

/* What the session tells the journal; a row that is asked for goes back. */
struct pipe_note {
    struct mail mail;
    struct backup_pipe *pipe;
    struct session_note *note; /* NULL: not asked for */
    const char *kind;          /* NULL: an upload got its id */
    struct err err;
    char *id; /* behind name, in one allocation */
    char name[];
};

static void send_data(struct backup_pipe *p, struct mail *mail)
{
    loop_send(p->opts.data->loop, mail);
}

static void send_control(struct backup_pipe *p, struct mail *mail)
{
    loop_send(p->opts.engine->control, mail);
}

/* --- the end ------------------------------------------------------------- */

static void pipe_free(struct backup_pipe *p)
{
    for (size_t i = 0; i < BYTES_COUNT(p->texts); i++)
        free(p->texts[i]);
    free(p->disks);
    xenapi_ticket_drop(p->ticket);
    vault_unref(p->opts.vault);
    place_unref(p->opts.place);
    free(p);
}

static void deliver_gone(struct mail *mail)
{
    struct backup_pipe *p = BACKUP_PIPE_OWNER(mail, on_gone);

    p->opts.done(p->opts.ctx, &p->err, &p->result, &p->shown);
    pipe_free(p);
}

static void deliver_bye(struct mail *mail)
{
    struct backup_pipe *p = BACKUP_PIPE_OWNER(mail, to_bye);

    send_control(p, &p->on_gone);
}

static void deliver_done(struct mail *mail)
{
    struct backup_pipe *p = BACKUP_PIPE_OWNER(mail, on_done);

    p->over = true;
    send_data(p, &p->to_bye);
}

static void take_figures(struct backup_pipe *p)
{
    p->shown.session =
        p->session ? *session_figures(p->session) : p->result.figures;
    p->shown.received = p->received;
    if (!p->store)
        return;
    p->shown.store_requests = p->store->requests;
    p->shown.store_lists = p->store->list_requests;
    p->shown.store_sent = p->store->sent_bytes;
    p->shown.store_received = p->store->received_bytes;
}

void backup_pipe_end_if_idle(struct backup_pipe *p)
{
    if (p->session || p->transfer)
        return;
    timer_stop(&p->timer);
    /* A progress mail may still be read over there: the figures in it are
     * final from here on, and on_done comes behind it. */
    if (atomic_load(&p->progress_busy)) {
        timer_start(p->opts.data->loop, &p->timer, 1, p->timer.fire);
        return;
    }
    take_figures(p);
    if (p->store)
        place_store_free(p->opts.place, p->store);
    p->store = NULL;
    xva_read_free(p->reader);
    p->reader = NULL;
    buf_fini(&p->ova);
    send_control(p, &p->on_done);
}

void backup_pipe_fail(struct backup_pipe *p, const struct err *why)
{
    err_keep(&p->err, why);
    if (p->state == PIPE_ENDING)
        return;
    p->state = PIPE_ENDING;
    if (p->transfer)
        xenapi_transfer_cancel(p->transfer);
    if (p->session)
        session_cancel(p->session);
    backup_pipe_end_if_idle(p);
}

static void on_tick(struct timer *timer)
{
    struct backup_pipe *p = BACKUP_PIPE_OWNER(timer, timer);

    if (!p->session && !p->transfer) {
        backup_pipe_end_if_idle(p);
        return;
    }
    if (p->opts.progress && !atomic_load(&p->progress_busy)) {
        take_figures(p);
        atomic_store(&p->progress_busy, true);
        send_control(p, &p->on_progress);
    }
    timer_start(p->opts.data->loop, timer, PROGRESS_MS, on_tick);
}

static void deliver_progress(struct mail *mail)
{
    struct backup_pipe *p = BACKUP_PIPE_OWNER(mail, on_progress);

    p->opts.progress(p->opts.ctx, &p->shown);
    atomic_store(&p->progress_busy, false);
}

/* --- the session --------------------------------------------------------- */

static void deliver_ready(struct mail *mail)
{
    struct backup_pipe *p = BACKUP_PIPE_OWNER(mail, on_ready);

    p->opts.ready(p->opts.ctx);
}

static void on_session_ready(void *ctx)
{
    struct backup_pipe *p = ctx;

    if (p->state != PIPE_STARTING)
        return;
    p->state = PIPE_READY;
    send_control(p, &p->on_ready);
}

static void on_session_done(void *ctx, const struct err *err,
                            const struct session_result *result)
{
    struct backup_pipe *p = ctx;

    p->result = *result;
    p->session = NULL;
    if (err->code == ERR_OK) {
        /* Committed: a cancel that came meanwhile was too late. */
        err_clear(&p->err);
        p->state = PIPE_ENDING;
        if (p->transfer)
            xenapi_transfer_cancel(p->transfer);
        backup_pipe_end_if_idle(p);
    } else if (p->state == PIPE_ENDING) {
        err_keep(&p->err, err);
        backup_pipe_end_if_idle(p);
    } else {
        backup_pipe_fail(p, err);
    }
}

static struct pipe_note *note_new(struct backup_pipe *p, const char *kind,
                                  const char *name, const char *id)
{
    size_t name_size = strlen(name) + 1;
    size_t id_size = strlen(id) + 1;
    struct pipe_note *n = calloc(1, sizeof(*n) + name_size + id_size);

    if (!n)
        return NULL;
    n->pipe = p;
    n->kind = kind;
    memcpy(n->name, name, name_size);
    n->id = n->name + name_size;
    memcpy(n->id, id, id_size);
    return n;
}

static void deliver_opening(struct mail *mail)
{
    struct pipe_note *n = (struct pipe_note *)mail;
    struct backup_pipe *p = n->pipe;

    p->opts.opening(p->opts.ctx, n->kind, n->name, n);
}

static void deliver_noted(struct mail *mail)
{
    struct pipe_note *n = (struct pipe_note *)mail;
    struct session_note *note = n->note;
    struct err err = n->err;

    free(n);
    (void)FAILPOINT("backup_object_noted");
    session_noted(note, &err);
}

void backup_pipe_noted(struct backup_pipe *p, void *ticket,
                       const struct err *err)
{
    struct pipe_note *n = ticket;

    n->err = *err;
    n->mail.deliver = deliver_noted;
    send_data(p, &n->mail);
}

static void on_opening(void *ctx, const char *kind, const char *name,
                       struct session_note *note)
{
    struct backup_pipe *p = ctx;
    struct pipe_note *n = note_new(p, kind, name, "");
    const struct err err = {.code = ERR_NOMEM, .text = "journal"};

    if (!n) {
        session_noted(note, &err);
        return;
    }
    n->note = note;
    n->mail.deliver = deliver_opening;
    send_control(p, &n->mail);
}

static void deliver_told(struct mail *mail)
{
    struct pipe_note *n = (struct pipe_note *)mail;
    struct backup_pipe *p = n->pipe;

    if (n->kind)
        p->opts.closed(p->opts.ctx, n->kind, n->name);
    else
        p->opts.upload(p->opts.ctx, n->name, n->id);
    free(n);
}

/* Without memory for it the row stays as it is, and is looked at later. */
static void tell(struct backup_pipe *p, const char *kind, const char *name,
                 const char *id)
{
    struct pipe_note *n = note_new(p, kind, name, id);

    if (!n)
        return;
    n->mail.deliver = deliver_told;
    send_control(p, &n->mail);
}

static void on_upload_opened(void *ctx, const char *name, const char *id)
{
    tell(ctx, NULL, name, id);
}

static void on_closed(void *ctx, const char *kind, const char *name)
{
    tell(ctx, kind, name, "");
}

static enum err_code session_begin(struct backup_pipe *p, struct err *err)
{
    const struct engine *e = p->opts.engine;
    const struct session_opts o = {
        .loop = p->opts.data->loop,
        .vault = p->opts.vault,
        .store = p->store,
        .index = p->opts.index,
        .tools = e->tools,
        .chunk_room = p->opts.data->chunks,
        .part_room = p->opts.data->parts,
        .budget = e->budget,
        .tenant = p->opts.tenant,
        .ceiling_bytes = SESSION_CEILING_BYTES,
        .spill = e->spill,
        .spill_after_ms = e->config->store_request_ms / SPILL_AFTER,
        .spill_until_ms = e->config->store_retry_ms,
        .clock = loop_clock(e->control),
        .events =
            {
                .ready = on_session_ready,
                .drained = backup_feed_drained,
                .opening = on_opening,
                .upload_opened = on_upload_opened,
                .closed = on_closed,
                .done = on_session_done,
            },
        .ctx = p,
        .series = p->texts[0],
        .vm = p->opts.vm,
        .name = p->texts[1],
        .pool = p->texts[2],
        .source_mode = "xva",
        .consistency = "crash",
        .gateway = e->gateway,
        .witness = p->opts.witness,
        .recovery = p->opts.recovery,
        .recovery_count = p->opts.recovery_count,
    };

    return session_start(&o, &p->session, err);
}

/* --- what the control loop says ------------------------------------------ */

static void deliver_start(struct mail *mail)
{
    struct backup_pipe *p = BACKUP_PIPE_OWNER(mail, to_start);
    struct err err = {0};

    p->timer.fire = on_tick;
    if (place_store(p->opts.place, p->opts.data->loop, p->opts.data->client,
                    &p->store, &err) != ERR_OK ||
        session_begin(p, &err) != ERR_OK) {
        backup_pipe_fail(p, &err);
        return;
    }
    timer_start(p->opts.data->loop, &p->timer, PROGRESS_MS, on_tick);
}

static void deliver_export(struct mail *mail)
{
    struct backup_pipe *p = BACKUP_PIPE_OWNER(mail, to_export);

    if (p->state == PIPE_READY || backup_feed_is_unheard(p))
        backup_feed_start(p);
}

static void deliver_commit(struct mail *mail)
{
    struct backup_pipe *p = BACKUP_PIPE_OWNER(mail, to_commit);

    if (p->state != PIPE_STREAMED || !p->session)
        return;
    p->state = PIPE_COMMITTING;
    session_finish(p->session, p->ova.data, p->ova.len);
}

static void deliver_cancel(struct mail *mail)
{
    struct backup_pipe *p = BACKUP_PIPE_OWNER(mail, to_cancel);

    if (p->state == PIPE_ENDING)
        return;
    if (p->state == PIPE_COMMITTING && p->session) {
        /* The session decides: it may be committed already. */
        session_cancel(p->session);
        return;
    }
    backup_pipe_fail(p, &p->why);
}

static void deliver_hurry(struct mail *mail)
{
    struct backup_pipe *p = BACKUP_PIPE_OWNER(mail, to_hurry);

    if (p->session)
        session_abandon(p->session);
}

enum err_code backup_pipe_start(const struct backup_pipe_opts *opts,
                                struct backup_pipe **out, struct err *err)
{
    struct backup_pipe *p = calloc(1, sizeof(*p));
    const char *texts[] = {opts->series, opts->name, opts->pool};

    if (!p)
        return err_set(err, ERR_NOMEM, 0, "backup pipe");
    p->opts = *opts;
    vault_ref(opts->vault);
    place_ref(opts->place);
    p->disks = calloc(opts->disk_count ? opts->disk_count : 1,
                      sizeof(*p->disks));
    for (size_t i = 0; i < BYTES_COUNT(texts); i++)
        p->texts[i] =
            strndup(texts[i], parse_utf8_cut(texts[i], POINT_TEXT_MAX));
    if (!p->disks || !p->texts[0] || !p->texts[1] || !p->texts[2]) {
        pipe_free(p);
        return err_set(err, ERR_NOMEM, 0, "backup pipe");
    }
    if (opts->disk_count)
        memcpy(p->disks, opts->disks, opts->disk_count * sizeof(*p->disks));
    buf_init(&p->ova, OVA_BYTES_MAX);
    p->to_start.deliver = deliver_start;
    p->to_export.deliver = deliver_export;
    p->to_commit.deliver = deliver_commit;
    p->to_cancel.deliver = deliver_cancel;
    p->to_hurry.deliver = deliver_hurry;
    p->to_bye.deliver = deliver_bye;
    p->on_ready.deliver = deliver_ready;
    p->on_streamed.deliver = backup_feed_deliver_streamed;
    p->on_progress.deliver = deliver_progress;
    p->on_done.deliver = deliver_done;
    p->on_gone.deliver = deliver_gone;
    send_data(p, &p->to_start);
    *out = p;
    return ERR_OK;
}

void backup_pipe_export(struct backup_pipe *p, struct xenapi_ticket *ticket)
{
    if (p->exported || p->over)
        return;
    p->exported = true;
    xenapi_ticket_drop(p->ticket); /* of a transfer that is over */
    p->ticket = xenapi_ticket_hold(ticket);
    send_data(p, &p->to_export);
}

void backup_pipe_commit(struct backup_pipe *p)
{
    if (p->committed || p->over)
        return;
    p->committed = true;
    send_data(p, &p->to_commit);
}

void backup_pipe_cancel(struct backup_pipe *p, const struct err *why)
{
    if (p->cancelled || p->over)
        return;
    p->cancelled = true;
    if (why && why->code != ERR_OK)
        p->why = *why;
    else
        err_set(&p->why, ERR_CANCELLED, 0, "cancelled");
    send_data(p, &p->to_cancel);
}

void backup_pipe_hurry(struct backup_pipe *p)
{
    if (p->hurried || !p->cancelled || p->over)
        return;
    p->hurried = true;
    send_data(p, &p->to_hurry);
}
