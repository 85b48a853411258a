/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_out.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zstd.h>

#include "base/clock.h"
#include "tests/sim/sim_mem.h"

#define OUT_BYTES (1u << 20)
#define NEVER UINT64_MAX

struct sim_out {
    struct sim_conn *conn;
    enum sim_out_compression compression;
    _Atomic enum sim_out_end end;
    atomic_ullong bytes;
    uint64_t cut_at, append_at, stall_at, stall_ms, rate, started_ms;
    ZSTD_CCtx *zstd;
    uint8_t *buf; /* zstd's or gzip's output */
    int to_gzip, from_gzip;
    pid_t gzip;
    pthread_t pump;
};

static uint64_t at_of(const struct sim_plan *plan, const char *name)
{
    const struct sim_hit *hit = sim_fault_planned(plan, name);

    return hit ? (uint64_t)sim_fault_int(hit, "after", 0) : NEVER;
}

/* ---- bytes of the body ---- */

static void pace(const struct sim_out *o)
{
    uint64_t due = o->started_ms + o->bytes * 1000 / o->rate;
    uint64_t now = clock_mono_ms(clock_system());

    if (due > now)
        sim_conn_stall(o->conn, due - now);
}

static bool stop(struct sim_out *o, enum sim_out_end why)
{
    if (o->end == SIM_OUT_GOING)
        o->end = why;
    return false;
}

static bool body_write(struct sim_out *o, const uint8_t *p, size_t len)
{
    while (len > 0) {
        uint64_t n = len, at = o->bytes;

        if (at == o->stall_at) {
            o->stall_at = NEVER;
            if (!sim_conn_stall(o->conn, o->stall_ms))
                return stop(o, SIM_OUT_GONE);
        }
        if (at >= o->cut_at)
            return stop(o, SIM_OUT_CUT);
        if (at >= o->append_at)
            return stop(o, SIM_OUT_APPEND);
        if (o->cut_at - at < n)
            n = o->cut_at - at;
        if (o->append_at - at < n)
            n = o->append_at - at;
        if (o->stall_at > at && o->stall_at - at < n)
            n = o->stall_at - at;
        if (o->rate && n > 16384)
            n = 16384;
        if (!sim_conn_write(o->conn, p, n))
            return stop(o, SIM_OUT_GONE);
        o->bytes += n;
        p += n;
        len -= n;
        if (o->rate)
            pace(o);
    }
    return true;
}

/* ---- zstd ---- */

static bool zstd_write(struct sim_out *o, const void *data, size_t len,
                       ZSTD_EndDirective mode)
{
    ZSTD_inBuffer in = {data, len, 0};
    size_t left;

    do {
        ZSTD_outBuffer out = {o->buf, OUT_BYTES, 0};

        left = ZSTD_compressStream2(o->zstd, &out, &in, mode);
        if (ZSTD_isError(left))
            return stop(o, SIM_OUT_GONE);
        if (out.pos > 0 && !body_write(o, o->buf, out.pos))
            return false;
    } while (mode == ZSTD_e_end ? left > 0 : in.pos < in.size);
    return true;
}

/* ---- gzip: the program itself, as XAPI does ---- */

extern char **environ;

static void *pump_thread(void *arg)
{
    struct sim_out *o = arg;
    bool ok = true;
    ssize_t n;

    while ((n = read(o->from_gzip, o->buf, OUT_BYTES)) > 0)
        if (ok)
            ok = body_write(o, o->buf, (size_t)n);
    return NULL;
}

static bool gzip_start(struct sim_out *o)
{
    static char *const argv[] = {(char *)"gzip", NULL};
    posix_spawn_file_actions_t actions;
    int in[2], out[2], rc;

    if (pipe2(in, O_CLOEXEC) != 0)
        return false;
    if (pipe2(out, O_CLOEXEC) != 0) {
        close(in[0]);
        close(in[1]);
        return false;
    }
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in[0], 0);
    posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    rc = posix_spawnp(&o->gzip, "gzip", &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(in[0]);
    close(out[1]);
    o->to_gzip = in[1];
    o->from_gzip = out[0];
    if (rc != 0)
        o->gzip = 0;
    return rc == 0 && pthread_create(&o->pump, NULL, pump_thread, o) == 0;
}

static bool gzip_write(struct sim_out *o, const uint8_t *p, size_t len)
{
    while (len > 0 && o->end == SIM_OUT_GOING) {
        ssize_t n = write(o->to_gzip, p, len);

        if (n <= 0)
            return stop(o, SIM_OUT_GONE);
        p += n;
        len -= (size_t)n;
    }
    return o->end == SIM_OUT_GOING;
}

static void gzip_finish(struct sim_out *o)
{
    if (!o->gzip)
        return;
    close(o->to_gzip);
    o->to_gzip = -1;
    pthread_join(o->pump, NULL);
    waitpid(o->gzip, NULL, 0);
    o->gzip = 0;
}

/* ---- the whole ---- */

struct sim_out *sim_out_new(struct sim_conn *conn,
                            enum sim_out_compression compression,
                            const struct sim_plan *plan)
{
    const struct sim_hit *stall = sim_fault_planned(plan, "export_stall");
    const struct sim_hit *slow = sim_fault_planned(plan, "export_slow");
    struct sim_out *o = sim_mem_new(sizeof(*o));

    o->conn = conn;
    o->compression = compression;
    o->cut_at = at_of(plan, "export_cut");
    o->append_at = at_of(plan, "export_append_500");
    o->stall_at = at_of(plan, "export_stall");
    if (stall)
        o->stall_ms = (uint64_t)sim_fault_int(stall, "ms", 0);
    if (slow)
        o->rate = (uint64_t)sim_fault_int(slow, "rate", 0);
    o->started_ms = clock_mono_ms(clock_system());
    o->to_gzip = o->from_gzip = -1;
    if (compression != SIM_OUT_PLAIN)
        o->buf = sim_mem_new(OUT_BYTES);
    if (compression == SIM_OUT_ZSTD)
        o->zstd = ZSTD_createCCtx();
    if (compression == SIM_OUT_GZIP && !gzip_start(o)) {
        sim_out_free(o);
        return NULL;
    }
    return o;
}

bool sim_out_write(struct sim_out *o, const void *data, size_t len)
{
    if (o->compression == SIM_OUT_ZSTD)
        return zstd_write(o, data, len, ZSTD_e_continue);
    if (o->compression == SIM_OUT_GZIP)
        return gzip_write(o, data, len);
    return body_write(o, data, len);
}

bool sim_out_finish(struct sim_out *o)
{
    if (o->compression == SIM_OUT_ZSTD)
        zstd_write(o, NULL, 0, ZSTD_e_end);
    gzip_finish(o);
    return o->end == SIM_OUT_GOING;
}

enum sim_out_end sim_out_ended(const struct sim_out *o)
{
    return o->end;
}

uint64_t sim_out_bytes(const struct sim_out *o)
{
    return o->bytes;
}

void sim_out_free(struct sim_out *o)
{
    if (!o)
        return;
    gzip_finish(o);
    if (o->from_gzip >= 0)
        close(o->from_gzip);
    if (o->to_gzip >= 0)
        close(o->to_gzip);
    ZSTD_freeCCtx(o->zstd);
    free(o->buf);
    free(o);
}
