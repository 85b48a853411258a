/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_in.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zstd.h>

#include "base/clock.h"
#include "base/parse.h"
#include "tests/sim/sim_mem.h"

#define RAW_BYTES (256u << 10)
#define NEVER UINT64_MAX
#define LONG_NAME_MAX 65536

struct sim_in {
    struct sim_conn *conn;
    _Atomic enum sim_in_end end;
    atomic_ullong bytes;
    uint64_t length; /* NEVER: until the end */
    uint64_t cut_at, fail_at, vanish_at, stall_at, stall_ms, rate, started_ms;
    enum { UNKNOWN, PLAIN, ZSTD, GZIP } mode;
    uint8_t head[SIM_XVA_BLOCK]; /* looked at to find out the mode */
    size_t head_at, head_len;
    ZSTD_DCtx *zstd;
    uint8_t *raw;
    ZSTD_inBuffer raw_in;
    int to_gzip, from_gzip;
    pid_t gzip;
    pthread_t feed;
};

static uint64_t at_of(const struct sim_plan *plan, const char *name)
{
    const struct sim_hit *hit = sim_fault_planned(plan, name);

    return hit ? (uint64_t)sim_fault_int(hit, "after", 0) : NEVER;
}

static bool stop(struct sim_in *in, enum sim_in_end why)
{
    if (in->end == SIM_IN_GOING)
        in->end = why;
    return false;
}

/* ---- bytes of the body ---- */

static void pace(const struct sim_in *in)
{
    uint64_t due = in->started_ms + in->bytes * 1000 / in->rate;
    uint64_t now = clock_mono_ms(clock_system());

    if (due > now)
        sim_pool_sleep(due - now);
}

/* How much may be read up to the next thing that happens; 0: it stopped. */
static size_t allowance(struct sim_in *in, size_t len)
{
    const uint64_t marks[] = {in->length, in->cut_at, in->fail_at,
                              in->vanish_at, in->stall_at};
    uint64_t at = in->bytes, n = len;

    if (at >= in->cut_at)
        return stop(in, SIM_IN_CUT);
    if (at >= in->fail_at)
        return stop(in, SIM_IN_FAIL);
    if (at >= in->vanish_at)
        return stop(in, SIM_IN_VANISH);
    if (at >= in->length)
        return stop(in, SIM_IN_EOF);
    if (at >= in->stall_at) {
        in->stall_at = NEVER;
        if (!sim_conn_stall(in->conn, in->stall_ms))
            return stop(in, SIM_IN_EOF);
    }
    for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++)
        if (marks[i] > at && marks[i] - at < n)
            n = marks[i] - at;
    return in->rate && n > 16384 ? 16384 : (size_t)n;
}

/* Some bytes; 0: it stopped. */
static size_t body_some(struct sim_in *in, uint8_t *p, size_t len)
{
    size_t may = allowance(in, len);
    ssize_t n;

    if (may == 0)
        return 0;
    n = sim_conn_read(in->conn, p, may);
    if (n <= 0)
        return stop(in, SIM_IN_EOF);
    in->bytes += (size_t)n;
    if (in->rate)
        pace(in);
    return (size_t)n;
}

static bool body_full(struct sim_in *in, uint8_t *p, size_t len)
{
    while (len > 0) {
        size_t n = body_some(in, p, len);

        if (n == 0)
            return false;
        p += n;
        len -= n;
    }
    return true;
}

/* ---- what was looked at first, then the rest ---- */

static size_t raw_some(struct sim_in *in, uint8_t *p, size_t len)
{
    size_t left = in->head_len - in->head_at;

    if (left == 0)
        return body_some(in, p, len);
    if (len > left)
        len = left;
    memcpy(p, in->head + in->head_at, len);
    in->head_at += len;
    return len;
}

static bool zstd_read(struct sim_in *in, uint8_t *p, size_t len)
{
    ZSTD_outBuffer out = {p, len, 0};

    while (out.pos < out.size) {
        size_t rc;

        if (in->raw_in.pos == in->raw_in.size) {
            in->raw_in.pos = 0;
            in->raw_in.size = raw_some(in, in->raw, RAW_BYTES);
            if (in->raw_in.size == 0)
                return false;
        }
        rc = ZSTD_decompressStream(in->zstd, &out, &in->raw_in);
        if (ZSTD_isError(rc))
            return stop(in, SIM_IN_BAD);
    }
    return true;
}

/* ---- gunzip: the program itself, as XAPI does ---- */

extern char **environ;

static void *feed_thread(void *arg)
{
    struct sim_in *in = arg;
    size_t n;

    while ((n = raw_some(in, in->raw, RAW_BYTES)) > 0) {
        uint8_t *p = in->raw;
        ssize_t put = 0;

        for (; n > 0 && put >= 0; n -= (size_t)put, p += put)
            put = write(in->to_gzip, p, n);
        if (put < 0)
            break;
    }
    close(in->to_gzip);
    return NULL;
}

static bool gzip_start(struct sim_in *in)
{
    static char *const argv[] = {(char *)"gzip", (char *)"-dc", NULL};
    posix_spawn_file_actions_t actions;
    int to[2], from[2], rc;

    if (pipe2(to, O_CLOEXEC) != 0)
        return false;
    if (pipe2(from, O_CLOEXEC) != 0) {
        close(to[0]);
        close(to[1]);
        return false;
    }
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, to[0], 0);
    posix_spawn_file_actions_adddup2(&actions, from[1], 1);
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    rc = posix_spawnp(&in->gzip, "gzip", &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(to[0]);
    close(from[1]);
    in->to_gzip = to[1];
    in->from_gzip = from[0];
    if (rc == 0 && pthread_create(&in->feed, NULL, feed_thread, in) == 0)
        return true;
    close(to[1]);
    if (rc == 0)
        waitpid(in->gzip, NULL, 0);
    in->gzip = 0;
    return false;
}

static bool gzip_read(struct sim_in *in, uint8_t *p, size_t len)
{
    while (len > 0) {
        ssize_t n = read(in->from_gzip, p, len);

        if (n <= 0)
            return stop(in, in->bytes < in->length ? SIM_IN_BAD : SIM_IN_EOF);
        p += n;
        len -= (size_t)n;
    }
    return true;
}

static void gzip_stop(struct sim_in *in)
{
    if (!in->gzip)
        return;
    close(in->from_gzip);
    sim_conn_kick(in->conn); /* the thread may wait for the client */
    pthread_join(in->feed, NULL);
    waitpid(in->gzip, NULL, 0);
    in->gzip = 0;
}

/* ---- the whole ---- */

/* A tar header, or zstd's magic, or gzip. */
static bool find_mode(struct sim_in *in)
{
    static const uint8_t magic[4] = {0x28, 0xb5, 0x2f, 0xfd};
    struct sim_xva_entry entry;
    size_t got = 0;

    while (got < sizeof(in->head)) {
        size_t n = body_some(in, in->head + got, sizeof(in->head) - got);

        if (n == 0)
            break;
        got += n;
    }
    in->head_len = got;
    if (got == sizeof(in->head) && sim_xva_parse(in->head, &entry)) {
        in->mode = PLAIN;
        return true;
    }
    if (got < sizeof(magic))
        return stop(in, SIM_IN_EOF);
    if (in->end == SIM_IN_EOF)
        in->end = SIM_IN_GOING; /* a short body, all of it in hand */
    in->raw = sim_mem_new(RAW_BYTES);
    if (memcmp(in->head, magic, sizeof(magic)) == 0) {
        in->mode = ZSTD;
        in->zstd = ZSTD_createDCtx();
        in->raw_in.src = in->raw;
        return true;
    }
    in->mode = GZIP;
    return gzip_start(in) || stop(in, SIM_IN_BAD);
}

struct sim_in *sim_in_new(struct sim_conn *conn, bool has_length,
                          uint64_t length, const struct sim_plan *plan)
{
    const struct sim_hit *stall = sim_fault_planned(plan, "import_stall");
    const struct sim_hit *slow = sim_fault_planned(plan, "import_slow");
    struct sim_in *in = sim_mem_new(sizeof(*in));

    in->conn = conn;
    in->length = has_length ? length : NEVER;
    in->cut_at = at_of(plan, "import_cut");
    in->fail_at = at_of(plan, "import_fail");
    in->vanish_at = at_of(plan, "import_vanish");
    in->stall_at = at_of(plan, "import_stall");
    if (stall)
        in->stall_ms = (uint64_t)sim_fault_int(stall, "ms", 0);
    if (slow)
        in->rate = (uint64_t)sim_fault_int(slow, "rate", 0);
    in->started_ms = clock_mono_ms(clock_system());
    return in;
}

bool sim_in_read(struct sim_in *in, void *buf, size_t len)
{
    uint8_t *p = buf;

    if (in->mode == UNKNOWN && !find_mode(in))
        return false;
    if (in->mode == ZSTD)
        return zstd_read(in, p, len);
    if (in->mode == GZIP)
        return gzip_read(in, p, len);
    while (len > 0 && in->head_at < in->head_len) {
        size_t n = raw_some(in, p, len);

        p += n;
        len -= n;
    }
    return body_full(in, p, len);
}

bool sim_in_skip(struct sim_in *in, uint64_t len)
{
    uint8_t waste[4096];

    while (len > 0) {
        size_t n = len < sizeof(waste) ? (size_t)len : sizeof(waste);

        if (!sim_in_read(in, waste, n))
            return false;
        len -= n;
    }
    return true;
}

/* "17 path=some/name\n20 size=123\n..." */
static void read_pax(const char *text, size_t len, struct sim_xva_entry *more)
{
    const char *p = text, *end = text + len;

    while (p < end) {
        char *key;
        unsigned long n = strtoul(p, &key, 10);
        const char *value;

        if (n < 4 || n > (size_t)(end - p) || *key != ' ' ||
            !(value = memchr(key, '=', (size_t)(p + n - key))))
            return;
        value++;
        if (strncmp(key, " path=", 6) == 0)
            snprintf(more->name, sizeof(more->name), "%.*s",
                     (int)(p + n - 1 - value), value);
        else if (strncmp(key, " size=", 6) == 0)
            parse_u64_n(value, (size_t)(p + n - 1 - value), 0, UINT64_MAX,
                        &more->size);
        p += n;
    }
}

/* What a 'x' (pax) or 'L' (GNU) entry says of the next one. */
static bool read_more(struct sim_in *in, const struct sim_xva_entry *entry,
                      struct sim_xva_entry *more)
{
    char *text;
    bool ok;

    if (entry->size > LONG_NAME_MAX)
        return stop(in, SIM_IN_BAD);
    text = sim_mem_new(sim_xva_padded(entry->size) + 1);
    ok = sim_in_read(in, text, sim_xva_padded(entry->size));
    if (ok && entry->type == 'L')
        snprintf(more->name, sizeof(more->name), "%s", text);
    else if (ok && entry->type == 'x')
        read_pax(text, entry->size, more);
    free(text);
    return ok;
}

bool sim_in_entry(struct sim_in *in, struct sim_xva_entry *out)
{
    struct sim_xva_entry more = {.size = NEVER};
    uint8_t block[SIM_XVA_BLOCK];

    for (;;) {
        if (!sim_in_read(in, block, sizeof(block)))
            return false;
        if (!sim_xva_parse(block, out))
            return stop(in, SIM_IN_BAD);
        if (out->type != 'x' && out->type != 'g' && out->type != 'L')
            break;
        if (!read_more(in, out, &more))
            return false;
    }
    if (*more.name)
        memcpy(out->name, more.name, sizeof(out->name));
    if (more.size != NEVER)
        out->size = more.size;
    return true;
}

enum sim_in_end sim_in_ended(const struct sim_in *in)
{
    return in->end;
}

uint64_t sim_in_bytes(const struct sim_in *in)
{
    return in->bytes;
}

void sim_in_free(struct sim_in *in)
{
    if (!in)
        return;
    gzip_stop(in);
    ZSTD_freeDCtx(in->zstd);
    free(in->raw);
    free(in);
}
