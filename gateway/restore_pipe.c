/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The data loop walks and fills; the bytes leave by an upload on the same loop,
 * or in blocks that are mailed to the control loop, where the client's answer
 * lives, and come back empty. The end goes done, bye, gone as in
 * backup_pipe.c.
 */
#include "gateway/restore_pipe.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/api_backend.h"
#include "gateway/restore_source.h"
#include "loop/timer.h"
#include "net/http_server.h"
#include "vault/map.h"
#include "xenapi/xenapi_transfer.h"

#define PROGRESS_MS 500

/* Filled on the data loop; to a client it goes as it is. */
struct block {
    struct restore_block bytes; /* the source's */
    struct mail mail;
    struct http_piece piece;
    struct restore_pipe *pipe;
};

struct restore_pipe {
    struct restore_pipe_opts opts;
    struct restore_pipe_disk *disks;
    char *ova, *point_name, *job_id;

    struct mail to_start, to_cancel, to_bye;
    struct mail on_opened, on_progress, on_done, on_gone;
    atomic_bool progress_busy;
    uint64_t done_bytes, total_bytes; /* in on_progress, on_opened */
    struct walk_figures figures;

    /* The control loop's. */
    bool cancelled, over, ended; /* over: on_done came */
    bool late;     /* the client reads too slowly; set before to_cancel goes */
    unsigned lent; /* blocks, to the client's answer */
    struct timer patience; /* armed: some are lent */

    /* The data loop's. */
    bool ending;
    struct store *store;
    struct restore_source *source;
    struct xenapi_transfer *transfer;
    struct block blocks[RESTORE_SOURCE_BLOCKS];
    struct timer timer;
    uint64_t sent;
    struct err err;
};

#define OWNER(mail, member)                                                    \
    ((struct restore_pipe *)(void *)((char *)(mail)-offsetof(                  \
        struct restore_pipe, member)))

#define MAIL_OWNER(ptr)                                                        \
    ((struct block *)(void *)((char *)(ptr)-offsetof(struct block, mail)))
#define PIECE_OWNER(ptr)                                                       \
    ((struct block *)(void *)((char *)(ptr)-offsetof(struct block, piece)))

static void send_data(struct restore_pipe *p, struct mail *mail)
{
    loop_send(p->opts.data->loop, mail);
}

static void send_control(struct restore_pipe *p, struct mail *mail)
{
    loop_send(p->opts.engine->control, mail);
}

/* --- the end ------------------------------------------------------------- */

static void pipe_free(struct restore_pipe *p)
{
    for (unsigned i = 0; i < RESTORE_SOURCE_BLOCKS; i++)
        free(p->blocks[i].bytes.data);
    vault_unref(p->opts.vault);
    place_unref(p->opts.place);
    xenapi_ticket_drop(p->opts.ticket);
    free(p->disks);
    free(p->ova);
    free(p->point_name);
    free(p->job_id);
    free(p);
}

static void deliver_gone(struct mail *mail)
{
    struct restore_pipe *p = OWNER(mail, on_gone);

    p->opts.done(p->opts.ctx, &p->err, p->sent, &p->figures);
    pipe_free(p);
}

static void deliver_bye(struct mail *mail)
{
    struct restore_pipe *p = OWNER(mail, to_bye);

    send_control(p, &p->on_gone);
}

/* All that was to go to the client went, or is not wanted. */
static void say_bye(struct restore_pipe *p)
{
    if (!p->over || p->lent || p->ended)
        return;
    p->ended = true;
    timer_stop(&p->patience);
    send_data(p, &p->to_bye);
}

static void deliver_done(struct mail *mail)
{
    struct restore_pipe *p = OWNER(mail, on_done);

    p->over = true;
    if (p->err.code != ERR_OK && p->lent) {
        api_stream_retract(p->opts.stream);
        p->lent = 0;
        timer_stop(&p->patience);
    }
    say_bye(p);
}

static void on_source_stopped(void *ctx);

/* The only way out on the data loop. */
static void pipe_end_if_idle(struct restore_pipe *p)
{
    if (p->transfer)
        return;
    if (p->source) {
        p->figures = restore_source_figures(p->source);
        restore_source_stop(p->source, on_source_stopped);
        return;
    }
    timer_stop(&p->timer);
    if (atomic_load(&p->progress_busy)) {
        timer_start(p->opts.data->loop, &p->timer, 1, p->timer.fire);
        return;
    }
    if (p->store)
        place_store_free(p->opts.place, p->store);
    p->store = NULL;
    send_control(p, &p->on_done);
}

static void on_source_stopped(void *ctx)
{
    struct restore_pipe *p = ctx;

    restore_source_free(p->source);
    p->source = NULL;
    pipe_end_if_idle(p);
}

static void pipe_end(struct restore_pipe *p, const struct err *err)
{
    err_keep(&p->err, err);
    if (p->ending)
        return;
    p->ending = true;
    if (p->transfer)
        xenapi_transfer_cancel(p->transfer);
    pipe_end_if_idle(p);
}

static void on_tick(struct timer *timer)
{
    struct restore_pipe *p = OWNER(timer, timer);

    if (p->ending) {
        if (!p->source && !p->transfer)
            pipe_end_if_idle(p);
        return;
    }
    if (p->opts.progress && !atomic_load(&p->progress_busy)) {
        p->done_bytes = p->sent;
        atomic_store(&p->progress_busy, true);
        send_control(p, &p->on_progress);
    }
    timer_start(p->opts.data->loop, timer, PROGRESS_MS, on_tick);
}

static void deliver_progress(struct mail *mail)
{
    struct restore_pipe *p = OWNER(mail, on_progress);

    p->opts.progress(p->opts.ctx, p->done_bytes, p->total_bytes);
    atomic_store(&p->progress_busy, false);
}

/* --- to a pool ----------------------------------------------------------- */

static long on_pull(void *ctx, uint8_t *into, size_t max)
{
    struct restore_pipe *p = ctx;
    struct err err = {0};
    size_t n = p->ending ? 0 : restore_source_pull(p->source, into, max);

    p->sent += n;
    if (n)
        return (long)n;
    if (p->ending)
        return HTTP_PULL_FAIL;
    if (!restore_source_over(p->source, &err))
        return HTTP_PULL_WAIT;
    if (err.code == ERR_OK)
        return 0;
    err_keep(&p->err, &err);
    return HTTP_PULL_FAIL;
}

static void on_transferred(void *ctx, const struct err *err, uint64_t bytes)
{
    struct restore_pipe *p = ctx;

    p->transfer = NULL;
    if (p->ending) {
        err_keep(&p->err, err);
        pipe_end_if_idle(p);
    } else {
        pipe_end(p, err);
    }
}

/* --- to a client --------------------------------------------------------- */

static void deliver_block(struct mail *mail);

static void send_blocks(struct restore_pipe *p)
{
    struct restore_block *bytes;
    struct err err = {0};

    while (!p->ending && (bytes = restore_source_take(p->source)) != NULL) {
        struct block *b = (struct block *)bytes;

        p->sent += bytes->end - bytes->begin;
        b->mail.deliver = deliver_block;
        send_control(p, &b->mail);
    }
    if (!p->ending && restore_source_over(p->source, &err))
        pipe_end(p, &err);
}

static void deliver_empty(struct mail *mail)
{
    struct block *b = MAIL_OWNER(mail);
    struct restore_pipe *p = b->pipe;

    if (p->ending)
        return;
    restore_source_give(p->source, &b->bytes);
    send_blocks(p);
}

static void give_block(struct block *b)
{
    b->mail.deliver = deliver_empty;
    send_data(b->pipe, &b->mail);
}

static enum err_code too_slow(const struct restore_pipe *p, struct err *err)
{
    return err_set(err, ERR_AGAIN, 0, "the client took less than %zu KiB in "
                   "%ju s (see client_stall)", RESTORE_SOURCE_BLOCK / KIB,
                   (uintmax_t)(p->opts.engine->config->client_stall_ms / 1000));
}

/* Its memory, and its place among the jobs, are others' too. */
static void on_impatient(struct timer *timer)
{
    struct restore_pipe *p = OWNER(timer, patience);

    p->late = true;
    if (!p->over) {
        restore_pipe_cancel(p);
        return;
    }
    too_slow(p, &p->err);
    api_stream_retract(p->opts.stream);
    p->lent = 0;
    say_bye(p);
}

/* The client gets as long for each block. */
static void wait_for_client(struct restore_pipe *p)
{
    if (p->lent)
        timer_start(p->opts.engine->control, &p->patience,
                    p->opts.engine->config->client_stall_ms, on_impatient);
    else
        timer_stop(&p->patience);
}

static void on_piece_out(struct http_piece *piece)
{
    struct block *b = PIECE_OWNER(piece);

    b->pipe->lent--;
    wait_for_client(b->pipe);
    give_block(b);
    say_bye(b->pipe);
}

static void deliver_block(struct mail *mail)
{
    struct block *b = MAIL_OWNER(mail);

    b->piece.data = b->bytes.data + b->bytes.begin;
    b->piece.len = b->bytes.end - b->bytes.begin;
    b->piece.done = on_piece_out;
    if (!api_stream_lend(b->pipe->opts.stream, &b->piece))
        give_block(b);
    else if (!b->pipe->lent++)
        wait_for_client(b->pipe);
}

static void deliver_opened(struct mail *mail)
{
    struct restore_pipe *p = OWNER(mail, on_opened);

    api_stream_begin(p->opts.stream, p->job_id, (int64_t)p->total_bytes);
}

/* --- beginning ----------------------------------------------------------- */

static enum err_code give_blocks(struct restore_pipe *p, struct err *err)
{
    for (unsigned i = 0; i < RESTORE_SOURCE_BLOCKS; i++) {
        struct block *b = &p->blocks[i];

        b->pipe = p;
        b->bytes.data = malloc(RESTORE_SOURCE_BLOCK);
        if (!b->bytes.data)
            return err_set(err, ERR_NOMEM, 0, "restore");
        restore_source_give(p->source, &b->bytes);
    }
    return ERR_OK;
}

static void on_source_ready(void *ctx)
{
    struct restore_pipe *p = ctx;
    struct err err = {0};

    if (p->ending)
        return;
    if (p->transfer)
        xenapi_transfer_resume(p->transfer);
    else if (p->opts.stream && p->total_bytes)
        send_blocks(p);
    else if (restore_source_over(p->source, &err))
        pipe_end(p, &err);
}

/* The length is known: let the other side begin. */
static void on_source_opened(void *ctx)
{
    struct restore_pipe *p = ctx;
    struct xenapi_transfer_opts upload = {
        .loop = p->opts.data->loop,
        .client = p->opts.data->client,
        .ticket = p->opts.ticket,
        .pull = on_pull,
        .done = on_transferred,
        .ctx = p,
    };

    struct err err = {0};

    if (p->ending)
        return;
    p->total_bytes = restore_source_total(p->source);
    if (p->opts.stream) {
        send_control(p, &p->on_opened);
    } else {
        upload.body_bytes = p->total_bytes;
        xenapi_transfer_start(&upload, &p->transfer, &err);
    }
    if (err.code != ERR_OK)
        pipe_end(p, &err);
    else if (p->opts.stream)
        send_blocks(p);
}

static enum err_code begin(struct restore_pipe *p, struct err *err)
{
    struct restore_source_opts o = {
        .pipe = &p->opts,
        .opened = on_source_opened,
        .ready = on_source_ready,
        .ctx = p,
    };

    if (place_store(p->opts.place, p->opts.data->loop, p->opts.data->client,
                    &p->store, err) != ERR_OK)
        return err->code;
    o.store = p->store;
    o.whole_blocks = p->opts.stream != NULL;
    if (restore_source_new(&o, &p->source, err) != ERR_OK)
        return err->code;
    return give_blocks(p, err);
}

static void deliver_start(struct mail *mail)
{
    struct restore_pipe *p = OWNER(mail, to_start);
    struct err err = {0};

    p->timer.fire = on_tick;
    if (begin(p, &err) != ERR_OK) {
        pipe_end(p, &err);
        return;
    }
    timer_start(p->opts.data->loop, &p->timer, PROGRESS_MS, on_tick);
}

static void deliver_cancel(struct mail *mail)
{
    struct restore_pipe *p = OWNER(mail, to_cancel);
    struct err err;

    if (p->late)
        too_slow(p, &err);
    else
        err_set(&err, ERR_CANCELLED, 0, "cancelled");
    pipe_end(p, &err);
}

static void set_up(struct restore_pipe *p)
{
    p->to_start.deliver = deliver_start;
    p->to_cancel.deliver = deliver_cancel;
    p->to_bye.deliver = deliver_bye;
    p->on_opened.deliver = deliver_opened;
    p->on_progress.deliver = deliver_progress;
    p->on_done.deliver = deliver_done;
    p->on_gone.deliver = deliver_gone;
}

enum err_code restore_pipe_start(const struct restore_pipe_opts *opts,
                                 struct restore_pipe **out, struct err *err)
{
    struct restore_pipe *p = calloc(1, sizeof(*p));

    if (!p)
        return err_set(err, ERR_NOMEM, 0, "restore");
    p->opts = *opts;
    vault_ref(opts->vault);
    place_ref(opts->place);
    if (opts->ticket)
        xenapi_ticket_hold(opts->ticket);
    p->disks = calloc(opts->disk_count + 1, sizeof(*p->disks));
    p->ova = malloc(opts->ova_len + 1);
    p->point_name = strdup(opts->point_name);
    p->job_id = strdup(opts->job_id);
    if (!p->disks || !p->ova || !p->point_name || !p->job_id) {
        pipe_free(p);
        return err_set(err, ERR_NOMEM, 0, "restore");
    }
    if (opts->disk_count)
        memcpy(p->disks, opts->disks, opts->disk_count * sizeof(*p->disks));
    if (opts->ova_len)
        memcpy(p->ova, opts->ova, opts->ova_len);
    p->opts.disks = p->disks;
    p->opts.ova = p->ova;
    p->opts.point_name = p->point_name;
    set_up(p);
    send_data(p, &p->to_start);
    *out = p;
    return ERR_OK;
}

void restore_pipe_cancel(struct restore_pipe *p)
{
    if (p->cancelled || p->over)
        return;
    p->cancelled = true;
    send_data(p, &p->to_cancel);
}

bool restore_pipe_is_over(const struct restore_pipe *p)
{
    return p->over;
}

uint64_t restore_pipe_data_bytes(const struct point *point)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < point->disks; i++) {
        const struct point_disk *d = &point->disk[i];
        struct map_reader r;
        struct map_run run;
        struct err err = {0};

        if (d->paged)
            continue;
        map_reader_init(&r, d->map, map_chunks(d->bytes, d->log2_chunk),
                        point->packs);
        while (map_next(&r, &run, &err))
            if (run.pack != MAP_ZERO)
                sum += (uint64_t)run.count << d->log2_chunk;
    }
    return sum;
}
