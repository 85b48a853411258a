/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3tool - store_s3 from the command line, for tests against real servers.
 *
 *   s3tool --endpoint E --bucket B --credentials F [options] COMMAND ARGS...
 *
 * One JSON object on standard output tells how it went: code, error, and what
 * the store said and counted. The exit status is 0 whatever the outcome; 2
 * for a command line that makes no sense.
 */
#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/xml.h"
#include "crypto/seal_suite.h"
#include "loop/timer.h"
#include "loop/work.h"
#include "net/http_client.h"
#include "store/store_s3.h"

#define PARTS_AT_ONCE 4
#define SLICES 3

struct tool {
    struct loop *loop;
    struct http_client *http;
    struct store *store;
    struct json *out;
    struct json *names; /* of a listing */
    struct err err;
    struct store_info info;
    unsigned pending;
    struct store_write write;
    /* a file to be sent */
    const uint8_t *file;
    size_t file_bytes;
    struct slice slices[SLICES];
    struct store_upload *upload;
    unsigned next_part, parts, parts_busy;
    bool leave_open, abort_it;
    /* what is read */
    int fd;
    uint64_t got;
    unsigned pieces, pause_every;
    bool refused;
    struct store_op *op;
    struct timer timer;
};

static void die(const char *why)
{
    fprintf(stderr, "s3tool: %s\n", why);
    exit(2);
}

static void over(struct tool *t)
{
    if (--t->pending == 0)
        loop_stop(t->loop);
}

/* A call that failed at once ends like one that failed later. */
static void begun(struct tool *t, enum err_code rc)
{
    if (rc == ERR_OK)
        t->pending++;
}

static void on_done(void *ctx, const struct err *err,
                    const struct store_info *info)
{
    struct tool *t = ctx;

    err_keep(&t->err, err);
    if (err->code == ERR_OK)
        t->info = *info;
    over(t);
}

static void map_file(struct tool *t, const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY);

    if (fd < 0 || fstat(fd, &st) < 0)
        die(path);
    t->file_bytes = (size_t)st.st_size;
    t->file = (const uint8_t *)"";
    if (t->file_bytes) {
        t->file = mmap(NULL, t->file_bytes, PROT_READ, MAP_PRIVATE, fd, 0);
        if (t->file == MAP_FAILED)
            die(path);
    }
    close(fd);
}

/* Unequal slices, so that their seams lie anywhere. */
static void cut(struct slice out[SLICES], const uint8_t *data, size_t len)
{
    size_t a = len / 3, b = len / 2;

    out[0] = (struct slice){data, a};
    out[1] = (struct slice){data + a, b - a};
    out[2] = (struct slice){data + b, len - b};
}

/* ---- put, head, remove, retain ---- */

static void run_put(struct tool *t, char **args)
{
    struct store_put_opts o = {.name = args[0],
                               .body = t->slices,
                               .slices = SLICES,
                               .write = t->write,
                               .done = on_done,
                               .ctx = t};

    map_file(t, args[1]);
    cut(t->slices, t->file, t->file_bytes);
    begun(t, store_put(t->store, &o, &t->op, &t->err));
}

/* COUNT puts of the file at once, as NAME0, NAME1, ... */
static void run_puts(struct tool *t, char **args)
{
    struct store_put_opts o = {.body = t->slices,
                               .slices = SLICES,
                               .write = t->write,
                               .done = on_done,
                               .ctx = t};
    char name[STORE_NAME_MAX];
    uint64_t count;

    if (!parse_u64(args[2], 1, 100000, &count))
        die("puts NAME FILE COUNT");
    map_file(t, args[1]);
    cut(t->slices, t->file, t->file_bytes);
    o.name = name;
    for (uint64_t i = 0; i < count; i++) {
        snprintf(name, sizeof(name), "%.100s%05u", args[0], (unsigned)i);
        begun(t, store_put(t->store, &o, NULL, &t->err));
    }
}

static void run_head(struct tool *t, char **args)
{
    struct store_name_opts o = {args[0], on_done, t};

    begun(t, store_head(t->store, &o, &t->op, &t->err));
}

static void run_remove(struct tool *t, char **args)
{
    struct store_name_opts o = {args[0], on_done, t};

    begun(t, store_remove(t->store, &o, &t->op, &t->err));
}

static void run_retain(struct tool *t, char **args)
{
    struct store_retain_opts o = {.name = args[0],
                                  .version = *args[1] ? args[1] : NULL,
                                  .lock = t->write.lock,
                                  .retain_until_ms = t->write.retain_until_ms,
                                  .done = on_done,
                                  .ctx = t};

    begun(t, store_retain(t->store, &o, &t->op, &t->err));
}

/* ---- get ---- */

static void on_info(void *ctx, const struct store_info *info)
{
    struct tool *t = ctx;

    json_set_int(t->out, "whole", (int64_t)info->bytes);
}

static void on_resume(struct timer *timer)
{
    struct tool *t =
        (struct tool *)((char *)timer - offsetof(struct tool, timer));

    store_op_resume(t->op);
}

static bool on_data(void *ctx, const uint8_t *data, size_t len)
{
    struct tool *t = ctx;

    if (t->pause_every && !t->refused && ++t->pieces % t->pause_every == 0) {
        t->refused = true;
        timer_start(t->loop, &t->timer, 20, on_resume);
        return false;
    }
    t->refused = false;
    if (write(t->fd, data, len) != (ssize_t)len)
        die("writing");
    t->got += len;
    return true;
}

/* get NAME FILE [OFFSET LENGTH | -LAST] */
static void run_get(struct tool *t, char **args)
{
    struct store_get_opts o = {.name = args[0],
                               .on_info = on_info,
                               .on_data = on_data,
                               .done = on_done,
                               .ctx = t};
    bool ok = true;

    t->fd = open(args[1], O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (t->fd < 0)
        die(args[1]);
    if (args[2] && args[2][0] == '-')
        ok = parse_u64(args[2] + 1, 1, INT64_MAX, &o.range.from_end);
    else if (args[2])
        ok = parse_u64(args[2], 0, INT64_MAX, &o.range.offset) &&
             (!args[3] || parse_u64(args[3], 0, INT64_MAX, &o.range.length));
    if (!ok)
        die("get NAME FILE [OFFSET LENGTH | -LAST]");
    begun(t, store_get(t->store, &o, &t->op, &t->err));
}

/* ---- listings ---- */

static bool on_entry(void *ctx, const struct store_entry *e)
{
    struct tool *t = ctx;
    struct json *row = json_new_array();

    json_append(row, json_new_text(e->name));
    json_append(row, json_new_int((int64_t)e->bytes));
    return json_append(t->names, row);
}

static bool on_upload(void *ctx, const struct store_upload_entry *e)
{
    struct tool *t = ctx;
    struct json *row = json_new_array();

    json_append(row, json_new_text(e->name));
    json_append(row, json_new_text(e->id));
    return json_append(t->names, row);
}

static void run_list(struct tool *t, char **args)
{
    struct store_list_opts o = {.prefix = args[0],
                                .start_after = args[1],
                                .on_entry = on_entry,
                                .done = on_done,
                                .ctx = t};

    t->names = json_new_array();
    begun(t, store_list(t->store, &o, &t->op, &t->err));
}

static void run_uploads(struct tool *t, char **args)
{
    struct store_list_uploads_opts o = {
        .prefix = args[0], .on_upload = on_upload, .done = on_done, .ctx = t};

    t->names = json_new_array();
    begun(t, store_list_uploads(t->store, &o, &t->op, &t->err));
}

static void run_abort(struct tool *t, char **args)
{
    begun(t, store_upload_abort_by_id(t->store, args[0], args[1], on_done, t,
                                      &t->op, &t->err));
}

/* ---- upload ---- */

static void on_part(void *ctx, const struct err *err,
                    const struct store_info *info);

static void end_upload(struct tool *t)
{
    if (t->leave_open && t->err.code == ERR_OK)
        return;
    if (t->err.code == ERR_OK && !t->abort_it) {
        begun(t, store_upload_complete(t->upload, on_done, t, NULL, &t->err));
        return;
    }
    begun(t, store_upload_abort(t->upload, on_done, t, NULL, &t->err));
}

static void next_part(struct tool *t)
{
    size_t at = (size_t)t->next_part * STORE_PART_BYTES;
    size_t len = t->file_bytes - at;
    struct slice body[SLICES];
    struct store_part_opts o = {
        .body = body, .slices = SLICES, .done = on_part, .ctx = t};

    if (len > STORE_PART_BYTES)
        len = STORE_PART_BYTES;
    cut(body, t->file + at, len);
    o.number = ++t->next_part;
    if (store_upload_part(t->upload, &o, NULL, &t->err) == ERR_OK)
        t->parts_busy++;
}

static void on_part(void *ctx, const struct err *err,
                    const struct store_info *info)
{
    struct tool *t = ctx;

    err_keep(&t->err, err);
    t->parts_busy--;
    if (t->err.code == ERR_OK && t->next_part < t->parts)
        next_part(t);
    if (t->parts_busy)
        return;
    end_upload(t);
    over(t);
}

static void on_created(void *ctx, const struct err *err,
                       struct store_upload *up)
{
    struct tool *t = ctx;

    err_keep(&t->err, err);
    t->upload = up;
    if (up)
        json_set_text(t->out, "upload", store_upload_id(up));
    for (unsigned i = 0; up && i < PARTS_AT_ONCE && t->next_part < t->parts;
         i++)
        next_part(t);
    if (!t->parts_busy)
        over(t);
}

/* upload NAME FILE; left open or aborted by option */
static void run_upload(struct tool *t, char **args)
{
    struct store_upload_opts o = {
        .name = args[0], .write = t->write, .created = on_created, .ctx = t};

    map_file(t, args[1]);
    t->parts =
        (unsigned)((t->file_bytes + STORE_PART_BYTES - 1) / STORE_PART_BYTES);
    if (!t->parts)
        t->parts = 1;
    begun(t, store_upload_create(t->store, &o, &t->op, &t->err));
}

/* ---- probe ---- */

static void on_probed(void *ctx, const struct err *err,
                      const struct store_traits *tr)
{
    struct tool *t = ctx;

    err_keep(&t->err, err);
    json_set_bool(t->out, "if_absent", tr->if_absent);
    json_set_bool(t->out, "lists_at_once", tr->lists_at_once);
    json_set_bool(t->out, "lock_on_put", tr->lock_on_put);
    json_set_bool(t->out, "lock_on_create", tr->lock_on_create);
    json_set_bool(t->out, "lock_by_call", tr->lock_by_call);
    json_set_bool(t->out, "versioned", tr->versioned);
    over(t);
}

static void run_probe(struct tool *t, char **args)
{
    begun(t, store_s3_probe(t->store, t->write.lock, on_probed, t, &t->err));
}

/* ---- the command line ---- */

static const struct {
    const char *name;
    int least, most;
    void (*run)(struct tool *t, char **args);
} commands[] = {
    {"put", 2, 2, run_put},       {"puts", 3, 3, run_puts},
    {"get", 2, 4, run_get},       {"head", 1, 1, run_head},
    {"remove", 1, 1, run_remove}, {"retain", 2, 2, run_retain},
    {"list", 1, 2, run_list},     {"uploads", 1, 1, run_uploads},
    {"abort", 2, 2, run_abort},   {"upload", 2, 2, run_upload},
    {"probe", 0, 0, run_probe},
};

enum option_id {
    OPT_ENDPOINT = 1,
    OPT_BUCKET,
    OPT_PREFIX,
    OPT_REGION,
    OPT_CREDENTIALS,
    OPT_CA,
    OPT_CONNECT_TO,
    OPT_HOST_STYLE,
    OPT_UNSIGNED,
    OPT_CHECKSUMS,
    OPT_IF_ABSENT,
    OPT_CLASS,
    OPT_LOCK,
    OPT_UNTIL,
    OPT_AT_ONCE,
    OPT_TRIES,
    OPT_RETRY_MS,
    OPT_TIMEOUT_MS,
    OPT_PAUSE_EVERY,
    OPT_LEAVE_OPEN,
    OPT_ABORT,
    OPT_CLOCK,
    OPT_VERBOSE
};

static const struct option options[] = {
    {"endpoint", 1, NULL, OPT_ENDPOINT},
    {"bucket", 1, NULL, OPT_BUCKET},
    {"prefix", 1, NULL, OPT_PREFIX},
    {"region", 1, NULL, OPT_REGION},
    {"credentials", 1, NULL, OPT_CREDENTIALS},
    {"ca", 1, NULL, OPT_CA},
    {"connect-to", 1, NULL, OPT_CONNECT_TO},
    {"host-style", 0, NULL, OPT_HOST_STYLE},
    {"unsigned", 0, NULL, OPT_UNSIGNED},
    {"checksums", 0, NULL, OPT_CHECKSUMS},
    {"if-absent", 0, NULL, OPT_IF_ABSENT},
    {"class", 1, NULL, OPT_CLASS},
    {"lock", 1, NULL, OPT_LOCK},
    {"until", 1, NULL, OPT_UNTIL}, /* seconds since 1970 */
    {"at-once", 1, NULL, OPT_AT_ONCE},
    {"tries", 1, NULL, OPT_TRIES},
    {"retry-ms", 1, NULL, OPT_RETRY_MS},
    {"timeout-ms", 1, NULL, OPT_TIMEOUT_MS},
    {"pause-every", 1, NULL, OPT_PAUSE_EVERY},
    {"leave-open", 0, NULL, OPT_LEAVE_OPEN},
    {"abort", 0, NULL, OPT_ABORT},
    {"clock", 1, NULL, OPT_CLOCK}, /* seconds that ours is behind */
    {"verbose", 0, NULL, OPT_VERBOSE},
    {NULL, 0, NULL, 0},
};

struct settings {
    struct store_s3_opts s3;
    struct s3_credentials credentials;
    struct seal_suite *suite;
    uint64_t behind_s;
};

static uint64_t number(const char *text)
{
    uint64_t n;

    if (!parse_u64(text, 0, INT64_MAX, &n))
        die(text);
    return n;
}

static void read_ca(const char *path, struct settings *s)
{
    char pem[16384];
    struct err err;
    ssize_t n;
    int fd = open(path, O_RDONLY);

    n = fd < 0 ? -1 : read(fd, pem, sizeof(pem) - 1);
    if (n < 0)
        die(path);
    close(fd);
    pem[n] = 0;
    if (http_trust_ca(pem, &s->s3.client.trust, &err) != ERR_OK)
        die(err.text);
}

static void take_option(struct tool *t, struct settings *s, int id)
{
    struct s3_client_opts *c = &s->s3.client;
    struct err err;

    switch (id) {
    case OPT_ENDPOINT:
        c->endpoint = optarg;
        break;
    case OPT_BUCKET:
        c->bucket = optarg;
        break;
    case OPT_PREFIX:
        s->s3.prefix = optarg;
        break;
    case OPT_REGION:
        c->region = optarg;
        break;
    case OPT_CREDENTIALS:
        if (s3_credentials_load(optarg, NULL, &s->credentials, &err) != ERR_OK)
            die(err.text);
        break;
    case OPT_CA:
        read_ca(optarg, s);
        break;
    case OPT_CONNECT_TO:
        c->connect_to = optarg;
        break;
    case OPT_HOST_STYLE:
        c->style = S3_STYLE_HOST;
        break;
    case OPT_UNSIGNED:
        c->unsigned_payload = true;
        break;
    case OPT_CHECKSUMS:
        c->checksums = true;
        break;
    case OPT_IF_ABSENT:
        t->write.if_absent = true;
        break;
    case OPT_CLASS:
        t->write.storage_class = optarg;
        break;
    case OPT_LOCK:
        t->write.lock = strcmp(optarg, "compliance") == 0
                            ? STORE_LOCK_COMPLIANCE
                            : STORE_LOCK_GOVERNANCE;
        break;
    case OPT_UNTIL:
        t->write.retain_until_ms = number(optarg) * 1000;
        break;
    case OPT_AT_ONCE:
        c->in_flight_max = (unsigned)number(optarg);
        break;
    case OPT_TRIES:
        c->tries_max = (unsigned)number(optarg);
        break;
    case OPT_RETRY_MS:
        c->retry_ms = number(optarg);
        break;
    case OPT_TIMEOUT_MS:
        c->timeout_ms = number(optarg);
        break;
    case OPT_PAUSE_EVERY:
        t->pause_every = (unsigned)number(optarg);
        break;
    case OPT_LEAVE_OPEN:
        t->leave_open = true;
        break;
    case OPT_ABORT:
        t->abort_it = true;
        break;
    case OPT_CLOCK:
        s->behind_s = number(optarg);
        break;
    case OPT_VERBOSE:
        log_setup(LOG_DEBUG, LOG_PLAIN);
        break;
    default:
        die("unknown option");
    }
}

static uint64_t late_wall_ms(void *ctx)
{
    return clock_wall_ms(clock_system()) - *(uint64_t *)ctx * 1000;
}

static uint64_t late_mono_ms(void *ctx)
{
    return clock_mono_ms(clock_system());
}

static void run(struct tool *t, int argc, char **argv)
{
    for (size_t i = 0; i < BYTES_COUNT(commands); i++) {
        int args = argc - optind - 1;

        if (strcmp(argv[optind], commands[i].name) != 0)
            continue;
        if (args < commands[i].least || args > commands[i].most)
            die("wrong number of arguments");
        commands[i].run(t, argv + optind + 1);
        if (t->pending)
            loop_run(t->loop);
        return;
    }
    die("unknown command");
}

static void print(struct tool *t)
{
    struct json *j = t->out;
    char *text;

    json_set_text(j, "code", err_name(t->err.code));
    json_set_text(j, "error", t->err.code ? t->err.text : NULL);
    json_set_int(j, "status", t->err.detail);
    json_set_int(j, "bytes", (int64_t)t->info.bytes);
    json_set_int(j, "modified_ms", (int64_t)t->info.modified_ms);
    json_set_int(j, "date_ms", (int64_t)t->info.date_ms);
    json_set_int(j, "retain_until_ms", (int64_t)t->info.retain_until_ms);
    json_set_text(j, "etag", t->info.etag);
    json_set_text(j, "version", t->info.version);
    json_set_int(j, "got", (int64_t)t->got);
    json_set_int(j, "requests", (int64_t)t->store->requests);
    json_set_int(j, "lists", (int64_t)t->store->list_requests);
    json_set_int(j, "sent", (int64_t)t->store->sent_bytes);
    json_set_int(j, "received", (int64_t)t->store->received_bytes);
    json_set_int(j, "skew_ms", store_s3_skew_ms(t->store));
    json_set_text(j, "region", store_s3_region(t->store));
    json_set_text(j, "location", t->store->location);
    if (t->names)
        json_set(j, "names", t->names);
    text = json_dump(j, false, NULL);
    puts(text ? text : "{}");
    free(text);
}

int main(int argc, char **argv)
{
    struct settings s = {.s3 = {.prefix = ""}};
    struct clock late = {late_wall_ms, late_mono_ms, &s.behind_s};
    struct tool t = {.fd = -1, .out = json_new_object()};
    struct err err;
    int id;

    work_setup();
    xml_setup();
    if (http_client_setup(&err) || seal_suite_new(&s.suite, &err))
        die(err.text);
    while ((id = getopt_long(argc, argv, "+", options, NULL)) != -1)
        take_option(&t, &s, id);
    if (optind >= argc || !s.s3.client.bucket)
        die("no command or no bucket");
    s.s3.client.suite = s.suite;
    s.s3.client.credentials = &s.credentials;
    if (loop_new("s3tool", &late, &t.loop, &err) ||
        http_client_new(t.loop, 64, &t.http, &err))
        die(err.text);
    if (store_s3_new(t.loop, t.http, &s.s3, &t.store, &err) != ERR_OK) {
        printf("{\"code\": \"%s\"}\n", err_name(err.code));
        fprintf(stderr, "s3tool: %s\n", err.text);
        return 0;
    }
    run(&t, argc, argv);
    print(&t);
    if (t.leave_open) { /* as a process that is killed leaves it */
        fflush(stdout);
        _exit(0);
    }
    store_free(t.store);
    http_client_free(t.http);
    loop_free(t.loop);
    if (s.s3.client.trust)
        http_trust_drop(s.s3.client.trust);
    seal_suite_free(s.suite);
    json_free(t.out);
    return 0;
}
