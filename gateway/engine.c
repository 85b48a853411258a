/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "gateway/api.h"
#include "gateway/backlog.h"
#include "gateway/config_files.h"
#include "gateway/gates.h"
#include "gateway/history.h"
#include "gateway/jobs.h"
#include "gateway/pools.h"
#include "gateway/reconcile.h"
#include "gateway/state_dir.h"
#include "gateway/vaults.h"
#include "loop/timer.h"
#include "loop/work.h"

#define CATALOG_QUEUE 4096
#define INDEX_QUEUE 4096
#define SLOW_QUEUE 256
#define PARSE_QUEUE 256
#define STOP_MS 25000
#define LANE_WAIT_MS 2000
#define CONNECTIONS_PER_HOST 32
/* Free slabs that all data loops keep together, beyond `memory`: a stream's
 * parts, 51 MiB, and its chunks. A stream that waits for nothing holds few of
 * them; to clear fresh memory for it again and again costs a tenth of all CPU.
 */
#define PARTS_KEPT 3
#define CHUNKS_KEPT 16

/* The public part first: everybody else sees that alone. */
struct whole {
    struct engine e;
    struct api_backend backend;
    struct catalog *db;
    struct seal_key key;
    int lock_fd;
    unsigned running; /* data loops with a thread */
    struct slab_keep chunks_kept, parts_kept;
    bool stopping;
    unsigned closing; /* pools, vaults, history: still closing */
    struct timer deadline;
    uv_signal_t term, intr;
    bool signals;
};

#define WHOLE(engine) ((struct whole *)(void *)(engine))

struct data_loop *engine_data_take(struct engine *e)
{
    struct data_loop *best = &e->data[0];

    for (unsigned i = 1; i < e->data_count; i++)
        if (e->data[i].pipes < best->pipes)
            best = &e->data[i];
    best->pipes++;
    return best;
}

void engine_data_give(struct data_loop *d)
{
    d->pipes--;
}

/* --- making -------------------------------------------------------------- */

static enum err_code make_data_loop(struct whole *w, unsigned i,
                                    struct err *err)
{
    struct data_loop *d = &w->e.data[i];
    char name[16];

    snprintf(name, sizeof(name), "data-%u", i);
    if (loop_new(name, NULL, &d->loop, err) != ERR_OK ||
        http_client_new(d->loop, CONNECTIONS_PER_HOST, &d->client, err) !=
            ERR_OK)
        return err->code;
    d->chunks = slab_room_new(SESSION_CHUNK_SLAB, CHUNKS_KEPT);
    d->parts = slab_room_new(SESSION_PART_SLAB, PARTS_KEPT);
    d->delay = delay_new(d->loop);
    if (!d->chunks || !d->parts || !d->delay)
        return err_set(err, ERR_NOMEM, 0, "%s", name);
    slab_room_share(d->chunks, &w->chunks_kept);
    slab_room_share(d->parts, &w->parts_kept);
    return ERR_OK;
}

static enum err_code make_lanes(struct engine *e, struct err *err)
{
    const struct {
        const char *name;
        size_t queue;
        struct lane **out;
    } rows[] = {
        {"catalog", CATALOG_QUEUE, &e->catalog_lane},
        {"index", INDEX_QUEUE, &e->index_lane},
        {"slow", SLOW_QUEUE, &e->slow_lane},
        {"parse", PARSE_QUEUE, &e->parse_lane},
    };

    for (size_t i = 0; i < BYTES_COUNT(rows); i++)
        if (lane_new(rows[i].name, 1, rows[i].queue, rows[i].out, err) !=
            ERR_OK)
            return err->code;
    return ERR_OK;
}

static enum err_code make_catalog(struct whole *w, struct err *err)
{
    struct engine *e = &w->e;
    char path[4096];
    const struct catalog_opts o = {.path = path, .suite = e->suite,
                                   .gateway_key = e->key};

    snprintf(path, sizeof(path), "%s/catalog.db", e->state_dir);
    if (catalog_open(&o, &w->db, err) != ERR_OK)
        return err->code;
    return catalog_call_door_new(e->control, e->catalog_lane, w->db,
                                 &e->catalog, err);
}

/* Less free room than it may take is no error: others may give some back. */
static enum err_code make_spill(struct engine *e, struct err *err)
{
    const struct config *c = e->config;
    const struct spill_opts o = {
        .folder = c->spill, .bytes = c->spill_bytes, .loop = e->control};
    uint64_t room = 0;

    if (spill_look(c->spill, &room, err) != ERR_OK ||
        spill_new(&o, &e->spill, err) != ERR_OK)
        return err->code;
    log_event(room < c->spill_bytes ? LOG_WARN : LOG_INFO, "spill",
              log_text("folder", c->spill), log_u64("bytes", c->spill_bytes),
              log_u64("free", room), LOG_END);
    return ERR_OK;
}

static enum err_code make_parts(struct whole *w, struct err *err)
{
    struct engine *e = &w->e;
    const struct config *c = e->config;
    unsigned n = c->data_loops ? (unsigned)c->data_loops : e->workers;

    if (seal_suite_new(&e->suite, err) != ERR_OK ||
        loop_new("control", NULL, &e->control, err) != ERR_OK ||
        http_client_new(e->control, CONNECTIONS_PER_HOST, &e->client, err) !=
            ERR_OK ||
        make_lanes(e, err) != ERR_OK)
        return err->code;
    e->started_ms = clock_mono_ms(loop_clock(e->control));
    e->budget = budget_new(c->memory - config_spill_tables(c),
                           SESSION_FLOOR_BYTES);
    e->tools = session_tools_new(e->suite, e->workers);
    e->gates = gates_new(e->control);
    e->backlog = backlog_new(e);
    e->data = calloc(n, sizeof(*e->data));
    if (!e->budget || !e->tools || !e->gates || !e->backlog || !e->data)
        return err_set(err, ERR_NOMEM, 0, "engine");
    if (c->spill[0] && make_spill(e, err) != ERR_OK)
        return err->code;
    w->chunks_kept.max = CHUNKS_KEPT;
    w->parts_kept.max = PARTS_KEPT;
    e->data_count = n;
    for (unsigned i = 0; i < n; i++)
        if (make_data_loop(w, i, err) != ERR_OK)
            return err->code;
    return make_catalog(w, err);
}

static enum err_code open_doors(struct whole *w, struct err *err)
{
    const struct config *c = w->e.config;
    struct api_listen local = {.unix_path = c->socket};
    struct api_listen tls = {.address = c->listen};
    char *cert = NULL, *key = NULL;
    enum err_code rc;

    if (api_open(w->e.api, &local, err) != ERR_OK)
        return err_context(err, "control socket %s", c->socket);
    if (!*c->listen)
        return ERR_OK;
    rc = state_dir_read(c->listen_cert, CONFIG_FILES_PEM_MAX, &cert, err);
    if (rc == ERR_OK)
        rc = state_dir_read(c->listen_key, CONFIG_FILES_PEM_MAX, &key, err);
    if (rc == ERR_OK) {
        tls.cert_pem = cert;
        tls.key_pem = key;
        rc = api_open(w->e.api, &tls, err);
        if (rc != ERR_OK)
            err_context(err, "listen %s", c->listen);
    }
    if (key)
        bytes_wipe(key, strlen(key));
    free(cert);
    free(key);
    return rc;
}

static enum err_code make_rooms(struct whole *w, struct err *err)
{
    struct engine *e = &w->e;
    const struct api_opts api = {
        .loop = e->control,
        .catalog = e->catalog,
        .backend = &w->backend,
        .gateway = e->gateway,
    };

    if (pools_new(e, &e->pools, err) != ERR_OK ||
        vaults_new(e, &e->vaults, err) != ERR_OK ||
        jobs_new(e, &e->jobs, err) != ERR_OK ||
        history_new(e, &e->history, err) != ERR_OK ||
        reconcile_new(e, &e->reconcile, err) != ERR_OK)
        return err->code;
    w->backend.ctx = e;
    pools_backend(&w->backend);
    vaults_backend(&w->backend);
    jobs_backend(&w->backend);
    return api_new(&api, &e->api, err);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct whole *w = handle->data;

    log_event(LOG_INFO, "stopping", log_i64("signal", number), LOG_END);
    engine_stop(&w->e);
}

static void watch_signals(struct whole *w)
{
    uv_signal_init(loop_uv(w->e.control), &w->term);
    uv_signal_init(loop_uv(w->e.control), &w->intr);
    w->term.data = w->intr.data = w;
    uv_signal_start(&w->term, on_signal, SIGTERM);
    uv_signal_start(&w->intr, on_signal, SIGINT);
    w->signals = true;
}

static void on_resumed(void *ctx, const struct err *err)
{
    struct whole *w = ctx;

    if (err->code != ERR_OK)
        log_event(LOG_ERROR, "jobs_not_taken_up", log_err(err), LOG_END);
    log_event(LOG_INFO, "ready", log_text("gateway", w->e.gateway),
              log_text("socket", w->e.config->socket),
              log_u64("port", api_port(w->e.api, 1)),
              log_u64("memory", w->e.config->memory),
              log_text("version", CAIRN_VERSION), LOG_END);
}

static void on_places_known(void *ctx, const struct err *err)
{
    struct whole *w = ctx;

    if (err->code != ERR_OK)
        log_event(LOG_ERROR, "not_tidied", log_err(err), LOG_END);
    if (!w->stopping)
        jobs_resume(w->e.jobs, on_resumed, w);
}

enum err_code engine_start(const struct config *config, struct engine **out,
                           struct err *err)
{
    struct whole *w = calloc(1, sizeof(*w));
    struct engine *e = &w->e;

    if (!w)
        return err_set(err, ERR_NOMEM, 0, "engine");
    w->lock_fd = -1;
    e->key = &w->key;
    e->config = config;
    e->gateway = config->gateway;
    e->state_dir = config->state;
    e->workers = work_setup();
    if (state_dir_open(config->state, &w->lock_fd, err) != ERR_OK ||
        state_dir_key(config->gateway_key, &w->key, err) != ERR_OK ||
        make_parts(w, err) != ERR_OK || make_rooms(w, err) != ERR_OK ||
        open_doors(w, err) != ERR_OK)
        goto failed;
    for (; w->running < e->data_count; w->running++)
        if (loop_start_thread(e->data[w->running].loop, err) != ERR_OK)
            goto failed;
    watch_signals(w);
    reconcile_start(e->reconcile, on_places_known, w);
    *out = e;
    return ERR_OK;
failed:
    engine_free(e);
    return err->code;
}

void engine_run(struct engine *e)
{
    loop_run(e->control);
}

/* --- the end ------------------------------------------------------------- */

static void on_deadline(struct timer *t)
{
    log_event(LOG_ERROR, "stop_took_too_long", log_u64("ms", STOP_MS), LOG_END);
    _exit(1);
}

static void closed_one(void *ctx)
{
    struct whole *w = ctx;

    if (--w->closing == 0)
        loop_stop(w->e.control);
}

static void on_tidying_stopped(void *ctx)
{
    struct whole *w = ctx;

    w->closing = 3;
    pools_close(w->e.pools, closed_one, w);
    vaults_close(w->e.vaults, closed_one, w);
    history_close(w->e.history, closed_one, w);
}

static void on_jobs_stopped(void *ctx)
{
    struct whole *w = ctx;

    reconcile_stop(w->e.reconcile, on_tidying_stopped, w);
}

static void on_api_closed(void *ctx)
{
    struct whole *w = ctx;

    jobs_stop(w->e.jobs, on_jobs_stopped, w);
}

void engine_stop(struct engine *e)
{
    struct whole *w = WHOLE(e);

    if (w->stopping)
        return;
    w->stopping = true;
    timer_start(e->control, &w->deadline, STOP_MS, on_deadline);
    /* Calls may wait for jobs, or for a store that does not answer. */
    jobs_stop(e->jobs, NULL, NULL);
    api_close(e->api, on_api_closed, w);
}

static void free_data_loop(struct data_loop *d)
{
    http_client_free(d->client);
    delay_free(d->delay);
    slab_room_free(d->chunks);
    slab_room_free(d->parts);
    if (d->loop)
        loop_free(d->loop);
}

void engine_free(struct engine *e)
{
    struct whole *w = WHOLE(e);
    bool hung = false;

    if (!e)
        return;
    for (unsigned i = 0; i < w->running; i++)
        loop_stop(e->data[i].loop);
    for (unsigned i = 0; i < w->running; i++)
        loop_join(e->data[i].loop);
    api_free(e->api);
    reconcile_free(e->reconcile);
    jobs_free(e->jobs);
    history_free(e->history);
    gates_free(e->gates);
    backlog_free(e->backlog);
    catalog_call_door_free(e->catalog);
    for (unsigned i = 0; i < e->data_count; i++)
        free_data_loop(&e->data[i]);
    free(e->data);
    if (e->catalog_lane)
        hung |= !lane_free(e->catalog_lane, LANE_WAIT_MS);
    if (e->index_lane)
        hung |= !lane_free(e->index_lane, LANE_WAIT_MS);
    if (e->slow_lane)
        hung |= !lane_free(e->slow_lane, LANE_WAIT_MS);
    if (e->parse_lane)
        hung |= !lane_free(e->parse_lane, LANE_WAIT_MS);
    if (e->spill)
        hung |= !spill_stop(e->spill, LANE_WAIT_MS);
    if (hung)
        _exit(1);
    catalog_close(w->db);
    session_tools_free(e->tools);
    budget_free(e->budget);
    timer_stop(&w->deadline);
    http_client_free(e->client);
    if (w->signals) {
        uv_close((uv_handle_t *)&w->term, NULL);
        uv_close((uv_handle_t *)&w->intr, NULL);
    }
    if (e->control)
        loop_free(e->control);
    spill_free(e->spill);
    seal_suite_free(e->suite);
    bytes_wipe(&w->key, sizeof(w->key));
    if (w->lock_fd >= 0)
        close(w->lock_fd);
    free(w);
}
